"""The values that tensors of a trace hold, where they were made from sizes.

What an operation makes of them is a law of its record (`symcnn.ops.values`); here stands where they
come from: traced tensors, real ones that hold a few whole numbers, and python's numbers.

Integers are exact. Tensors divide in 32-bit floats: a quotient of sizes is followed as long as
rounding cannot change its floor or ceiling, which is for numerators up to `FLOAT_LIMIT` and sums;
products of quotients are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from math import prod
from typing import Any, cast

import torch

from symcnn.algebra.axis import Axes
from symcnn.algebra.size import Size
from symcnn.errors import DataDependent
from symcnn.frontends.torch.arguments import INDEXED, PLAIN, flat
from symcnn.frontends.torch.arrays import beside, of_numpy
from symcnn.frontends.torch.irrational import Irrational, in_tensor
from symcnn.frontends.torch.sizes import SIZES, Dim, Real
from symcnn.frontends.torch.tensors import Masked, TracedTensor, beneath
from symcnn.frontends.torch.writes import Writes
from symcnn.ops import values
from symcnn.ops.corners import PLACED, SEVERAL, Between, Corners, Everywhere
from symcnn.ops.dtypes import WHOLES
from symcnn.ops.laws import Value, are_whole
from symcnn.ops.operation import Operation
from symcnn.ops.piecewise import OF_TRUTHS, Piecewise
from symcnn.ops.positions import Positions, Stack
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Parameter, SymbolicTensor, tree_map
from symcnn.trace.tape import Tape, entails

#: With ``|p| <= 2**21`` a quotient ``p/q`` is off by less than ``1/(8*q)`` per rounding, while no
#: whole number that it is not is nearer than ``1/q``.
FLOAT_LIMIT = 1 << 21

#: Of so many elements an array is still a list of numbers.
MANY = 64

#: Of so many elements it is asked whether they are positions.
_ROWS = 1 << 12

_WHOLES = frozenset(getattr(torch, name) for name in WHOLES)


#: What says whether a gradient of a tensor is wanted.
_SWITCHES = {torch.Tensor.requires_grad_, vars(torch._C.TensorBase)["requires_grad"].__set__}

#: Arguments that say nothing of values.
_NO_VALUES = (torch.nn.Module, torch.device, torch.memory_format)

#: So large whole numbers are themselves in every dtype.
LARGEST = 127


def _is_known(value: object) -> bool:
    if type(value) is tuple or type(value) is list:
        return any(map(_is_known, value))
    return type(value) is TracedTensor and value._number_since is not None


def _in_order(
    record: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by position, as far as names say those that come next."""
    given, named = [*args], {**kwargs}
    for name in [*signature(record.rule).parameters][len(given) :]:
        if name not in named:
            break
        given.append(named.pop(name))
    return given, named


def _axes_of(made: SymbolicTensor) -> tuple[Axes, int]:
    """How the axes of a result read those of the first tensor, and how many these are."""
    node = made.node
    assert node is not None
    axes = node.result.parts[node.outputs.index(made)] if node.result.parts else node.result.axes
    return axes or (), node.inputs[0].ndim if len(node.inputs) == 1 else -1


def _span(value: object) -> Any:
    """What is told of the values of a tensor of any number of elements, beside one number; of the
    first of several of which something is.
    """
    if type(value) is tuple or type(value) is list:
        return next((told for told in map(_span, value) if told is not None), None)
    number = value._number if type(value) is TracedTensor else None
    return number if type(number) in (Between, Piecewise, *PLACED) else None


def _numbers(number: Any) -> Sequence[object]:
    """One number as several, those of an array, or those at the ends."""
    if type(number) in (Between, Corners):
        ends: Sequence[object] = number.ends
        return ends
    return [*number.flat] if hasattr(number, "flat") else [number]


def _whole(value: Any) -> Any:
    """A float that is a size exactly, as that; all else as it is."""
    size = value.whole if type(value) is Real and not value.through else None
    return value if size is None else size


def _everywhere(told: Any) -> Any:
    """Positions that are one number as that; all else as it is."""
    same = type(told) is Positions and not told.moves and type(told.start) is int
    return Everywhere(told.start) if same else told


def _sole_number(value: Any) -> Any:
    """The one number of a tensor, or of an array; None of sizes."""
    if type(value) is Everywhere:
        return value.number
    if hasattr(value, "flat"):
        first, *others = value.flat if value.shape else (value.item(),)  # numpy's own numbers
        return _sole_number(first) if all(type(v) is int and v == first for v in others) else None
    return None if type(value) in SIZES else value


def _as_dtype(number: Any, made: SymbolicTensor, small: bool) -> Any:
    """A number as all of a tensor of that dtype holds it; None where it may round or wrap."""
    fits = type(number) in (bool, int, float) and -LARGEST <= number <= LARGEST
    if not fits or number != int(number) or 0 in made.dims:
        return None
    number = int(number != 0) if made.dtype == "bool" else int(number)
    if number < 0 and made.dtype in ("uint8", "uint16", "uint32", "uint64"):
        return None
    if not small:
        return Everywhere(number)
    import numpy as np

    return np.full(made.dims, number, dtype=object) if made.dims else number


#: Dtypes of wide numbers, in which sizes are not too large.
_WIDE = ("int64", "int32", "float64", "float32")


def _is_held(told: Any, dtype: str) -> bool:
    """Whether a tensor of that dtype holds the whole numbers: none is cut off, or rounded."""
    if told is None or dtype in ("", *_WIDE):
        return True
    kind = getattr(torch, dtype)
    if type(told) is Piecewise:
        return dtype == "bool"
    if dtype == "bool" or kind.is_complex:
        return False
    if kind.is_floating_point:
        most = int(2 / torch.finfo(kind).eps)
        least = -most
    else:
        least, most = torch.iinfo(kind).min, torch.iinfo(kind).max
    ends = getattr(told, "ends", (told,))
    return all(type(end) is int and least <= end <= most for end in ends)


#: What makes a tensor of an array of numpy.
_FROM_ARRAYS = frozenset((torch.tensor, torch.as_tensor, torch.asarray))


def of_objects(value: object) -> tuple[object, torch.dtype] | None:
    """An array of numpy in which sizes stand, as nested lists, and the dtype of such numbers."""
    if "ndarray" not in (k.__name__ for k in type(value).__mro__):
        return None
    import numpy as np

    plain = np.ndarray.view(cast(Any, value), np.ndarray)
    if str(plain.dtype) != "object":
        return None
    whole = all(type(n) in (int, bool, Dim) for n in _numbers(plain))
    told = getattr(value, "told", None)
    kind = torch.int64 if whole else torch.float64
    return plain.tolist(), of_numpy(told) if told else kind


class Values:
    """The part of a trace that knows what small tensors hold."""

    writes: Writes
    tape: Tape
    leaves: dict[int, SymbolicTensor]
    _guard: Callable[..., None]  # records a requirement
    dispatch: Callable[..., Any]  # runs a function
    apply: Callable[..., Any]  # runs a rule
    unwrap: Callable[[Any], Any]
    leaving: Callable[[Exception], Exception]
    decide: Callable[[Condition], bool]

    def _of_values(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function of tensors with values, run. What it freezes or trains is that once read."""
        if func in _FROM_ARRAYS and args and (found := of_objects(args[-1])) is not None:
            return self.dispatch(torch.tensor, found[:1], {"dtype": found[1], **kwargs})
        leaf = self.leaves.get(id(args[0])) if func in _SWITCHES else None
        if type(leaf) is Parameter and not any(leaf in node.inputs for node in self.tape.nodes):
            leaf.trainable = bool((*args[1:], *kwargs.values(), True)[0])
        return self.writes.run(func, args, kwargs)

    def _again(self, number: Any) -> Any:
        """The values of a tensor, in this run."""
        if type(number) is Dim:
            return Dim(number.expr, self)  # type: ignore[arg-type]
        if type(number) is Real:
            return number.again(self)  # type: ignore[arg-type]
        if type(number) in (Between, Corners):
            return replace(number, ends=(*map(self._again, number.ends),))
        if hasattr(number, "flat"):  # an array of them
            number = number.copy()
            number.flat[:] = [*map(self._again, number.flat)]
        return number

    def _is_small(self, made: SymbolicTensor) -> bool:
        """Whether a tensor may be a list of sizes: few whole numbers, however they are stored."""
        numbers = [size for size in made.dims if type(size) is int]
        return 0 in numbers or (len(numbers) == len(made.dims) and prod(numbers) <= MANY)

    def number(self, record: Operation, args: Any, kwargs: Any, made: SymbolicTensor) -> Any:
        """The values of a result, if they are made from sizes, or one number everywhere. What they
        are made of is read.
        """
        if kwargs and any(isinstance(v, torch.Tensor) for v in kwargs.values()):
            args, kwargs = _in_order(record, args, kwargs)
        found = self._made(record, args, kwargs, made)
        if found is not None:
            moved = {*map(id, _numbers(found))}
            for t in flat([*args, *kwargs.values()]):
                held = _numbers(t._number) if type(t) is TracedTensor else ()
                self.read([n for n in held if id(n) not in moved])
        return found

    def _made(self, record: Operation, args: Any, kwargs: Any, made: SymbolicTensor) -> Any:
        law, dims = record.value, cast("tuple[int, ...]", made.dims)
        if law is values.by_axes:
            if not (args and (_is_known(args[0]) or type(args[0]) is not TracedTensor)):
                return None
            law, args, kwargs = values.moved(*_axes_of(made)), args[:1], {}
        small = not dims or self._is_small(made)
        if law is not None and law.makes is not None:
            return law.makes(args, kwargs, dims)
        if law is not None and law.moves and args and not small and self._is_row(args[0]):
            return _everywhere(self._of_span(law, args, kwargs, made))
        if made.dtype == "bool" and law is not None and law.cases in OF_TRUTHS:
            law = replace(law, cases=OF_TRUTHS[law.cases])
        if law is None or not (small or record.uniform or any(map(_is_known, args))):
            return None
        args = [a for a in args if not isinstance(a, _NO_VALUES)]
        if any(_span(a) is not None for a in args):
            told = self._of_span(law, args, kwargs, made)
            if told is not None or not record.uniform:  # such as of ones alike
                return told
        held = [*map(self._held, args)]
        if record.uniform and held and held[0] is None and self._is_row(args[0]):
            alone = _everywhere(self._row(args[0]))
            held[0] = alone if type(alone) is Everywhere else None
        if not small or Everywhere in map(type, held):
            alike = law.of_one_number(
                [a if type(a) is Dim else _sole_number(h) for a, h in zip(args, held, strict=True)],
                kwargs,
            )
            if law.of_none is not None and alike is not None and self._is_empty(args[0]):
                alike = law.of_none
            if type(alike) is Dim and 0 not in dims:
                return Positions.everywhere(alike.expr, dims)
            several = any(type(h) is Everywhere or hasattr(h, "flat") for h in held)
            if alike is None and law.positions is not None and several and self._are_told(args):
                return self._of_span(law, args, kwargs, made)
            return _as_dtype(alike, made, small)
        named = {k: self._held(v) for k, v in kwargs.items() if k not in ("device", "dtype")}
        if dims or any(isinstance(v, (tuple, list)) or hasattr(v, "flat") for v in held):
            found = law.of_arrays(held, named, dims)
            return found.item() if hasattr(found, "flat") and not found.ndim else found
        numbers = [self.value_of(a) for a in args]
        if not numbers or numbers[0] is None:
            return None
        if law.grows:
            told = type(numbers[0]) in (Dim, Real)
            return in_tensor(record.name, *args, *numbers) if told else None
        words = (torch.dtype, str)
        given = [a if isinstance(a, words) else v for a, v in zip(args, numbers, strict=True)]
        return law.of_numbers(given, kwargs)

    def _is_row(self, value: Any) -> bool:
        """Whether it is a tensor of whole numbers with values, and these are positions."""
        real = isinstance(value, torch.Tensor) and type(value) is not TracedTensor
        return real and value.numel() <= _ROWS and self._row(value) is not None

    def _is_empty(self, value: Any) -> bool:
        """Whether a tensor has no elements, on the branch that is followed."""
        sizes = value._value.empties if type(value) is TracedTensor else ()
        return any(self.decide(Condition(size, "==", 0)) for size in sizes)

    def _are_told(self, args: Any) -> bool:
        """Whether something is told of every tensor."""
        return all(self._row(a) is not None for a in args if isinstance(a, torch.Tensor))

    def _of_span(self, law: Value, args: Any, kwargs: Any, made: SymbolicTensor) -> Any:
        """What is told of a result, where something is told of an argument."""
        if law is values.picked and isinstance(args[1], torch.Tensor):
            args = [args[0], (args[1],)]  # not None, which is a new axis
        ends = self._of_ends(law, args, kwargs, made.dims)
        ends = ends if _is_held(ends, made.dtype) else None
        if ends is not None and type(ends) not in (Between, Corners):
            return ends
        by_place = self._by_place(law, args, kwargs, made)
        by_place = by_place if _is_held(by_place, made.dtype) else None
        return by_place if ends is None else replace(ends, by_place=by_place)

    def _by_place(
        self, law: Value, args: Any, kwargs: Any, made: SymbolicTensor
    ) -> Piecewise | None:
        """What is told of a result place by place."""
        dims = made.dims
        if law.moves:
            first = self._formulas(args[0])
            if type(first) is not Piecewise or law.positions is None:
                return None
            move = law.positions
            return first.moved(lambda row: move([row, *args[1:]], kwargs, cast("Any", dims)), dims)
        if law.by_place is not None:
            each = args[0] if type(args[0]) in (tuple, list) else ()
            formulas = [*map(self._formulas, each)]
            return law.by_place([formulas, *args[1:]], kwargs, cast("Any", dims))  # type: ignore[no-any-return]
        cases = law.cases
        given = [*map(self._formulas, args)]
        if cases is None or not dims or None in given:
            return None
        return Piecewise.made(cases, given, kwargs, dims)

    def _formulas(self, value: Any) -> Any:
        """An argument as formulas of places; None of a tensor of which nothing such is told."""
        if not isinstance(value, torch.Tensor):
            return _whole(value)
        told: Any = value._number if type(value) is TracedTensor else None
        if type(told) is Piecewise:
            return told
        row = self._row(value)
        known = row.by_place if isinstance(row, (Between, Corners)) else None
        shape = value._value.dims if type(value) is TracedTensor else tuple(value.shape)
        return known or Piecewise.of(row, shape)

    def _of_ends(self, law: Value, args: Any, kwargs: Any, dims: Any) -> Any:
        """What is told of its positions, or of the least and the largest."""
        several = (tuple, list)
        told = [None if type(a) in several or type(s := _span(a)) is Piecewise else s for a in args]
        if not any(told) and any(type(_span(a)) is Piecewise for a in args):
            return None
        if Between not in map(type, told):
            found = law.positions and law.positions([*map(self._rows, args)], kwargs, dims)
            if found is None or type(found) is Between:
                found = law.of_corners([*map(self._corners, args)], kwargs) or found
            if type(found) is Between:
                return self._between(found)
            if found is not None:  # of no axes, the number
                return found if dims else self._between(found).ends[0]
        spans = [t if t is None else self._between(t) for t in told]
        others = (self.value_of(a) if isinstance(a, torch.Tensor) else a for a in args)
        return law.of_ends([a or b for a, b in zip(spans, others, strict=True)], kwargs)

    def _corners(self, value: Any) -> Any:
        """An argument with what is told of its corners; None of a tensor of which nothing is."""
        if not isinstance(value, torch.Tensor):
            return value
        found = Corners.of(self._row(value))
        return found and replace(found, ends=self._between(found).ends)

    def _rows(self, value: Any) -> Any:
        """An argument with what is told of tensors in place of them; of several, of each that is
        never empty.
        """
        if isinstance(value, torch.Tensor):
            return self._row(value)
        value = _whole(value)
        if type(value) not in (tuple, list) or not all(isinstance(v, torch.Tensor) for v in value):
            return value
        empty = [0 in v.shape or (type(v) is TracedTensor and v._value.empties) for v in value]
        return [None if e else self._row(v) for e, v in zip(empty, value, strict=True)]

    def _row(self, value: torch.Tensor) -> Between | Corners | Positions | Stack | None:
        """What the whole numbers of a tensor are made of; None where that is not told."""
        number: Any = None
        if type(value) is TracedTensor:
            number = value._number
            if type(number) is Everywhere:
                return Positions.everywhere(number.number, value._value.dims)
        elif value.dtype in _WHOLES and value.device.type == "cpu":
            number = self.writes.current(value).numpy().astype(object)
        if type(number) in (Between, Corners):
            return number  # type: ignore[no-any-return]
        found = Positions.of(number)
        few = getattr(number, "size", 0) <= MANY
        return Stack.of(number) if found is None and few else found

    def _between(self, told: Any) -> Between:
        """The ends of what is told, for laws of numbers."""
        return Between(tuple(Dim(e, self) if type(e) is Size else e for e in told.ends))  # type: ignore[arg-type]

    def _each_number(
        self, record: Operation, args: Any, kwargs: Any, made: Sequence[SymbolicTensor]
    ) -> Any:
        """The values of each of several results, if they are made from sizes."""
        if record.value is values.by_axes:
            return [self.number(record, args, kwargs, part) for part in made]
        law = None if record.value is None else record.value.parts
        if law is None:
            return None
        listed = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
        held = [self._held(a) if (told := _span(a)) is None else told for a in listed]
        return law(held, kwargs, cast("tuple[int, ...]", made[0].dims))

    beside = staticmethod(beside)

    def picked(
        self,
        operation: object,
        name: str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        error: DataDependent,
    ) -> TracedTensor:
        """What a mask picks, or what is done point by point to that, or what is made of a few
        sizes; raises the error otherwise.
        """
        law = getattr(operation, "value", None)
        if law is not None and law.lists is not None:
            found: TracedTensor = self._of_list(law.lists, args, kwargs, error)
            return found
        mask = self.unwrap(args[1]) if name in INDEXED and len(args) == 2 else None
        if isinstance(mask, SymbolicTensor):
            masked = Masked(self.unwrap(args[0]), mask, partial(self.leaving, error))
        else:
            first, every = beneath(operation, args, kwargs)
            if first is None:
                raise error
            made = self.unwrap(self.apply(operation, name, every, kwargs))
            masked = Masked(made, first.mask, first.refuse)
        return TracedTensor.of(masked, self)  # type: ignore[arg-type]

    def _of_list(self, law: Any, args: Sequence[Any], kwargs: Any, error: DataDependent) -> Any:
        """What is made of a row of few sizes; raises the error of other tensors."""
        first, *rest = args
        row = self._held(first)
        if getattr(row, "ndim", 0) != 1 or not are_whole([*row]):
            raise error
        found, *others = law([*row], *rest, **kwargs)
        made = self.dispatch(torch.tensor, (found,), {"dtype": first.dtype})
        return (made, *map(torch.tensor, others)) if others else made

    def read(self, numbers: Iterable[object]) -> None:
        """What a tensor holds is asked for. Tensors divide in 32-bit floats: exact up to a size."""
        for value in numbers:
            if type(value) is Real:
                exact = Condition(FLOAT_LIMIT, ">=", value.gap(0))
                if entails(exact) is not True:
                    self._guard(exact, "32-bit floats may round beyond")

    def _held(self, value: Any) -> Any:
        """An argument with the values of small tensors in place of them; None if they have none."""
        if isinstance(value, (tuple, list)):
            return (
                type(value)(map(self._held, value))
                if type(value) in (tuple, list)
                else [*map(self._held, value)]
            )
        if isinstance(value, TracedTensor):
            number = value._number
            return None if _span(value) is not None or type(number) is Irrational else number
        if isinstance(value, torch.Tensor):
            if not value.ndim:
                return self.value_of(value)
            told = value.dtype in _WHOLES or value.dtype is torch.bool
            if not told or value.is_meta or value.numel() > MANY:
                return None
            return self.writes.current(value).numpy().astype(object)
        return None if type(value) is Irrational else value

    def value_of(self, value: Any) -> Any:
        """An argument as a number: a size, a number, or a 0-d tensor that holds one; else None."""
        if isinstance(value, TracedTensor):
            number = value._number
            return None if type(number) in SEVERAL or hasattr(number, "flat") else number
        if isinstance(value, torch.Tensor):
            integer = not value.ndim and not value.dtype.is_floating_point and not value.is_meta
            if not integer or value.is_complex():
                return None
            return int(self.writes.current(value))
        return value if isinstance(value, (int, Dim, Real)) else None

    def with_extremes(self, traced: TracedTensor) -> SymbolicTensor:
        """A traced tensor as the kernel's, with the whole numbers that it holds now."""
        number, found = traced._number, traced._value
        if type(number) is Piecewise:
            found.extremes = number.everywhere or ()
            return found
        number = number.number if type(number) is Everywhere else number
        held = getattr(number, "ends", None) or [*getattr(number, "flat", [number])]
        told = {int, Dim, Size}.issuperset(map(type, held))
        found.extremes = tuple(dict.fromkeys(getattr(v, "expr", v) for v in held)) if told else ()
        return found

    def with_ends(self, leaf: SymbolicTensor, real: torch.Tensor) -> SymbolicTensor:
        """A tensor of whole numbers with the least and the largest that it holds now."""
        if real.dtype in _WHOLES and real.device.type == "cpu" and 0 not in leaf.dims:
            held = self.writes.current(real).numpy()
            leaf.extremes = (int(held.min()), int(held.max()))
        return leaf

    def as_list(self, value: object, least: int) -> object:
        """A tensor of a few numbers as a list of them, if it has as many axes; a 0-d one as the
        number; all else as it is.
        """
        if not isinstance(value, torch.Tensor) or value.dim() > 1:
            return value
        numbers: Any = self._held(value)
        if hasattr(numbers, "flat"):
            return numbers.tolist()
        known = value.dim() == 0 and isinstance(numbers, int)
        return value if not known else numbers if least else [numbers]

    def plain(self, value: object) -> object:
        """A 0-d tensor that holds a number as the number; all else as it is: one with axes is an
        index, but for the bounds of a slice.
        """
        if isinstance(value, slice):
            return slice(*map(self.sole, (value.start, value.stop, value.step)))
        return value if isinstance(value, torch.Tensor) and value.dim() else self.sole(value)

    def plain_index(self, index: object) -> object:
        """An index as a view remembers the index, which is not to hold tensors: those that hold one
        number are numbers; None where others pick, who make a copy.
        """
        (index,) = tree_map(self.plain, [index])
        return None if flat([index]) else index

    def sole(self, value: object) -> object:
        """A tensor of one element that holds a number as the number; all else as it is."""
        if type(value) in PLAIN or not isinstance(value, torch.Tensor):
            return value
        held: Any = self._held(value)
        if hasattr(held, "flat"):
            held = held.flat[0] if held.size == 1 else None
        number = None if type(held) in SEVERAL else held
        self.read((number,))
        return value if number is None else number
