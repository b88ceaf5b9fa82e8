"""What tools count, each convention a column of the records of the operations.

The law under all of them is the MAC: a product over ``k`` takes ``k`` multiply-accumulates per
output element, and every rule in `symcnn.ops` states its MACs. Conventions differ in what they add:
a factor 2, bias additions, normalisations, activations (`symcnn.ops.tools`). A convention is the
*definition* that its tool states; where the tool departs from it (transposed convolutions counted
on the output, calls of functions missed), docs/cost.md shows the case and both numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from symcnn.algebra.size import Int
from symcnn.errors import BadSpec
from symcnn.ops.operation import Work, operation_of
from symcnn.trace.graph import Node


@dataclass(frozen=True, slots=True)
class Convention:
    """A way of counting: `macs` times `factor`, and what operations count beside by its name.

    unit: what one of it is; source: whose definition it is.
    """

    name: str
    unit: str
    source: str
    factor: int = 1
    instead: Work | None = None  # in place of the MACs

    def count(self, node: Node) -> Int:
        """The work of one node."""
        macs = node.result.work if self.instead is None else self.instead(node)
        operation = operation_of(node)
        beside = None if operation is None else operation.counts.get(self.name)
        return macs * self.factor if beside is None else macs * self.factor + beside(node)


def _as_torch_counts(node: Node) -> Int:
    """MACs as FlopCounterMode sees them."""
    operation = operation_of(node)
    if operation is None or operation.counted is None:
        return node.result.work
    return operation.counted.macs(node)


def _torchinfo(node: Node) -> Int:
    """Weights times images; what a convolution counts, times places, its record says."""
    operation = operation_of(node)
    if operation is not None and "torchinfo" in operation.counts:
        return 0  # the record says it all
    weights = sum((p.count for p in dict.fromkeys(node.parameters)), 0)
    return node.outputs[0].dims[0] * weights if node.outputs[0].dims else weights


#: All conventions by name; "macs" is the default.
CONVENTIONS = {
    c.name: c
    for c in (
        Convention("macs", "MACs", "multiply-accumulates of convolutions and matrix products"),
        Convention(
            "flops",
            "FLOPs",
            "torch.utils.flop_counter.FlopCounterMode: two per MAC",
            factor=2,
            instead=_as_torch_counts,
        ),
        Convention(
            "bias",
            "MACs and bias adds",
            "multiply-accumulates, and one addition per output element of a layer with a bias",
        ),
        Convention(
            "fvcore",
            "flops (one per MAC)",
            "fvcore.nn.FlopCountAnalysis: MACs, normalisations, 2-d resizing and global pooling",
        ),
        Convention(
            "thop",
            "MACs",
            "thop.profile: MACs without biases, normalisations, average pooling, softmax, resizing",
        ),
        Convention(
            "ptflops",
            "MACs",
            "ptflops.get_model_complexity_info (pytorch backend): MACs with biases, "
            "normalisations, pooling, activations, resizing, sums and products",
        ),
        Convention(
            "torchinfo",
            "mult-adds",
            "torchinfo.summary: weights and biases times images, times places for convolutions",
            instead=_torchinfo,
        ),
    )
}


def convention(name: str) -> Convention:
    """The convention called `name`. Raises BadSpec, with near names, if there is none.

    >>> convention("flops").factor
    2
    """
    if name in CONVENTIONS:
        return CONVENTIONS[name]
    near = get_close_matches(str(name), CONVENTIONS, n=1)
    known = ", ".join(CONVENTIONS)
    hint = f"did you mean {near[0]}? " if near else ""
    raise BadSpec(f"no convention is called {name!r}", cure=f"{hint}there are: {known}")


def elementwise(node: Node) -> Int | None:
    """Arithmetic that is not a MAC: one per scalar function, comparison or addition.

    None for an operation whose record does not say. Per output element: a pointwise operation
    1, softmax 3, pooling its window, batch norm 2 in eval mode, other normalisations 5 (7 with an
    affine map), bilinear resizing 4, a bias 1; a reduction takes 1 per element it reads; moving
    and viewing is free.

    >>> from symcnn import nn
    >>> [elementwise(n) for n in nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)).trace("N 8 H W").nodes]
    [8*N*H*W, 32*N*(H//2)*(W//2)]
    """
    operation = operation_of(node)
    return None if operation is None or operation.other is None else operation.other(node)
