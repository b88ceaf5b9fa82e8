"""`Repeat`: a block repeated n times, for a symbolic n, in closed form.

The idea: traced once, a block is a function of its number i and of its input shape x. Repeating it
is the recurrence ``x_(i+1) = f(i, x_i)``, solved by the laws of `symcnn.algebra.series`, and what
the
blocks cost is a sum over i. Receptive fields are a recurrence too, backwards: where a block is a
window along an axis, n of them are one window of extent ``1 + sum of (r_i - 1)*s**i`` (the fusion
law, n times); elsewhere both ends of what a block reads are formulas in the index, iterated from
the last block to the first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from symcnn.algebra import size as sz
from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Integer, OfLength, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.series import iterate, summation
from symcnn.algebra.size import Int, Size, lower, power, symbols_of, with_values
from symcnn.errors import BadSpec, ShapeMismatch, Undecidable
from symcnn.lazy import sympy
from symcnn.nn.hyper import whole
from symcnn.nn.module import Module
from symcnn.questions.field.reach import (
    AffineRange,
    IndexRange,
    ReadRange,
    axes_of,
    index_symbol,
    sign,
)
from symcnn.questions.field.reach import Unknown as Unread
from symcnn.questions.field.receptive_field import Pass
from symcnn.sets.condition import Condition, ForAll, Requirement, decide_syntactically, substituted
from symcnn.trace.graph import Blocks, Node, Parameter, Result, Shape, SymbolicTensor, tensors_in
from symcnn.trace.tape import Tape, failure, record

_FIRST = "the input must have the channels the first block expects"


#: What all blocks emit: a family of tensors; of a number of blocks, a list of them.
Emitted = Union["Family", list[SymbolicTensor]]
#: The last state; before the families, where blocks emit.
Outputs = Union[SymbolicTensor, tuple[Union[SymbolicTensor, Emitted], ...]]


class Repeat(Module):
    """`block` applied `n` times, block i to what block i - 1 gave; n may be a symbol.

    block: a module whose hyperparameters may use `index`, or a function from the index to a module.
        Every block has weights of its own. A block that returns several tensors hands the first
        on and *emits* the others; the repeat then returns the last state and a family of tensors
        per emission. A repeat called with families reads them last in, first out: block i of a
        decoder reads what block n - 1 - i of the encoder emitted.
    n: how many blocks, an int or an expression.
    index: the symbol in `block` that counts from 0 (`symcnn.index`).

    Raises ShapeMismatch, naming the block and both shapes, where a block does not take what the
    one before it gives; Undecidable for sizes without a closed form in n.

    >>> import symcnn
    >>> from symcnn import nn
    >>> n, k, i = symcnn.symbols("n"), symcnn.odd("k"), symcnn.index("i")
    >>> halving = nn.Conv2d(8, 8, 3, stride=2, padding=1)
    >>> nn.Repeat(halving, n).trace("N 8 H W").output_shape
    (N, 8, (H - 1)//2**n + 1, (W - 1)//2**n + 1)
    >>> doubling = nn.Conv2d(4 * 2**i, 8 * 2**i, 3, padding=1, bias=False)
    >>> net = nn.Repeat(doubling, n, index=i).trace("N 4 H W")
    >>> net.output_shape, net.params
    ((N, 4*2**n, H, W), 96*2**(2*n) - 96)
    """

    def __init__(self, block: Module | Callable[[Any], Module], n: Any, index: Any = None) -> None:
        self.n = whole(n, "n")
        if isinstance(self.n, int) and self.n < 0:
            raise ShapeMismatch(f"n={n}", cure="a block is repeated 0 times or more")
        self.index = _index_name(index)
        if isinstance(self.n, int):
            blocks = (self._block(block, i) for i in range(self.n))
            self._modules = {str(i): module for i, module in enumerate(blocks)}
            return
        self._modules = {}
        if index is None:
            from symcnn.algebra.sympy import index as counting

            index = counting("i")
        self._template = (block if isinstance(block, Module) else block(index),)
        for path, module in self._template[0].named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    count = summation(value.count, self.index, self.n)
                    full = f"{path}.{name}" if path else name
                    vars(self)[full] = Parameter((count,), full, trainable=value.trainable)

    def _block(self, block: Module | Callable[[Any], Module], i: int) -> Module:
        if isinstance(block, Module):
            return _module_at(block, {self.index: i})
        return block(i)

    def children(self) -> Iterator[tuple[str, Module]]:
        """(number, block) pairs, for a number of blocks that is a number."""
        yield from self._modules.items()

    def extra_repr(self) -> str:
        """How often what is repeated."""
        return f"{self._template[0]!r}, n={self.n}"

    def forward(self, input: SymbolicTensor, *families: Emitted) -> Outputs:
        """The last state; with the families that the blocks emit, if they do."""
        if isinstance(self.n, int):
            return self._unrolled(input, families)
        return _repeated(self, self._template[0], input, families)

    def _unrolled(self, input: Any, families: Sequence[Emitted]) -> Outputs:
        emitted: list[tuple[Any, ...]] = []
        for i, block in enumerate(self._modules.values()):
            read = [family[len(self._modules) - 1 - i] for family in families]
            try:
                output = block(input, *read)
            except ShapeMismatch as error:
                raise ShapeMismatch(f"block {i}: {error.cause}", cure=error.cure) from None
            input, *rest = output if isinstance(output, tuple) else (output,)
            emitted.append(tuple(rest))
        columns = [*map(list, zip(*emitted, strict=True))]
        return (input, *columns) if columns else input


class Family(SymbolicTensor):
    """The tensors that the blocks of a repeat emit: shapes in the index."""

    __slots__ = ("count", "index")

    def __init__(self, dims: tuple[Int, ...], node: Node, index: str, count: Int) -> None:
        super().__init__(dims, node)
        self.index, self.count = index, count

    def popped(self, index: str) -> SymbolicTensor:
        """What the block `index` of another repeat reads: the last that is left."""
        here = self.count - 1 - sz.Symbol(index, 0).size()
        return SymbolicTensor(_put(self.dims, {self.index: here}))


@dataclass(frozen=True, slots=True)
class Between(OfLength):
    """An axis of `length` whose index `_PLACE` reads from `first` to `last`: formulas in it."""

    length: Int
    first: Int
    last: Int

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return with_values(self.first, {_PLACE: i}), with_values(self.last, {_PLACE: j})


@dataclass(frozen=True, slots=True)
class Unknown(OfLength):
    """An axis whose length is known, and not who reads whom: no formula, and why."""

    length: Int
    why: str = "what n repeated blocks read along this axis has no closed form that is known here"

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        raise Undecidable(
            self.why, cure="ask at a size: .at(...), or give the number of blocks as a number"
        )


#: The output index in `Between`; before clipping it may be negative.
_PLACE = "@"


def _unknown(dims: Sequence[Int]) -> Axes:
    why = "what the blocks of two repeats read of each other has no closed form here"
    return tuple((axis, Unknown(size, why)) for axis, size in enumerate(dims))


def _index_name(index: Any) -> str:
    if index is None:
        return "i"
    good = isinstance(index, sympy.Symbol) and index.is_integer and index.is_nonnegative
    if not good or index.is_positive:
        raise BadSpec(f"index={index!r} does not count from 0", cure='i = symcnn.index("i")')
    return str(index.name)


def _put(dims: Sequence[Int], values: Mapping[str, Int]) -> tuple[Int, ...]:
    return tuple(with_values(d, values) for d in dims)


def _module_at(module: Module, values: Mapping[str, Int]) -> Module:
    """A copy of a module, parameters of its own, with symbols replaced throughout."""
    made: dict[int, Any] = {}

    def put(value: object) -> object:
        if isinstance(value, (Parameter, Module)):
            if id(value) not in made:
                if isinstance(value, Parameter):
                    dims = _put(value.dims, values)
                    made[id(value)] = Parameter(dims, value.name, trainable=value.trainable)
                else:
                    made[id(value)] = twin = copy.copy(value)
                    twin.__dict__.update({k: put(v) for k, v in vars(value).items()})
            return made[id(value)]
        if isinstance(value, Size):
            return value.subs(values)
        if isinstance(value, (tuple, list)):
            return type(value)(map(put, value))
        if isinstance(value, dict):
            return {k: put(v) for k, v in value.items()}
        if isinstance(value, sympy.Basic):
            return put(from_sympy(value))
        return value

    twin = put(module)
    assert isinstance(twin, Module)
    return twin


# The recurrence ------------------------------------------------------------------------------


def _traced(
    block: Module, dims: tuple[Int, ...], read: Sequence[Any]
) -> tuple[Tape, SymbolicTensor, list[SymbolicTensor]]:
    x = SymbolicTensor(dims)
    tape = Tape(paths={id(m): path for path, m in block.named_modules()})
    with tape.running():
        output = block(x, *read)
    return tape, x, list(tensors_in(output))


def _repeated(
    repeat: Repeat, block: Module, input: SymbolicTensor, given: Sequence[Emitted]
) -> Outputs:
    index, n = repeat.index, repeat.n
    families = [family for family in given if isinstance(family, Family) and family.count == n]
    if len(families) != len(given):
        raise BadSpec("a repeat reads the families of a repeat of as many blocks")
    taken = symbols_of(*input.dims, *(d for f in families for d in f.dims))
    depth = next(d for d in range(99) if not any(name.startswith(f"@{d}.") for name in taken))
    fresh = [f"@{depth}.{axis}" for axis in range(input.ndim)]
    read = [family.popped(index) for family in families]
    # First on unknown shapes; then on the channels that the block turned out to ask for.
    tape, x, outputs = _traced(block, tuple(map(Size.symbol, fresh)), read)
    expected = _expected(tape, fresh)
    if expected:
        dims = tuple(expected.get(name, Size.symbol(name)) for name in fresh)
        tape, x, outputs = _traced(block, dims, read)
    state = outputs[0]
    if state.ndim != input.ndim:
        raise ShapeMismatch(
            f"block 0 gives {Shape.of(state.dims)}, block 1 takes {input.ndim} axes"
        )
    values = _solved(fresh, expected, input.dims, state.dims, index)
    here = {index: n}
    final = _put([values[name] for name in fresh], here)
    macs = sum((node.result.work for node in tape.nodes), 0)
    total = summation(with_values(macs, values), index, n)
    entering = [
        Condition(input.dims[axis], "==", with_values(expected[name], {index: 0}), _FIRST)
        for axis, name in enumerate(fresh)
        if name in expected
    ]
    undecided = tuple(r for r in entering if not decide_syntactically(r))
    requires = undecided + _requirements(tape, values, index, n)
    axes = _axes(tape, x, state, values, index, n, final)
    emitted = [_put(t.dims, values) for t in outputs[1:]]
    result = Result(
        (final, *emitted),
        axes,
        total,
        requires,
        single=not emitted,
        others=tuple((family, _unknown(final)) for family in families),
        parts=(axes, *map(_unknown, emitted)) if emitted else (),
        blocks=Blocks(tuple(tape.nodes), x, tuple(read), tuple(outputs), index, n, values),
    )
    weights = [value for value in vars(repeat).values() if isinstance(value, Parameter)]
    node = record("repeat", (input, *families, *weights), result)
    if not emitted:
        return node.outputs[0]
    node.outputs = (node.outputs[0], *(Family(dims, node, index, n) for dims in emitted))
    return node.outputs


def _expected(tape: Tape, fresh: Sequence[str]) -> dict[str, Int]:
    """What the block asks of its input's axes: ``channels == 2**i*C``."""
    found: dict[str, Int] = {}
    for node in tape.nodes:
        for r in node.result.requires:
            if isinstance(r, Condition) and r.relation == "==":
                for one, other in ((r.lhs, r.rhs), (r.rhs, r.lhs)):
                    atom = sz.sole_atom(one)
                    if (
                        isinstance(atom, sz.Symbol)
                        and atom.name in fresh
                        and not symbols_of(other) & set(fresh)
                    ):
                        found.setdefault(atom.name, other)
    return found


def _solved(
    fresh: Sequence[str],
    expected: Mapping[str, Int],
    start: Sequence[Int],
    step: Sequence[Int],
    index: str,
) -> dict[str, Int]:
    """The input shape of block `index`, axis by axis."""
    i = sz.Symbol(index, 0).size()
    values: dict[str, Int] = {}
    waiting = list(range(len(fresh)))
    while waiting:
        for axis in waiting:
            name = fresh[axis]
            after = with_values(step[axis], values)
            if (symbols_of(after) & set(fresh)) <= {name}:
                break
        else:
            raise Undecidable(f"the sizes {Shape.of(tuple(step))} depend on each other")
        waiting.remove(axis)
        if name in expected:
            values[name] = want = expected[name]
            first = Condition(start[axis], "==", with_values(want, {index: 0}), _FIRST)
            if decide_syntactically(first) is False:
                _fits(start, axis, first.rhs, "the input is", 0)
            takes = with_values(want, {index: i + 1})
            if after != takes:
                known = {name: with_values(value, {index: i + 1}) for name, value in values.items()}
                shape = [
                    known.get(other, before) for other, before in zip(fresh, start, strict=True)
                ]
                shape[axis] = after
                for j in range(32):
                    at = {index: j}
                    _fits(_put(shape, at), axis, with_values(takes, at), f"block {j} gives", j + 1)
                raise Undecidable(f"block {index} gives {after}, the next takes {takes}: equal?")
        else:
            values[name] = iterate(after, name, index, start[axis])
    return values


def _fits(shape: Sequence[Int], axis: int, takes: Int, who: str, block: int) -> None:
    if shape[axis] != takes:
        wanted = [*shape]
        wanted[axis] = takes
        raise ShapeMismatch(
            f"{who} {Shape.of(tuple(shape))}, block {block} takes {Shape.of(tuple(wanted))}",
            cure="what a block gives must be what the next one takes",
        )


def _requirements(
    tape: Tape, values: Mapping[str, Int], index: str, n: Int
) -> tuple[Requirement, ...]:
    """What the blocks require, each for all i; what always holds is dropped."""
    least = lower(n)
    kept: dict[Requirement, None] = {}
    for node in tape.nodes:
        for requirement in node.result.requires:
            r = substituted(requirement, values)
            if decide_syntactically(r):
                continue
            if index not in r.symbols:
                if decide_syntactically(r) is False:
                    raise failure(node.name or node.op, r)
                kept[r if least is not None and least > 0 else ForAll(r, index, n)] = None
                continue
            backwards = {index: n - 1 - sz.Symbol(index, 0).size()}
            if decide_syntactically(substituted(r, backwards)):
                continue
            for block in range(8):
                at = substituted(r, {index: block})
                if decide_syntactically(at) is False:
                    error = failure(f"block {block} ({node.op})", at)
                    raise error
            kept[ForAll(r, index, n)] = None
    return tuple(kept)


# Who reads whom ------------------------------------------------------------------------------


def _axes(
    tape: Tape,
    x: SymbolicTensor,
    state: SymbolicTensor,
    values: Mapping[str, Int],
    index: str,
    n: Int,
    final: Sequence[Int],
) -> Axes:
    """One map per axis of the last state, through all blocks."""
    found = Pass(tape.nodes, x, tuple(range(x.ndim))).run()
    axes: list[tuple[int | None, AxisMap]] = [(None, IDENTITY)] * len(final)
    for source, reach in enumerate(found.reaches.get(state, ())):
        if found.assumed or type(reach) is Unread:
            along = frozenset({source})
        else:
            along = axes_of(reach.first, reach.last)
            if not along:  # through all blocks, as through one, the axis is read whole
                continue
        for axis in along:
            axis_map: AxisMap = Unknown(final[axis])
            if len(along) == 1 and not found.assumed:
                axis_map = _through_all(reach, axis, values, index, n, final[axis])
            axes[axis] = (source, axis_map)
    return tuple(axes)


def _through_all(
    reach: ReadRange, axis: int, values: Mapping[str, Int], index: str, n: Int, length: Int
) -> AxisMap:
    """What one block reads along an axis, n times."""
    if type(reach) is AffineRange:
        if (reach.stride, reach.left, reach.reach, reach.right) == (1, 0, 0, 0):
            return IDENTITY
        window = _window(reach, values, index, n)
        if window is not None:
            return window
    if isinstance(reach, (AffineRange, IndexRange)) and not (
        isinstance(reach, IndexRange) and reach.digits
    ):
        symbol = index_symbol(axis)
        back = {index: n - 1 - sz.Symbol(index, 0).size()}
        place = sz.Symbol(_PLACE, None).size()
        ends = []
        for end in (reach.first, reach.last):
            if sign(end, symbol.name) != 1:
                return Unknown(length)
            step = with_values(with_values(with_values(end, values), back), {symbol.name: place})
            try:
                solved = iterate(step, _PLACE, index, place, low=None)
            except Undecidable:
                return Unknown(length)
            ends.append(with_values(solved, {index: n}))
        return Between(length, *ends)
    return Unknown(length)


def _window(line: AffineRange, values: Mapping[str, Int], index: str, n: Int) -> Window | None:
    """N windows in a row are one window."""
    stride, left, last, right = _put((line.stride, line.left, line.reach, line.right), values)
    if index in symbols_of(stride):
        return None
    step = power(stride, sz.Symbol(index, 0).size())
    left, last, right = (summation(each * step, index, n) for each in (left, last, right))
    return Window(1 + left + last, power(stride, n), left, right)
