"""Cures for a forward whose shapes do not agree: changes to the model, tried before they are said.

The law: two sizes disagree, `have` and `want`. What decides either is a whole number v that someone
wrote: a hyperparameter of a layer, the size of a parameter, an attribute, a number in the line that
fails. If v stands behind `have`, then ``v*want/have`` in its place makes both agree, and if it
stands behind `want`, ``v*have/want`` (for a padding, half the difference). Which of the numbers
around the failure stand behind them nobody needs to know: each is changed in a copy of the model
that shares all weights, and the copy is traced. A cure may take a few steps, as the layer behind
the one that changed has to follow; where one mistake was made in many places, the change that gets
farthest is kept, and what fails behind it is cured in turn.
"""

from __future__ import annotations

import copy
import dis
import inspect
import linecache
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from types import CodeType, FunctionType, MethodType
from typing import Any

from symcnn.algebra.size import Int, Size
from symcnn.errors import SymcnnError
from symcnn.shown import Shown
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor
from symcnn.trace.tape import Attempt
from symcnn.trace.where import Where, line_of

#: So many changes are tried, so many steps belong to one cure, and so many are cured in turn.
_TRIES, _STEPS, _SAID, _TURNS = 48, 3, 3, 12

#: A try of so many operations counts as two, one of twice as many as three.
_LONG = 1_000

#: Traces a model again: the error, and how many operations came before.
Again = Callable[[Any], "tuple[SymcnnError | None, int]"]


@dataclass(frozen=True, slots=True)
class Cure(Shown):
    """Changes that make shapes agree: python, or ``file.py:12:`` and the line as it should be."""

    steps: tuple[str, ...]
    complete: bool  # nothing else fails then

    def __str__(self) -> str:
        return "\n".join(self.steps)


@dataclass(frozen=True, slots=True)
class _Change:
    """One change: how it is written, and what it does to a copy of the model."""

    text: str
    apply: Callable[[Any], None]
    unlikely: bool = False

    @property
    def target(self) -> str:
        """What is changed: of one cure, no step undoes another."""
        return self.text.partition(" = ")[0]


@dataclass(frozen=True, slots=True)
class _Left:
    """What fails after a cure: the changed model, its error, how many operations come before."""

    module: Any
    error: SymcnnError
    position: int


def cures(
    module: object, error: SymcnnError, position: int, again: Again, turns: int = _TURNS
) -> tuple[Cure, ...]:
    """Up to three cures for an error of a trace, the shortest first.

    position: how many operations came before it.
    """
    left = [_TRIES]
    found: dict[Cure, _Left | None] = {}
    for cure, after in _search(module, error, position, again, left, (), _STEPS):
        found.setdefault(cure, after)
        if sum(c.complete for c in found) >= _SAID:
            break
    whole = sorted((c for c in found if c.complete), key=lambda cure: len(cure.steps))
    if whole:
        return tuple(whole[:_SAID])
    parts = sorted(found, key=lambda cure: len(cure.steps))[:_SAID]
    going_on = [(after, cure) for cure in parts if (after := found[cure]) is not None]
    if going_on and turns > 0:
        rest, first = max(going_on, key=lambda pair: pair[0].position)
        then = cures(
            rest.module, rest.error, rest.position, again, turns - 1 - rest.position // _LONG
        )
        if then and then[0].complete:
            return Cure((*first.steps, *then[0].steps), complete=True), *parts[: _SAID - 1]
    return tuple(parts)


def _search(
    module: Any,
    error: SymcnnError,
    position: int,
    again: Again,
    left: list[int],
    before: tuple[str, ...],
    steps: int,
) -> Iterator[tuple[Cure, _Left | None]]:
    """Cures that begin with one change to the module, breadth first, and what fails after each."""
    further: list[tuple[Any, SymcnnError, int, tuple[str, ...]]] = []
    done = False
    taken = {step.partition(" = ")[0] for step in before}
    for change in _changes(module, error):
        if left[0] <= 0:
            return
        if change.target in taken or (done and change.unlikely):
            continue
        left[0] -= 1
        with suppress(Exception):  # a layer that cannot be built so, a copy that cannot be made
            changed = _shallow(module)
            change.apply(changed)
            failure, reached = again(changed)
            left[0] -= reached // _LONG
            said = (*before, change.text)
            if failure is None:
                done = True
                yield Cure(said, complete=True), None
                continue
            if reached > position:
                yield Cure(said, complete=False), _Left(changed, failure, reached)
            if failure.attempt is not None and failure.attempt.module != _module_of(error):
                further.append((changed, failure, reached, said))
    if steps > 1 and not done:
        for changed, failure, reached, said in further:
            yield from _search(changed, failure, reached, again, left, said, steps - 1)


def _module_of(error: SymcnnError) -> str | None:
    return error.attempt.module if error.attempt is not None else None


def _shallow(module: Any) -> Any:
    """A copy whose children and parameters are the same objects."""
    twin = copy.copy(module)
    for name in ("_modules", "_parameters", "_buffers"):
        if name in vars(twin):
            vars(twin)[name] = vars(twin)[name].copy()
    for name, value in [*vars(twin).items()]:
        if isinstance(value, MethodType) and value.__self__ is module:
            vars(twin)[name] = MethodType(value.__func__, twin)
    return twin


def _own(model: Any, path: str) -> Any:
    """The module at a path, copied with all on the way to it, so that it can be changed."""
    for name in path.split(".") if path else ():
        children, key = _slot(model, name)
        child = _shallow(getattr(model, name) if key is None else children[key])
        _put_child(model, name, child)
        model = child
    return model


def _put_child(owner: Any, name: str, child: Any) -> None:
    children, key = _slot(owner, name)
    if key is None:
        setattr(owner, name, child)
    else:
        children[key] = child


def _slot(owner: Any, name: str) -> tuple[Any, Any]:
    """Where a module holds a child, and by which key; the key is None of an attribute."""
    children: Any = getattr(owner, "_modules", {})
    if isinstance(children, list):  # of symcnn.nn.Sequential, which may have names for them
        names = [known for known, _ in owner.children()]
        return children, names.index(name)
    return children, name if name in children else None


# What could be changed --------------------------------------------------------------------------


def _changes(module: Any, error: SymcnnError) -> Iterator[_Change]:
    """All changes around the failure that could make its sides agree, the likeliest first."""
    attempt: Attempt | None = error.attempt
    if attempt is None:
        return
    named = dict(module.named_modules())
    pairs = [*_pairs(error, attempt)]
    own = named.get(attempt.module)
    if own is not None and attempt.module:
        yield from _of_layer(_places(module, attempt.module, own), own, pairs)
    for t in attempt.inputs:
        if isinstance(t, Parameter):
            yield from _of_parameter(t, named, pairs)
    if own is not None:
        yield from _of_attributes(attempt.module, own, pairs)
    line = [] if own is None else [*_of_line(attempt.module, own, attempt.where, pairs)]
    yield from (change for change in line if not change.unlikely)
    for path in _upstream(attempt.inputs):
        if path in named and path:
            yield from _of_layer(_places(module, path, named[path]), named[path], pairs)
    yield from (change for change in line if change.unlikely)


def _pairs(error: SymcnnError, attempt: Attempt) -> Iterator[tuple[Int, Int]]:
    """What the failing sizes are, both ways round."""
    if error.sides:
        for have, want in zip(error.sides[::2], error.sides[1::2], strict=True):
            yield have, want
            yield want, have
        return
    shapes = [t.dims for t in attempt.inputs]
    for i, a in enumerate(shapes):
        for b in shapes[i + 1 :]:
            for x, y in zip(reversed(a), reversed(b), strict=False):
                if isinstance(x, int) and isinstance(y, int) and x != y:
                    yield x, y
                    yield y, x


def _numbers(value: int, pairs: Iterable[tuple[Int, Int]]) -> Iterator[int]:
    """What could stand in place of a number that one side is a multiple of."""
    seen: dict[int, None] = {}
    for have, want in pairs:
        if (
            isinstance(have, int)
            and isinstance(want, int)
            and want > 0
            and value * have % want == 0
        ):
            seen[value * have // want] = None
    yield from (number for number in seen if number != value and number > 0)


def _layer_path(path: str, name: str = "model") -> str:
    """A module as python code: ``model.features[0]``."""
    for part in path.split(".") if path else ():
        if part.isidentifier():
            name += f".{part}"
        else:
            name += f"[{part}]" if part.isdecimal() else f"[{part!r}]"
    return name


def _places(module: Any, path: str, layer: Any) -> list[str]:
    """All paths at which a layer stands, the given one first: under two names it is one layer."""
    try:
        named = module.named_modules(remove_duplicate=False)
    except TypeError:  # layers of our own have one name
        return [path]
    return [path, *(other for other, m in named if m is layer and other != path)]


def _of_layer(
    paths: Sequence[str], layer: Any, pairs: Sequence[tuple[Int, Int]]
) -> Iterator[_Change]:
    """The layer made anew with another number."""
    made = _hyperparameters(layer)
    if made is None:
        return
    torch = type(layer).__module__.startswith("torch.") and "device" in _defaults(layer)
    weightless = {"device": "meta"} if torch else {}
    if torch and (held := next(layer.parameters(), None)) is not None:
        weightless["dtype"] = held.dtype  # no number cures a dtype
    for name, value in made.items():
        for other in _others(name, value, made, pairs):
            arguments = {**made, name: other}
            for key, default in _defaults(layer).items():
                if default is None and key != name and arguments.get(key) == value:
                    arguments[key] = None  # it followed the number that changes
            for number in (arguments, _divided(arguments, other)):
                with suppress(Exception):  # the layer refuses these numbers
                    fresh = type(layer)(**number, **weightless)
                    text = " = ".join([*map(_layer_path, paths), _made(layer, number)])
                    yield _Change(text, _replacing(paths, fresh), unlikely=name == "kernel_size")
                    break


def _others(
    name: str, value: Any, made: dict[str, Any], pairs: Sequence[tuple[Int, Int]]
) -> Iterator[Any]:
    """Other values for a hyperparameter: a number, or one of a tuple's."""
    if name in ("padding", "output_padding", "kernel_size"):
        yield from _windows(name, value, made, pairs)
    elif type(value) is int:
        yield from _numbers(value, pairs)
    elif isinstance(value, tuple) and name not in ("stride", "dilation"):
        for i, entry in enumerate(value):
            if type(entry) is int:
                for number in _numbers(entry, pairs):
                    yield (*value[:i], number, *value[i + 1 :])


def _windows(
    name: str, value: Any, made: dict[str, Any], pairs: Sequence[tuple[Int, Int]]
) -> Iterator[Any]:
    """Windows that make up for a difference of sizes.

    One place more of the output is a stride of padding, and so much less of a dilated kernel; of a
    transposed convolution, one of `output_padding`.
    """
    entries = value if isinstance(value, tuple) else (value,)
    if not all(type(entry) is int for entry in entries):
        return
    strides, dilations = (_entries(made.get(n, 1), entries) for n in ("stride", "dilation"))
    seen: dict[tuple[int, ...], None] = {}
    for have, want in pairs:
        gap = want - have
        channels = name == "kernel_size" and isinstance(have, int) and isinstance(want, int)
        if isinstance(gap, int) and gap and not channels:
            for s in (1,) * len(entries), strides:
                each = {
                    "padding": [Fraction(gap * n, 2) for n in s],
                    "kernel_size": [
                        Fraction(-gap * n, d) for n, d in zip(s, dilations, strict=True)
                    ],
                }.get(name, [Fraction(gap)] * len(s))
                moved = [entry + more for entry, more in zip(entries, each, strict=True)]
                if all(m.denominator == 1 and m >= (name == "kernel_size") for m in moved):
                    seen[tuple(map(int, moved))] = None
    for one in seen:
        if one != entries:
            yield one if isinstance(value, tuple) else one[0]


def _entries(value: Any, like: Sequence[int]) -> list[int]:
    """A hyperparameter per axis."""
    several = list(value) if isinstance(value, tuple) else [value] * len(like)
    return [entry if type(entry) is int and entry > 0 else 1 for entry in several]


def _divided(arguments: dict[str, Any], number: Any) -> dict[str, Any]:
    """The same with groups and heads that divide the number of channels."""
    if type(number) is not int:
        return arguments
    return {
        name: gcd(value, number)
        if type(value) is int and ("groups" in name or "heads" in name)
        else value
        for name, value in arguments.items()
    }


def _defaults(layer: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(layer).__init__).parameters
    return {name: p.default for name, p in parameters.items()}


def _hyperparameters(layer: Any) -> dict[str, Any] | None:
    """What a layer was made with, by parameter name: its attributes. None if these do not tell."""
    found: dict[str, Any] = {}
    for name, default in _defaults(layer).items():
        if name in ("self", "device", "dtype"):
            continue
        if name == "args":  # the layers of recurrent networks do not say what they take
            return None
        value = getattr(layer, name, inspect.Parameter.empty)
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        if value is inspect.Parameter.empty or hasattr(value, "numel"):  # a tensor it keeps there
            if default is inspect.Parameter.empty:
                return None
            continue
        found[name] = value
    return found or None


def constructor(layer: object) -> str:
    """The call that makes a layer, ``Conv2d(3, 8, 3, padding=1)``; empty if it cannot be told."""
    made = _hyperparameters(layer)
    return "" if made is None else _written(layer, made)


def _made(layer: object, made: dict[str, Any]) -> str:
    """The same as python; what is not of torch.nn stands under its own name."""
    known = type(layer).__module__.startswith(("torch.nn.", "symcnn.nn."))
    return f"{'nn.' if known else ''}{_written(layer, made)}"


def _written(layer: Any, made: dict[str, Any]) -> str:
    """The call that makes a layer, without defaults."""
    words = []
    for name, default in _defaults(layer).items():
        if name not in made:
            continue
        value = made[name]
        same = isinstance(value, tuple) and len({*value}) == 1
        if same and (name != "normalized_shape" or len(value) == 1):
            value = value[0]
        if default is inspect.Parameter.empty:
            words.append(repr(value) if not isinstance(value, Size) else str(value))
        elif default is None and value in made.values() and _follows(layer, made, value):
            continue  # torch fills it in: an embedding's kdim
        elif value != default and not (name == "stride" and value == made.get("kernel_size")):
            words.append(f"{name}={value!r}")
    return f"{type(layer).__name__}({', '.join(words)})"


def _follows(layer: Any, made: dict[str, Any], value: Any) -> bool:
    """Whether a hyperparameter without which the layer cannot be made has this value."""
    needed = (n for n, d in _defaults(layer).items() if d is inspect.Parameter.empty)
    return value is not None and any(made.get(name) == value for name in needed)


def _replacing(paths: Sequence[str], fresh: Any) -> Callable[[Any], None]:
    def apply(model: object) -> None:
        for path in paths:
            parent, _, name = path.rpartition(".")
            _put_child(_own(model, parent), name, fresh)
        if hasattr(fresh, "train"):
            fresh.train(getattr(model, "training", False))

    return apply


def _of_parameter(
    parameter: Parameter, named: dict[str, Any], pairs: Sequence[tuple[Int, Int]]
) -> Iterator[_Change]:
    """A parameter that the forward reads itself, of another shape."""
    path, _, name = parameter.name.rpartition(".")
    owner = named.get(path)
    value = getattr(owner, name, None)
    if owner is None or isinstance(value, Parameter) or not hasattr(value, "new_empty"):
        return
    if type(owner).__module__.startswith("torch.nn."):  # made by its layer
        return
    for axis, size in enumerate(parameter.dims):
        if not isinstance(size, int):
            continue
        for number in _numbers(size, pairs):
            shape = (*parameter.dims[:axis], number, *parameter.dims[axis + 1 :])
            sizes = ", ".join(map(str, shape))
            text = f"{_layer_path(path)}.{name} = nn.Parameter(torch.empty({sizes}))"

            def apply(
                model: object, path: str = path, name: str = name, shape: object = shape
            ) -> None:
                place = _own(model, path)
                old = getattr(place, name)
                setattr(place, name, type(old)(old.new_empty(shape)))

            yield _Change(text, apply)


def _of_attributes(path: str, owner: Any, pairs: Sequence[tuple[Int, Int]]) -> Iterator[_Change]:
    """A number that the module keeps for its forward."""
    if type(owner).__module__.startswith(("torch.nn.", "symcnn.nn.")):
        return
    for name, value in vars(owner).items():
        if type(value) is int and not name.startswith("_"):
            for number in _numbers(value, pairs):

                def apply(model: object, name: str = name, number: int = number) -> None:
                    setattr(_own(model, path), name, number)

                yield _Change(f"{_layer_path(path)}.{name} = {number}", apply)


def _of_line(
    path: str, owner: Any, where: Where, pairs: Sequence[tuple[Int, Int]]
) -> Iterator[_Change]:
    """The line that fails, with another number: likely one that is a size itself."""
    method = next(
        (
            (name, function)
            for kind in type(owner).__mro__
            for name, function in vars(kind).items()
            if isinstance(function, FunctionType) and function.__code__ is where.code
        ),
        None,
    )
    line = linecache.getline(where.path, where.line)
    if method is None or not line:
        return
    for value in dict.fromkeys(map(int, re.findall(_NUMBER, line))):
        for number in _numbers(value, pairs):
            code = _with_number(method[1].__code__, where.line, value, number)

            def apply(model: object, code: CodeType = code) -> None:
                name, function = method
                place = _own(model, path)
                changed = FunctionType(
                    code, function.__globals__, name, function.__defaults__, function.__closure__
                )
                changed.__kwdefaults__ = function.__kwdefaults__
                place.__dict__[name] = MethodType(changed, place)

            told = re.sub(rf"(?<![\w.]){value}(?![\w.])", str(number), line)
            unlikely = not any(value in pair for pair in pairs)
            yield _Change(f"{where}: {told.strip()}", apply, unlikely)


#: A whole number in a line of python.
_NUMBER = r"(?<![\w.])\d+(?![\w.])"


def _with_number(code: CodeType, line: int, value: int, number: int) -> CodeType:
    """The code with another number on one line: its instructions load another constant."""
    body, constants = bytearray(code.co_code), [*code.co_consts]
    for step in dis.get_instructions(code):
        if line_of(code, step.offset) != line:
            continue
        if step.opname == "LOAD_SMALL_INT" and step.argval == value and number < 256:
            body[step.offset + 1] = number
        elif step.opname == "LOAD_CONST" and _holds(step.argval, value) and len(constants) < 256:
            body[step.offset + 1] = len(constants)
            constants.append(_put(step.argval, value, number))
    return code.replace(co_code=bytes(body), co_consts=tuple(constants))


def _holds(constant: Any, value: int) -> bool:
    entries = constant if isinstance(constant, tuple) else (constant,)
    return any(type(entry) is int and entry == value for entry in entries)


def _put(constant: Any, value: int, number: int) -> Any:
    if not isinstance(constant, tuple):
        return number
    return tuple(number if type(e) is int and e == value else e for e in constant)


def _upstream(inputs: Iterable[SymbolicTensor]) -> Iterator[str]:
    """The modules of the nearest layers with weights that the inputs come from."""
    seen: set[Node] = set()
    found: dict[str, None] = {}
    queue = [t.node for t in inputs if not isinstance(t, (Parameter, Constant)) and t.node]
    while queue and len(seen) < 64:
        node = queue.pop(0)
        if node in seen:
            continue
        seen.add(node)
        if node.parameters and node.result.work != 0:
            found[node.module] = None
        else:
            queue += [t.node for t in node.activations if t.node]
    yield from found
