"""Layers by hand: a layer is a function of sizes, without a network and without torch.

``nn.Conv2d(3, 64, 7, stride=2, padding=3)(H, W)`` is ``((H + 1)//2, (W + 1)//2)``. Behind it stands
a trace of the layer on a tensor of these sizes, so whatever has a rule is such a function, a whole
`Sequential` too. The number of channels is a symbol, and what the layers require of it says what
it is: no layer needs to be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, Union

from symcnn.algebra.axis import Scatter, Window
from symcnn.algebra.expr import Expr, Number, from_sympy, to_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, exact_or_fail, symbols_of
from symcnn.errors import BadSpec, InvalidInput, ShapeMismatch, SymcnnError, Undecidable
from symcnn.lazy import sympy
from symcnn.network import Network
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.formula import Formula
from symcnn.sets.grammar import Spec, Target
from symcnn.sets.inputset import InputSet, input_set
from symcnn.shown import assignment
from symcnn.trace.graph import Shape, SymbolicTensor, public

if TYPE_CHECKING:
    import numpy as np


#: A size as a layer takes it: a number, a name, a formula, or an array of numbers.
SizeLike = Union[Number, str, Formula, "np.ndarray"]

#: Names of axes by how many there are.
_AXES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


class Module(Protocol):
    """What is traced: a module, as this file sees it."""

    def trace(self, *specs: Spec) -> Network:
        """The network for inputs of these shapes."""

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr."""


def are_sizes(values: Sequence[object]) -> bool:
    """Whether all values are sizes: ints, sympy or kernel expressions, names, arrays of ints.

    Raises BadSpec for numbers that are no sizes, and for sizes in a tuple.
    """
    if not any(isinstance(value, SymbolicTensor) for value in values):
        for value in values:
            several = isinstance(value, (tuple, list)) and bool(value) and all(map(_is_size, value))
            if (
                several
                or value is None
                or isinstance(value, (bool, float))
                or _dtype_kind(value) in ("f", "c", "b")
            ):
                told = f"{value!r} is {'several sizes' if several else 'no size'}"
                raise BadSpec(told, cure="one per axis, as in layer(H, W) or layer(224, 224)")
    return bool(values) and all(map(_is_size, values))


def _is_size(value: object) -> bool:
    if isinstance(value, (int, str, Size, sympy.Expr, Formula)):
        return not isinstance(value, bool)
    return _dtype_kind(value) in ("i", "u")


def _dtype_kind(value: object) -> str:
    """The kind of a numpy array's numbers."""
    return str(getattr(getattr(value, "dtype", None), "kind", ""))


def sizes_after(module: Module, sizes: Sequence[SizeLike]) -> tuple[Expr | np.ndarray, ...]:
    """The sizes after a module, see `Module.__call__`.

    Raises InvalidInput for numbers that the module refuses, BadSpec for another number of sizes
    than it takes.
    """
    if any(getattr(size, "ndim", 0) for size in sizes):
        if all(isinstance(size, int) or _dtype_kind(size) for size in sizes):
            return _over_arrays(module, sizes)
        return _over_objects(module, sizes)
    back: dict[Any, Any] = {}
    net = traced(module, [_kernel(size, back) for size in sizes])
    shown = [public(net.simplest(dim)) for dim in _dims_after(net, len(sizes))]
    return Shape(
        size.subs(back) if back and isinstance(size, sympy.Basic) else _plain(size)
        for size in shown
    )


def inverse(module: Module, sizes: Sequence[Target]) -> InputSet:
    """The sizes in front of a module after which these sizes come, see `Module.inverse`."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        raise BadSpec(f"{sizes[0]!r} is several sizes", cure="one per axis: layer.inverse(7, 7)")
    names = _AXES.get(len(sizes), ())
    if taken := {*names} & {name for size in sizes for name in _spoken(size)}:
        others = ", ".join(repr(name.lower()) for name in names)
        raise BadSpec(
            f"{min(taken)} is the size in front of the layer, and not one after it",
            cure=f"give the sizes after it names of their own: layer.inverse({others})",
        )
    try:
        found: InputSet = _free(module, len(sizes)).solve(output=tuple(sizes))
    except Undecidable as error:
        raise Undecidable(error.cause, cure=_fibres(module, sizes)) from None
    return found


def _spoken(size: Target) -> Iterable[str]:
    """Names in a size that comes after a layer."""
    if isinstance(size, sympy.Basic):
        return map(str, size.free_symbols)
    return re.findall(r"[^\W\d]\w*", size) if isinstance(size, str) else ()


def _fibres(module: Module, sizes: Sequence[Target]) -> str:
    """The sizes in front of windows and scatters whose hyperparameters are symbols, as formulas."""
    words = []
    with suppress(SymcnnError):
        nodes = _free(module, len(sizes)).nodes
        axes = zip(*((node.result.axes or ())[2:] for node in nodes), strict=True)
        for name, maps, size in zip(_AXES[len(sizes)], axes, sizes, strict=True):
            first = last = _kernel(size, {})
            for _, one in reversed(maps):
                if not isinstance(one, (Window, Scatter)):
                    raise BadSpec(f"{one} is no window")
                first, last = one.fibre(first)[0], one.fibre(last)[1]
            words.append(f"{text(first)} <= {name} <= {text(last)}")
    if not words:
        return "give the layer numbers in place of symbols"
    return f"as formulas: {' and '.join(words)}"


def windows(module: Module) -> tuple[Window, ...]:
    """The window that a module is along each axis, see `Module.windows`."""
    refused: SymcnnError | None = None
    for n in _AXES:
        try:
            net = _free(module, n)
        except SymcnnError as error:
            refused = refused or error
            continue
        field = net.receptive_field()
        if any(field.whole):
            raise BadSpec(
                f"every place after {field.whole[0]} sees the whole axis: it is no window"
            )
        along = zip(field.size, field.stride, field.padding, strict=True)
        return tuple(Window(size, stride, *pads) for size, stride, pads in along)
    raise BadSpec(f"{type(module).__name__} takes no sizes: {refused}") from refused


def _kernel(size: Any, back: dict[Any, Any]) -> Int:
    """A size as a kernel expression; `back` restores symbols that have no assumptions."""
    if isinstance(size, str):
        if not size.isidentifier():
            raise BadSpec(f"{size!r} is not a name", cure='for a network, layer.trace("N 3 H W")')
        return Size.symbol(size)
    if isinstance(size, Formula):
        return size.size
    if isinstance(size, sympy.Basic):
        for symbol in sorted(size.free_symbols, key=str):
            if symbol.is_integer is None:
                whole = to_sympy(Size.symbol(symbol.name))
                size, back[whole] = size.subs(symbol, whole), symbol
    found = from_sympy(size)
    if isinstance(found, int) and found < 1:
        raise InvalidInput(f"{found} is no size", cure="sizes are 1 or more")
    return found


def _plain(size: Any) -> Any:
    return int(size) if isinstance(size, sympy.Integer) else size


def _free(module: Module, n: int) -> Network:
    """The network of a module on sizes that are symbols."""
    if n not in _AXES:
        raise BadSpec(f"{n} sizes are given", cure="give one, two or three")
    return traced(module, [Size.symbol(name) for name in _AXES[n]])


def traced(module: Module, sizes: Sequence[Int]) -> Network:
    """The network for a batch of maps of these sizes, with the channels that it asks for.

    Raises InvalidInput for sizes that the module refuses.
    """
    taken = symbols_of(*sizes)
    batch, channels = (Size.symbol(_unused(name, taken)) for name in ("N", "C"))
    try:
        net = module.trace((batch, channels, *sizes))
        wanted = _wanted(net, channels)
        if wanted is not None:
            net = module.trace((batch, wanted, *sizes))
    except ShapeMismatch as error:
        if error.attempt is not None:
            _counted(error.attempt.op, error.attempt.inputs)
        raise
    for node in net.nodes:
        _counted(node.op, node.inputs)
    return net


def _counted(op: str, inputs: Sequence[SymbolicTensor]) -> None:
    """Raises BadSpec where an operation of one, two or three axes has others."""
    rank = re.search(r"([123])d$", op)
    if rank and inputs and inputs[0].ndim != int(rank[1]) + 2:
        sizes = "1 size" if rank[1] == "1" else f"{rank[1]} sizes"
        raise BadSpec(f"{op} takes {sizes}, not {inputs[0].ndim - 2}")


def _unused(name: str, taken: frozenset[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _wanted(net: Network, channels: Size) -> Int | None:
    """The number of channels for which the layers ask, if they ask for one."""
    name = str(channels)
    alone = [r for r in net.requirements if r.symbols == {name}]
    with suppress(Undecidable):
        fixed = input_set([name], alone).fixed
        if name in fixed:
            return fixed[name]
    for requirement in net.requirements:
        gap = _gap(requirement)
        coeff = gap.terms.get(next(iter(channels.terms)), 0) if isinstance(gap, Size) else 0
        if coeff:
            rest = -(gap - channels * coeff)
            if name not in symbols_of(rest):
                return exact_or_fail(rest, int(coeff)) if abs(coeff) == 1 else None
    return None


def _gap(requirement: Requirement) -> Int:
    """What an equation says is 0."""
    equation = isinstance(requirement, Condition) and requirement.relation == "=="
    return requirement.lhs - requirement.rhs if equation else 0  # type: ignore[union-attr]


def _dims_after(net: Network, n: int) -> tuple[Int, ...]:
    """The sizes behind batch and channels; of what is no map, all behind the batch."""
    dims = net.output_dims
    return dims[2:] if len(dims) == n + 2 else dims[1:]


def _over_arrays(module: Module, sizes: Sequence[Any]) -> tuple[Any, ...]:
    """The sizes after a module element by element, arrays broadcast."""
    import numpy as np

    net = _free(module, len(sizes))
    values = dict(zip(_AXES[len(sizes)], np.broadcast_arrays(*sizes), strict=True))
    for requirement in net.requirements:
        if requirement.symbols <= values.keys() and not _hold(requirement, values):
            points = zip(*(grid.flat for grid in values.values()), strict=True)
            where = next(
                at
                for point in points
                if not requirement.holds(at := dict(zip(values, map(int, point), strict=True)))
            )
            told = f"{requirement.why}: {requirement.consequence(where)}"
            raise InvalidInput(f"{type(module).__name__} cannot take {assignment(where)}: {told}")
    dims = _dims_after(net, len(sizes))
    return tuple(_elements(net.simplest(dim), values) for dim in dims)


def _over_objects(module: Module, sizes: Sequence[Any]) -> tuple[Any, ...]:
    """The sizes after a module where some are arrays and some formulas: arrays of expressions."""
    import numpy as np

    grid = np.broadcast(*(np.asarray(size, object) for size in sizes))
    points = [sizes_after(module, [*point]) for point in grid]
    return tuple(_array(along, grid.shape) for along in zip(*points, strict=True))


def _array(values: Sequence[Any], shape: tuple[int, ...]) -> Any:
    import numpy as np

    made = np.empty(len(values), object)
    made[:] = values
    return made.reshape(shape)


def _elements(dim: Int, values: dict[str, Any]) -> Any:
    """A size at arrays: an array of numbers, or where symbols are left, of expressions."""
    if symbols_of(dim) <= values.keys():
        return Formula(dim, values).at(**values)
    assert isinstance(dim, Size)
    points = zip(*(grid.flat for grid in values.values()), strict=True)
    found = [public(dim.subs(dict(zip(values, map(int, p), strict=True)))) for p in points]
    return _array(found, next(iter(values.values())).shape)


def _hold(requirement: Requirement, values: dict[str, Any]) -> bool:
    """Whether a requirement holds at all elements."""
    if isinstance(requirement, Condition):
        gap = Formula(requirement.lhs - requirement.rhs, values).at(**values)
        return bool((gap >= 0 if requirement.relation == ">=" else gap == 0).all())
    points = zip(*(grid.flat for grid in values.values()), strict=True)
    return all(requirement.holds(dict(zip(values, map(int, p), strict=True))) for p in points)
