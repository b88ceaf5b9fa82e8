"""One layer on one set of inputs, and where the random numbers that make it come from.

A `Hyper` draws hyperparameters from a `Source`: hypothesis, which shrinks what fails, or a seeded
generator, which is many times as fast.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hypothesis import strategies as st

from symcnn import nn
from symcnn.errors import SymcnnError
from symcnn.judge.oracles import failures, without_short_cut
from symcnn.network import Network
from symcnn.trace.graph import Shape, tensor
from symcnn.trace.tape import Tape

if TYPE_CHECKING:
    import torch

Shapes = Any  # a shape, or nested tuples of them for layers with several outputs
T = TypeVar("T")


class In(str):
    """The spec of a tensor among the arguments of a layer or of its forward."""


class Index(In):
    """A tensor of whole numbers."""


@dataclass(frozen=True)
class Layer:
    """A layer by its name in torch.nn and in symcnn.nn, and the shapes of inputs for it.

    Arguments may contain tensors (`In`, `Index`) and other layers, at any depth.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    spec: str = "N C H W"  # the first input
    likely: Mapping[str, int] = field(default_factory=dict)  # what the layer expects of C
    more: tuple[Any, ...] = ()  # further inputs: `In`, tuples of them, or plain values
    call: Mapping[str, Any] = field(default_factory=dict)  # keywords of its forward
    most: int = 20  # sizes worth trying

    def build(self) -> nn.Module:
        """The symcnn layer. Raises SymcnnError for hyperparameters that no layer can have."""
        layer: nn.Module = self._made(nn, lambda spec: tensor(spec))
        return layer

    def build_torch(self) -> torch.nn.Module:
        """The torch layer, in eval mode."""
        import torch

        layer: torch.nn.Module = self._made(torch.nn, lambda spec: _zeros(spec, {})).eval()
        return layer

    def _made(self, front: Any, make: Callable[[In], Any]) -> Any:
        def one(value: object) -> object:
            if isinstance(value, Layer):
                return value._made(front, make)
            return make(value) if isinstance(value, In) else value

        args, kwargs = _mapped(one, self.args), _mapped(one, dict(self.kwargs))
        return getattr(front, self.name)(*args, **kwargs)

    @property
    def specs(self) -> tuple[str, ...]:
        """The specs of all inputs."""
        found: list[str] = [self.spec]
        _mapped(lambda v: found.append(v) if isinstance(v, In) else None, self._others)
        return tuple(found)

    @property
    def _others(self) -> Any:
        return [list(self.more), dict(self.call)]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The sizes that the specs leave open."""
        names = (s for spec in self.specs for s in spec.split() if not s.isdecimal())
        return tuple(dict.fromkeys(names))

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of the first input at `sizes`."""
        return _shape(self.spec, sizes)

    def at(self, sizes: Mapping[str, int]) -> Layer:
        """The same layer on inputs of numbers."""

        def one(value: object) -> object:
            return type(value)(_numbers(value, sizes)) if isinstance(value, In) else value

        spec = self.spec
        first = type(spec)(_numbers(spec, sizes))
        more, call = _mapped(one, self._others)
        return replace(self, spec=first, more=tuple(more), call=call, likely={})

    def network(self) -> Network:
        """The network of this layer on these inputs. Raises SymcnnError where there is none."""
        module = self.build()
        made: list[Any] = []

        def one(value: object) -> object:
            if isinstance(value, In):
                made.append(tensor(value))
                return made[-1]
            return value

        first = one(In(self.spec))
        more, call = _mapped(one, self._others)
        tape = Tape(paths={id(m): path for path, m in module.named_modules()})
        with tape.running():
            outputs = module(first, *more, **call)
        return Network(made, outputs, tape=tape, parameters=list(module.parameters()))

    def symcnn_shape(self, sizes: Mapping[str, int]) -> Shapes | None:
        """The output shape by symcnn, None where it refuses."""
        try:
            return _plain(self.network().shape_at(**sizes))
        except SymcnnError:
            return None

    def torch_shape(self, sizes: Mapping[str, int], device: str = "cpu") -> Shapes | None:
        """The output shape by torch's kernels on real zeros, None where torch raises.

        None too where torch hands back a tensor without elements and we refuse: of layers without
        features, and of transposed convolutions, where torch's kernels for float and double differ.
        A card that is full or has failed says nothing about shapes: that is raised.
        """
        import torch

        def one(value: object) -> object:
            return _zeros(value, sizes) if isinstance(value, In) else value

        there = nullcontext() if device == "cpu" else torch.device(device)
        with warnings.catch_warnings(), torch.no_grad(), there, without_short_cut():
            warnings.simplefilter("ignore")
            try:
                module = self.build_torch()
                more, call = _mapped(one, self._others)
                output = module(_zeros(self.spec, sizes), *more, **call)
            except failures():
                raise
            except Exception:
                return None
        shapes = _plain(output)
        bare = any(0 in shape for shape in _leaves(shapes))
        return None if bare and self.symcnn_shape(sizes) is None else shapes

    def __repr__(self) -> str:
        return f"Layer({self._call()} on {' | '.join(self.specs)!r})"

    def line(self, sizes: Mapping[str, int]) -> str:
        """Python that makes this very layer again, and the sizes."""
        return f"{self.literal()}, {dict(sizes)!r}"

    def literal(self) -> str:
        """Python that makes this very layer again."""
        defaults = {"args": (), "kwargs": {}, "spec": "N C H W", "more": (), "call": {}}
        shown = [repr(self.name)]
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default:
                shown.append(f"{name}={_literal(value)}")
        return f"Layer({', '.join(shown)})"

    def _call(self) -> str:
        hyper = [*map(_literal, self.args), *(f"{k}={_literal(v)}" for k, v in self.kwargs.items())]
        forward = f"({_literal(dict(self.call))})" if self.call else ""
        return f"nn.{self.name}({', '.join(hyper)}){forward}"


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` on the leaves of nested arguments."""
    if isinstance(value, dict):
        return {key: _mapped(function, v) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_mapped(function, v) for v in value)
    return function(value)


def _literal(value: Any) -> str:
    if isinstance(value, In):
        return f"{type(value).__name__}({str(value)!r})"
    if isinstance(value, Layer):
        return value.literal()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_literal, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return f'float("{value}")'
    return repr(value)


def _shape(spec: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(int(s) if s.isdecimal() else sizes[s] for s in spec.split())


def _numbers(spec: str, sizes: Mapping[str, int]) -> str:
    return " ".join(map(str, _shape(spec, sizes)))


def _zeros(spec: str, sizes: Mapping[str, int]) -> Any:
    import torch

    kind = torch.int64 if isinstance(spec, Index) else torch.float32
    return torch.zeros(_shape(spec, sizes), dtype=kind)


def _plain(value: Any) -> Any:
    """Shapes nested as the outputs are, as plain tuples of ints."""
    if isinstance(value, Shape):
        return tuple(map(int, value))
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return None if value is None else tuple(value.shape)


def _leaves(shapes: Any) -> Iterator[tuple[int, ...]]:
    if shapes is not None and all(isinstance(s, int) for s in shapes):
        yield shapes
    else:
        for inner in shapes or ():
            yield from _leaves(inner)


# Random numbers ------------------------------------------------------------------------------


class Source(Protocol):
    """Where random numbers come from."""

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`."""
        ...

    def real(self, low: float, high: float) -> float:
        """A float from `low` to `high`."""
        ...

    def flip(self) -> bool:
        """One or the other."""
        ...

    def choose(self, options: Sequence[T]) -> T:
        """One of the options."""
        ...


class Drawn:
    """Numbers that hypothesis draws."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def real(self, low: float, high: float) -> float:
        return float(self.draw(st.floats(low, high)))

    def flip(self) -> bool:
        return bool(self.draw(st.booleans()))

    def choose(self, options: Sequence[T]) -> T:
        found: T = self.draw(st.sampled_from(options))
        return found


class Seeded:
    """Numbers of a generator with a seed."""

    def __init__(self, seed: Any) -> None:
        self.random = Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def real(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def flip(self) -> bool:
        return self.random.random() < 0.5

    def choose(self, options: Sequence[T]) -> T:
        return self.random.choice(options)


class Hyper:
    """Hyperparameters under construction. `wild` ones may be refused by torch."""

    def __init__(self, source: Source, wild: bool) -> None:
        self.source = source
        self.wild = wild
        self.kwargs: dict[str, Any] = {}

    def rarely(self) -> bool:
        """True for about one in four choices of a wild layer, never otherwise."""
        return self.wild and self.source.integer(0, 3) == 0

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`; a wild one may lie below or above."""
        if self.rarely():
            low, high = min(low, 0) - 1, high + 2
        return self.source.integer(low, high)

    def per_axis(self, n: int, low: int, high: int) -> float | tuple[int, ...] | None:
        """One number, or `n`; a wild one may be another number of them, or a float."""
        if self.rarely():
            if self.source.flip():
                return self.source.choose((2.0, 2.5, None))
            count = self.source.integer(0, n + 1)
            return tuple(self.source.integer(low, high) for _ in range(count))
        values = tuple(self.number(low, high) for _ in range(n))
        return values[0] if self.source.flip() else values

    def pick(self, *usual: T, wild: tuple[T, ...] = ()) -> T:
        """One of the usual values; a wild layer may get one of the others."""
        return self.source.choose(wild if wild and self.rarely() else usual)

    def maybe(self, **values: object) -> None:
        """Set these keywords, or leave them at their defaults."""
        for name, value in values.items():
            if self.source.integer(0, 3):
                self.kwargs[name] = value

    def spec(self, n: int, channels: int | None, *, batched: bool | None = None) -> str:
        """The spec of a map of `n` axes, unbatched at times unless `batched`."""
        axes: list[str] = {1: ["L"], 2: ["H", "W"], 3: ["D", "H", "W"]}[n][:]
        for i in range(n):
            if self.source.integer(0, 5) == 0:
                axes[i] = str(self.source.integer(1, 20))
        if channels is None or self.source.flip():
            axes.insert(0, "C")
        else:
            axes.insert(0, str(max(1, self.number(channels, channels))))
        if batched or (batched is None and self.source.flip()):
            axes.insert(0, "N")
        if self.rarely():
            axes = axes[1:] if self.source.flip() else ["B", *axes]
        return " ".join(axes)
