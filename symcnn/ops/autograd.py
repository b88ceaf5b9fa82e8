"""What torch's autograd does with each operation: which gradients flow, and what they cost.

The law of work: *the gradient of a product with respect to one factor is a product of the same
size.* ``y = a @ b`` over ``b*m*n*k`` MACs has ``da = dy @ b.T`` and ``db = a.T @ dy``, each again
``b*m*n*k``; convolutions and attention are products in other clothes. So the backward pass is the
list of a node's products, each counted once per factor that leads to something trained.

The law of flow: a gradient flows from outputs that are floats to inputs whose values they hold,
unless the record of the operation says that none does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from symcnn.algebra.size import Int
from symcnn.ops.dtypes import holds_floats
from symcnn.ops.operation import Product, operation_of, unsaid
from symcnn.trace.graph import Node, SymbolicTensor, tensors_in


def pair(left: object, right: object, macs: Int) -> Product:
    """The product of what is computed from some tensors and from others."""
    return Product(tuple(tensors_in(left)), tuple(tensors_in(right)), macs, macs)


def factors(first: int, second: int) -> Callable[[Node], list[Product]]:
    """The law of one product, of the inputs at these places."""
    return lambda node: [pair(node.inputs[first], node.inputs[second], node.result.work)]


def products(node: Node, *, counted: bool = False) -> Sequence[Product]:
    """The products of a node; none for an operation without MACs.

    counted: as `torch.utils.flop_counter` counts them.

    Raises UnsupportedOperation where an operation does not say of which products it is.
    """
    operation = operation_of(node)
    if operation is None or operation.products is None:
        return [] if node.result.work == 0 else unsaid(node)
    if counted and operation.counted is not None:
        return operation.counted.products(node)
    return operation.products(node)


# Which gradients flow --------------------------------------------------------------------------


def differentiable(node: Node) -> bool:
    """Whether gradients flow through an operation, if there are any."""
    if node.mode.custom is not None:  # its gradient goes around
        return True
    operation = operation_of(node)
    return node.mode.grad and (operation is None or operation.gradient)


def _unseen(node: Node) -> Sequence[SymbolicTensor]:
    """What is written to without gradients: its gradient is what it was."""
    return node.inputs[:1] if node.mode.inplace and not node.mode.grad else ()


class Gradients:
    """Which tensors of a network lead to something trained, and to the outputs."""

    def __init__(self, needed: set[SymbolicTensor], run: set[Node]) -> None:
        self.needed = needed  # requires_grad
        self.run = run  # nodes whose backward runs

    @property
    def custom(self) -> Node | None:
        """A node with a backward pass of its own, a torch.autograd.Function, if there is one."""
        return next((node for node in self.run if node.mode.custom is not None), None)

    def needs(self, tensors: Iterable[SymbolicTensor]) -> bool:
        """Whether one of them requires a gradient."""
        return any(t in self.needed for t in tensors)

    def macs(self, node: Node, *, counted: bool = False) -> Int:
        """MACs of the backward pass of one node; `counted`: as FlopCounterMode counts them."""
        if node not in self.run or node.mode.custom is not None:
            return 0
        total: Int = 0
        for product in products(node, counted=counted):
            if self.needs(product.left):
                total = total + product.left_macs
            if self.needs(product.right):
                total = total + product.right_macs
        return total


def flow(nodes: Iterable[Node], needed: set[SymbolicTensor]) -> None:
    """Add to what requires a gradient what nodes make of such tensors."""
    for node in nodes:
        custom = node.mode.custom
        if custom is not None and custom.inputs and not any(t in needed for t in custom.inputs):
            continue  # of weights that its forward reads it knows nothing
        # torch sends zeros back through x.zero_()
        written = node.inputs[:1] if node.mode.inplace else ()
        asks = (*node.sources, *written) if differentiable(node) else _unseen(node)
        if any(t in needed for t in asks):
            needed.update(
                t for t in node.outputs if node.mode.custom is not None or holds_floats(t.dtype)
            )


def gradients(
    nodes: Sequence[Node],
    inputs: Iterable[SymbolicTensor],
    outputs: Iterable[SymbolicTensor],
    *,
    input_grad: bool = False,
) -> Gradients:
    """What ``sum(outputs).backward()`` does; `input_grad`: the inputs require gradients too."""
    needed: set[SymbolicTensor] = set(inputs) if input_grad else set()
    for node in nodes:
        needed.update(t for t in node.inputs if t.trainable)
    flow(nodes, needed)
    reached = {t for t in outputs if t in needed}
    run: set[Node] = set()
    for node in reversed(nodes):
        if any(t in reached for t in node.outputs):
            through = _unseen(node)
            if not through:
                run.add(node)
            reached.update(t for t in through or node.sources if t in needed)
    return Gradients(needed, run)
