"""Why a size fails, and every way out; or, where it does not fail, what goes wrong in silence.

The first requirement that fails, in the order of execution, is where torch stops. Where nothing
fails, three things can still be other than meant, and can be seen per axis: rows that nothing
reads, outputs that see nothing but padding (`symcnn.questions.inputs.silent`), and images folded
into the batch (which symcnn counts as a failure).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import ge
from typing import Any

from symcnn.algebra.axis import Scatter, Window
from symcnn.algebra.size import evaluate, prod
from symcnn.errors import SymcnnError
from symcnn.ops.operation import operation_of
from symcnn.ops.registry import one_or_each
from symcnn.questions.inputs.domain import failures
from symcnn.questions.inputs.fix import fixes
from symcnn.questions.inputs.nearest import nearest_valid
from symcnn.questions.inputs.silent import Trap, silent
from symcnn.sets.condition import Condition, KeepsBatch, Requirement
from symcnn.shown import Shown, assignment
from symcnn.trace.branches import said
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.tape import Guard
from symcnn.trace.trace import Trace

__all__ = ["Diagnosis", "Failure", "Trap", "at_branch", "diagnose", "refused"]


@dataclass(frozen=True)
class Failure(Shown):
    """The first node (or line) that a size fails at.

    says: torch's own message, "" where torch would not complain or its words are not known here.
    """

    node: str
    op: str
    needs: str
    found: str
    why: str
    says: str = ""

    def __str__(self) -> str:
        op = f" ({self.op})" if self.op not in self.node else ""
        at = f"fails at {self.node}{op}" if self.node else "is refused"
        lines = [f"{at}: {self.why.removeprefix(f'{self.op}: ')}"]
        if self.needs:
            lines.append(f"  needs {self.needs}; {self.found}")
        elif self.found:
            lines.append(f"  {self.found}")
        if self.says:
            lines.append(f"  torch says: {self.says}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Diagnosis(Shown):
    """What happens at `sizes`: a `failure` with the `ways` out, or a list of `traps`.

    further: what fails, too, once the failures before it are mended.
    """

    sizes: Mapping[str, int]
    failure: Failure | None
    ways: tuple[str, ...]
    traps: tuple[Trap, ...]
    unread: Mapping[str, tuple[int, ...]] = field(
        default_factory=dict
    )  # rows of the input, by axis
    further: tuple[Failure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the sizes are valid."""
        return self.failure is None

    def __str__(self) -> str:
        if self.failure is not None:
            ways = [f"  {way}" for way in self.ways]
            at = f"{assignment(self.sizes)} {self.failure}".lstrip()
            more = [f"then it {failure}" for failure in self.further]
            return "\n".join([at, *more, *(["ways out:", *ways] if ways else [])])
        sizes = assignment(self.sizes) or "the only input"
        if self.traps:
            traps = [f"  {trap}" for trap in self.traps]
            return "\n".join([f"{sizes} is valid, but note:", *traps])
        return f"{sizes} is valid; every row is read and no output sees only padding"

    __repr__ = __str__


def diagnose(net: Trace, sizes: Mapping[str, int]) -> Diagnosis:
    """See `Network.diagnose`."""
    failed = failures(net, sizes)
    if not failed:
        traps, unread = silent(net, sizes)
        return Diagnosis(sizes, None, (), traps, unread)
    first = failed[0][0]
    if isinstance(first, Guard):
        return at_branch(net, first, sizes)
    ways, found = [*_sizes_that_work(net, sizes)], list[Failure]()
    for step, requirement in failed:
        if isinstance(step, Guard):
            break
        found.append(_failure(step, requirement, sizes))
        ways += _changes(net, step, requirement, sizes)
        if not _goes_on(step, sizes):
            break
    return Diagnosis(sizes, found[0], tuple(ways), (), further=tuple(found[1:]))


def _goes_on(node: Node, sizes: Mapping[str, int]) -> bool:
    """Whether what follows is as the formulas say once the node is mended: maps that must meet, of
    which the smaller is padded to the larger.
    """
    if not _joins(node):
        return False
    made = [evaluate(d, sizes) for d in node.outputs[0].dims]
    maps = [[evaluate(d, sizes) for d in t.dims] for t in node.activations]
    return all(len(m) == len(made) and all(map(ge, made[2:], m[2:])) for m in maps)


def _failure(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> Failure:
    found = requirement.consequence(sizes)
    needs = "" if isinstance(requirement, KeepsBatch) else str(requirement)
    says = _torch_says(node, requirement, sizes)
    return Failure(node.name, node.op, needs, found, requirement.why, says)


def at_branch(net: Trace, guard: Guard, sizes: Mapping[str, int]) -> Diagnosis:
    """What happens at sizes that do not take the side of a branch which `guard` names."""
    needs, why = guard.requirement, guard.otherwise or "the trace took the other branch there"
    failure = Failure(guard.where, "branch", said(needs), needs.consequence(sizes), why)
    return Diagnosis(sizes, failure, tuple(_sizes_that_work(net, sizes)), ())


def refused(net: Trace, sizes: Mapping[str, int], error: SymcnnError) -> Diagnosis:
    """What happens at sizes that no run followed, and at which the forward raises `error`."""
    cause = error.__cause__ if isinstance(error.__cause__, SymcnnError) else error
    failure = Failure("", "", "", "", cause.cause)
    return Diagnosis(sizes, failure, tuple(_sizes_that_work(net, sizes)), ())


# Ways out ------------------------------------------------------------------------------------


def _sizes_that_work(net: Trace, sizes: Mapping[str, int]) -> Iterator[str]:
    try:
        shown = net.valid_inputs().shown
        if len(shown) <= 4:  # each size is a dimension to search
            near = nearest_valid(net, {n: sizes[n] for n in shown})
            if not near.valid:
                yield from map(str, near.ways)
    except SymcnnError:
        return


def _changes(
    net: Trace, node: Node, requirement: Requirement, sizes: Mapping[str, int]
) -> Iterator[str]:
    """What could be changed in the network."""
    try:
        lines = [f.line for f in fixes(net, sizes) if not f.right]
    except SymcnnError:
        lines = []
    here = {f.node for f in fixes(net)}
    if node.name in here:
        yield from (f"change the network: {line}" for line in lines)
    elif _joins(node):
        yield from _meeting(net, node, sizes)
    elif node.op.startswith("conv") and not node.op.startswith("conv_t"):
        missing = [
            max(0, -(-(m.extent - _at(t, sizes, i) - m.left - m.right) // 2))
            for i, t, m in _windows(node)
        ]
        yield f"pad more in {node.name}: padding greater by {one_or_each(missing)}"


def _joins(node: Node) -> bool:
    return node.op in ("cat", "concat") or _is_pointwise(node)


def _is_pointwise(node: Node) -> bool:
    operation = operation_of(node)
    return operation is not None and operation.pointwise and len(node.activations) > 1


def _meeting(net: Trace, node: Node, sizes: Mapping[str, int]) -> Iterator[str]:
    """Ways to make two maps meet that differ in size."""
    shapes = [[evaluate(d, sizes) for d in t.dims] for t in node.activations]
    if len({len(s) for s in shapes}) != 1:
        return
    first, rank = shapes[0], len(shapes[0])
    for t, shape in zip(node.activations[1:], shapes[1:], strict=True):
        gaps = [a - b for a, b in zip(first, shape, strict=True)]
        space = gaps[2:] if rank > 2 else gaps
        if not any(space):
            continue
        small, big = (t, node.activations[0]) if sum(space) > 0 else (node.activations[0], t)
        pad = [end for gap in reversed(space) for end in (0, abs(gap))]
        names = net.source_name(small), net.source_name(big)
        if all(g >= 0 for g in space) or all(g <= 0 for g in space):
            yield (
                f"before {node.name}, pad {names[0]} to the size of {names[1]}: "
                f"F.pad(x, {tuple(pad)}), or cut {names[1]}: F.pad(x, {tuple(-p for p in pad)})"
            )
        extra = tuple(abs(g) for g in space)
        for one, other in ((small, big), (big, small)):
            maker = _maker(one)
            if maker is None:
                continue
            bound = [m.at(sizes) for _, _, m in _scatters(maker)]
            room = [m.stride - m.output_padding for m in bound]
            if one is small and room and all(e < r for e, r in zip(extra, room, strict=False)):
                more = [m.output_padding + e for m, e in zip(bound, extra, strict=False)]
                yield f"in {maker.name}: output_padding={one_or_each(more)}"
            elif maker.op in ("interpolate", "upsample"):
                wanted = tuple(int(evaluate(d, sizes)) for d in other.dims[2:])
                yield f"in {maker.name}: give size={wanted}, the size of {net.source_name(other)}"


def _maker(t: SymbolicTensor) -> Node | None:
    """The node that gave a tensor its size: through what works point by point."""
    node = t.node
    while (
        node is not None
        and node.activations
        and node.outputs[0].dims[2:] == (node.activations[0].dims[2:])
    ):
        node = node.activations[0].node
    return node


# Torch's words -------------------------------------------------------------------------------


def _torch_says(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    for prefix, words in _SAYS.items():
        if node.op.startswith(prefix):
            return words(node, requirement, sizes)
    return _says_pointwise(node, requirement, sizes) if _is_pointwise(node) else ""


def _says_conv(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    if not isinstance(requirement, Condition) or requirement.relation != ">=":
        return ""
    windows = [*_windows(node)]
    padded = " x ".join(str(_at(t, sizes, i) + m.left + m.right) for i, t, m in windows)
    kernel = " x ".join(str(m.extent) for _, _, m in windows)
    return (
        f"Calculated padded input size per channel: ({padded}). Kernel size: ({kernel}). "
        "Kernel size can't be greater than actual input size"
    )


def _says_pool(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    windows = [*_windows(node)]
    if len(windows) < 2:
        return ""
    t = node.activations[0]
    lead = [str(evaluate(d, sizes)) for d in t.dims[1 : -len(windows)]]
    before = "x".join([*lead, *(str(_at(t, sizes, i)) for i, t, _ in windows)])
    after = "x".join([*lead, *(str(m.size(_at(t, sizes, i))) for i, t, m in windows)])
    return (
        f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small"
    )


def _says_linear(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    weight = node.arguments.get("weight")
    if not isinstance(weight, SymbolicTensor) or weight.ndim != 2:
        return ""
    *lead, features = (evaluate(d, sizes) for d in node.activations[0].dims)
    rows = prod(lead)
    out, into = (evaluate(d, sizes) for d in weight.dims)
    return f"mat1 and mat2 shapes cannot be multiplied ({rows}x{features} and {into}x{out})"


def _says_cat(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    shapes = [[evaluate(d, sizes) for d in t.dims] for t in node.activations]
    if len({len(s) for s in shapes}) != 1:
        return ""
    along = next(
        (
            i
            for i, d in enumerate(node.outputs[0].dims)
            if evaluate(d, sizes) == sum(s[i] for s in shapes)
        ),
        1,
    )
    for number, shape in enumerate(shapes):
        for i, (a, b) in enumerate(zip(shapes[0], shape, strict=True)):
            if a != b and i != along:
                return (
                    f"Sizes of tensors must match except in dimension {along}. Expected size {a} "
                    f"but got size {b} for tensor number {number} in the list."
                )
    return ""


def _says_pointwise(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    shapes = [[evaluate(d, sizes) for d in t.dims] for t in node.inputs]
    if len(shapes) != 2:
        return ""
    rank = max(map(len, shapes))
    a, b = ([1] * (rank - len(s)) + s for s in shapes)
    for i in range(rank - 1, -1, -1):
        if a[i] != b[i] and 1 not in (a[i], b[i]):
            return (
                f"The size of tensor a ({a[i]}) must match the size of tensor b ({b[i]}) at "
                f"non-singleton dimension {i}"
            )
    return ""


_SAYS: dict[str, Callable[[Node, Requirement, Mapping[str, int]], str]] = {
    "conv_transpose": lambda *_: "",
    "conv": _says_conv,
    "max_pool": _says_pool,
    "avg_pool": _says_pool,
    "linear": _says_linear,
    "cat": _says_cat,
}


# Windows -------------------------------------------------------------------------------------


def _at(t: SymbolicTensor, sizes: Mapping[str, int], axis: int) -> int:
    return int(evaluate(t.dims[axis], sizes))


def _windows(node: Node) -> Iterator[tuple[int, SymbolicTensor, Any]]:
    """(axis, input, window) along the axes that a kernel runs over."""
    rank = len(node.outputs[0].dims)
    kernel = next((n for n in (1, 2, 3) if node.op.endswith(f"{n}d")), 0)
    for out, (axis, axis_map) in enumerate((node.result.axes or ())[:rank]):
        inside = out >= rank - kernel
        if inside and isinstance(axis, int) and isinstance(axis_map, Window):
            yield axis, node.activations[0], axis_map


def _scatters(node: Node) -> Iterator[tuple[int, SymbolicTensor, Any]]:
    for axis, axis_map in node.result.axes or ():
        if isinstance(axis, int) and isinstance(axis_map, Scatter):
            yield axis, node.activations[0], axis_map
