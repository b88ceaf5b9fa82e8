"""Hyperparameters solved for: which kernels, strides, paddings lead from one size to another.

Along one axis every layer is a map of the axis, so the question is an equation between sizes. For
numbers the paddings that solve it form an interval; for a symbolic input size ("for every H") the
two sides are compared as expressions, and where their normal forms differ, isl decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from symcnn.algebra.axis import AxisMap, Resample, Scatter, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, Size, exact_or_fail, symbols_of
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.ops.registry import one_or_each
from symcnn.sets.condition import Condition
from symcnn.sets.grammar import parse_formula
from symcnn.sets.inputset import InputSet, always, input_set
from symcnn.shown import Rows, Shown, assignment

#: Where a hyperparameter is not given: torch's default, or (for a range) free in it.
_DEFAULTS: dict[str, Any] = {"dilation": 1, "output_padding": 0, "ceil_mode": False}


@dataclass(frozen=True)
class Choice(Shown):
    """One layer that does it: its hyperparameters by torch's names, those at their default left
    out. ``nn.Conv2d(c_in, c_out, **choice)`` works.
    """

    layer: str
    values: Mapping[str, Any]

    def keys(self) -> KeysView[str]:
        return self.values.keys()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __str__(self) -> str:
        return assignment(self.values)

    def __repr__(self) -> str:
        return f"{self.layer}({self})"


def solve_layer(
    *asked: Any,
    input: Any = None,
    output: Any = None,
    limit: int | None = None,
    **hyperparameters: Any,
) -> list[Choice]:
    """All hyperparameters of a layer that lead from one size to another, the simplest first.

    ``solve_layer(224, 112)`` is about a Conv2d; any other layer comes first. Simple is what has the
    fewest hyperparameters that differ from the default, then the smallest numbers.

    Args:
        asked: the layer, ``nn.Conv2d``, torch's or symcnn's, ``"MaxPool2d"``: convolutions, their
            transposes, max and average pooling, Upsample; and the two sizes, if not by name.
        input: one size, or one per axis: numbers, or expressions in symbols, and then for every
            value of those: ``input=H, output=2*H``.
        output: as `input`.
        limit: at most so many.
        hyperparameters: a number to fix one, a range (or list) to leave it open. Left out:
            kernel_size is open from 1 to 11, stride from 1 to 4 (numbers for both sizes: any),
            padding up to half the kernel, output_padding below the stride; the rest has torch's
            default. The same for all axes where that is possible, else one number per axis.

    Returns:
        Every choice, as ``nn.Conv2d(c_in, c_out, **choice)`` takes it.

    Raises:
        NoSolution: if there is none.
        BadSpec: for unknown layers, names and empty ranges.

    >>> solve_layer(224, 112, kernel_size=3)
    [Conv2d(kernel_size=3, stride=2, padding=1)]
    >>> solve_layer("MaxPool2d", (224, 112), (112, 112), limit=1)
    [MaxPool2d(kernel_size=(2, 1))]
    >>> from symcnn import H
    >>> solve_layer("ConvTranspose2d", input=H, output=2*H, kernel_size=[2, 3, 4], stride=2)[:2]
    [ConvTranspose2d(kernel_size=2, stride=2), ConvTranspose2d(kernel_size=4, stride=2, padding=1)]
    """
    layer, input, output = _operands(asked, input, output)
    name = layer if isinstance(layer, str) else getattr(layer, "__name__", repr(layer))
    kind, known = _kind(name)
    unknown = set(hyperparameters) - set(known)
    if unknown:
        cure = f"it has {', '.join(known)}"
        if "transposed" in unknown:
            cure = f'the layer comes first: solve_layer("ConvTranspose2d", {input}, {output})'
        raise BadSpec(f"{name} has no {', '.join(sorted(unknown))}", cure=cure)
    pairs = _size_pairs(input, output)

    def found(some: Sequence[tuple[Int, Int]]) -> list[dict[str, int]]:
        return sorted(kind(some, hyperparameters), key=lambda values: _simplicity(name, values))

    every = found(list(dict.fromkeys(pairs)))
    if not every and len(pairs) > 1:
        each = [[_complete(name, values) for values in found([pair])[:_EACH]] for pair in pairs]
        joined = [
            {key: tuple(values[key] for values in along) for key in along[0]}
            for along in product(*each)
            if len({v["ceil_mode"] for v in along if "ceil_mode" in v}) < 2
        ]
        every = sorted(map(_plain, joined), key=lambda values: _simplicity(name, values))
    if not every:
        given = assignment(hyperparameters) or "the usual values"
        other = f"ConvTranspose{name.removeprefix('Conv')}"
        up = kind is _conv and any(map(_grows, pairs))
        cure = f'one that enlarges: solve_layer("{other}", {input}, {output})'
        raise NoSolution(
            f"no {name} with {given} leads from {input} to {output}",
            cure=cure if up else "widen the ranges",
        )
    return Rows(Choice(name, _shortened(name, values)) for values in every[:limit])


#: So many ways along one axis are joined with those along the others.
_EACH = 8


def _operands(asked: tuple[Any, ...], input: Any, output: Any) -> tuple[Any, Any, Any]:
    """Layer, input and output, as people type them."""
    left = [*asked]
    first = left[0] if left else None
    named = isinstance(first, str) and (len(left) != 2 or first.startswith((*_KINDS,)))
    is_layer = named or isinstance(first, type)
    layer = left.pop(0) if is_layer else "Conv2d"
    if input is None and left:
        input = left.pop(0)
    if output is None and left:
        output = left.pop(0)
    if left or input is None or output is None:
        raise BadSpec(
            "solve_layer takes a layer and two sizes",
            cure='for example solve_layer("MaxPool2d", 224, 112)',
        )
    return layer, input, output


def _grows(pair: tuple[Int, Int]) -> bool:
    """Whether the second size is the greater one, as far as numbers tell."""
    return isinstance(gap := pair[1] - pair[0], int) and gap > 0


def _complete(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """With a pool's stride as a number of its own."""
    return (
        {**values, "stride": values["kernel_size"]} if values.get("stride", 0) is None else values
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples of equal numbers as one number."""
    return {key: one_or_each(v) for key, v in values.items()}


def _size_pairs(input: Any, output: Any) -> list[tuple[Int, Int]]:
    sides = [tuple(s) if isinstance(s, (tuple, list)) else (s,) for s in (input, output)]
    if len(sides[0]) != len(sides[1]):
        raise BadSpec(f"input={input} and output={output} have different numbers of axes")
    found = []
    for a, b in zip(*sides, strict=True):
        pair = _expression(a), _expression(b)
        if any(isinstance(size, int) and size < 1 for size in pair):
            raise BadSpec(f"input={input}, output={output}: a size is at least 1")
        found.append(pair)
    return found


def _expression(size: Any) -> Int:
    if isinstance(size, str):
        above, below = parse_formula(size)
        return exact_or_fail(above, below)
    if isinstance(size, (bool, float)):
        raise BadSpec(f"{size!r} is not a size", cure="a whole number or a sympy expression")
    return size if isinstance(size, Size) else from_sympy(size)


def opened(hyper: Mapping[str, object], name: str, otherwise: Sequence[float]) -> list[Any]:
    """The values that a hyperparameter may take."""
    value = hyper.get(name, otherwise)
    values = list(value) if isinstance(value, (range, list, tuple)) else [value]
    if not values:
        raise BadSpec(f"{name}={value} is empty")
    low = 0 if "padding" in name else 1
    for v in values:
        whole = isinstance(v, bool) if name == "ceil_mode" else type(v) is int and v >= low
        if not whole and name != "scale_factor":
            raise BadSpec(f"{name}={v!r} is not a whole number from {low} up")
    return values


def _equal(left: Int, right: Int) -> bool:
    """Whether two sizes are equal for all values of their symbols."""
    if left == right:
        return True
    if isinstance(left, int) and isinstance(right, int):
        return False
    try:
        return always(Condition(left, "==", right), sorted(symbols_of(left, right)))
    except Undecidable:
        return False


def _leads(axis_map: AxisMap, pairs: Sequence[tuple[Int, Int]]) -> bool:
    for x, y in pairs:
        needs = axis_map.requires(x)
        if isinstance(x, int) and needs is not None and needs[0] < needs[1]:
            return False
        if not _equal(axis_map.size(x), y):
            return False
    return True


def _strides(pairs: Sequence[tuple[Int, Int]], *, up: bool) -> range:
    """Strides worth trying: beyond the ratio of the sizes none can do."""
    ratios = [1, 4]
    for x, y in pairs:
        if isinstance(x, int) and isinstance(y, int):
            big, small = (y, x) if up else (x, y)
            ratios.append(-(-big // max(small - 1, 1)) + 1 if small > 1 else big)
    return range(1, max(ratios) + 1)


def _windows(
    pairs: Sequence[tuple[Int, Int]], hyper: Mapping[str, Any], *, pool: bool
) -> Iterator[dict[str, Any]]:
    numbers = all(isinstance(x, int) and isinstance(y, int) for x, y in pairs)
    kernels = opened(hyper, "kernel_size", range(1, 12))
    strides = opened(hyper, "stride", _strides(pairs, up=False))
    for k, s, d, ceil in product(
        kernels,
        strides,
        opened(hyper, "dilation", [1]),
        opened(hyper, "ceil_mode", [False]) if pool else [False],
    ):
        if k == 1 and d > 1:
            continue
        extent = d * (k - 1) + 1
        most = k // 2 if pool else extent // 2
        pads = opened(hyper, "padding", range(most + 1))
        if numbers and not ceil:  # s*(y - 1) <= x + 2*p - extent <= s*y - 1
            low = max(-(-(s * (y - 1) - x + extent) // 2) for x, y in pairs)
            high = min((s * y - 1 - x + extent) // 2 for x, y in pairs)
            pads = [p for p in pads if low <= p <= high]
        for p in pads:
            if pool and p > k // 2:
                continue
            if _leads(Window.conv(k, s, p, d, ceil_mode=ceil), pairs):
                yield {
                    "kernel_size": k,
                    "stride": s,
                    "padding": p,
                    "dilation": d,
                    "ceil_mode": ceil,
                }


def _conv(pairs: Sequence[tuple[Int, Int]], hyper: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return _windows(pairs, hyper, pool=False)


def _pool(pairs: Sequence[tuple[Int, Int]], hyper: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return _windows(pairs, hyper, pool=True)


def _transposed(
    pairs: Sequence[tuple[Int, Int]], hyper: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for k, s, d in product(
        opened(hyper, "kernel_size", range(1, 12)),
        opened(hyper, "stride", _strides(pairs, up=True)),
        opened(hyper, "dilation", [1]),
    ):
        extent = d * (k - 1) + 1
        for p, o in product(
            opened(hyper, "padding", range(extent // 2 + 1)),
            opened(hyper, "output_padding", range(s)),
        ):
            if o < max(s, d) and _leads(Scatter(extent, s, p, o), pairs):
                yield {
                    "kernel_size": k,
                    "stride": s,
                    "padding": p,
                    "output_padding": o,
                    "dilation": d,
                }


def _upsample(
    pairs: Sequence[tuple[Int, Int]], hyper: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for scale in opened(hyper, "scale_factor", [1, 2, 3, 4, 8, 16, 32, 1.5, 0.5, 0.25]):
        if isinstance(scale, (int, float)) and scale > 0 and _leads(Resample(float(scale)), pairs):
            yield {"scale_factor": scale}


_WINDOW = ("kernel_size", "stride", "padding", "dilation")

#: Layers by the start of their name: how they are solved, and their hyperparameters.
_KINDS: dict[str, tuple[Callable[..., Iterator[dict[str, Any]]], tuple[str, ...]]] = {
    "ConvTranspose": (_transposed, (*_WINDOW, "output_padding")),
    "Conv": (_conv, _WINDOW),
    "MaxPool": (_pool, (*_WINDOW, "ceil_mode")),
    "AvgPool": (_pool, ("kernel_size", "stride", "padding", "ceil_mode")),
    "Upsample": (_upsample, ("scale_factor",)),
}


def _kind(name: str) -> tuple[Callable[..., Iterator[dict[str, Any]]], tuple[str, ...]]:
    for start, kind in _KINDS.items():
        if name.startswith(start) and name[len(start) :] in ("", "1d", "2d", "3d"):
            return kind
    raise BadSpec(f"{name} is not a layer that can be solved for", cure=f"there is {[*_KINDS]}")


def _defaults(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    stride = values.get("kernel_size") if "Pool" in name else 1
    return {**_DEFAULTS, "stride": stride, "padding": 0}


def _shortened(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = _defaults(name, values)
    return {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}


def _simplicity(name: str, values: Mapping[str, Any]) -> Any:
    numbers = (v if isinstance(v, tuple) else (v,) for v in values.values())
    extra = bool(values.get("output_padding"))  # rows that no input makes
    return len(_shortened(name, values)) + extra, tuple(numbers)


# Questions of one line -----------------------------------------------------------------------


def same_padding(kernel_size: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """The padding, left and right, with which the output has ``ceil(H/stride)`` for every H.

    In all it is ``dilation*(kernel_size - 1)``, whatever the stride: ``floor((x + t - (t + 1))/s) +
    1 = ceil(x/s)``. The odd pixel goes right, as in torch's ``padding="same"``. (TensorFlow pads
    less where it can, by an amount that depends on the size.)

    Args:
        kernel_size: of the convolution.
        stride: of the convolution.
        dilation: of the convolution.

    Returns:
        Pixels on the left and on the right.

    Raises:
        BadSpec: for a hyperparameter that no layer takes.

    >>> same_padding(3), same_padding(7, stride=2), same_padding(4), same_padding(3, dilation=2)
    ((1, 1), (3, 3), (1, 2), (2, 2))
    """
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        opened({name: value}, name, ())
    window = Window.same(kernel_size, dilation)
    return window.left, window.right


def inverse_of(
    kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> dict[int, InputSet]:
    """The output_padding with which a transposed convolution inverts a convolution of the same
    hyperparameters.

    The convolution forgets ``(H + 2*padding - extent) % stride``, and that is the output_padding.
    With stride 1 one is right for every H.

    Args:
        kernel_size: of both.
        stride: of both.
        padding: of both.
        dilation: of both.

    Returns:
        By output_padding, the sizes H that it gives back.

    Raises:
        BadSpec: for a hyperparameter that no layer takes.

    >>> inverse_of(3, stride=2, padding=1)
    {0: H % 2 == 1 and H >= 1, 1: H % 2 == 0 and H >= 2}
    >>> inverse_of(3, padding=1)
    {0: H >= 1}
    """
    values = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for name, value in (*values.items(), ("padding", padding)):
        opened({name: value}, name, ())
    h = Size.symbol("H")
    conv = Window.conv(kernel_size, stride, padding, dilation)
    fits = conv.requires(h)
    assert fits is not None
    rest = (h + 2 * padding - conv.extent) % stride
    found = {}
    for extra in range(stride):
        conditions = (Condition(rest, "==", extra), Condition(fits[0], ">=", fits[1]))
        members = input_set(["H"], conditions)
        if members:
            found[extra] = members
    return found


def dilations_for(
    receptive_field: int, kernel_size: int = 3, *, most: int | None = None, dense: bool = True
) -> tuple[int, ...]:
    """Dilations of the fewest stride-1 convolutions that see so many pixels or more.

    The field of a stack is ``1 + (kernel_size - 1)*sum(dilations)``. Every layer costs the same, so
    the fewest layers are the cheapest; of those, the ones that see least beyond what is asked.

    Args:
        receptive_field: in pixels.
        kernel_size: of each convolution.
        most: a bound of each dilation.
        dense: whether no pixel in between is skipped, which asks that each dilation is at most the
            field of the layers before it: fields grow by ``kernel_size`` times.

    Returns:
        A dilation per layer, the first layer first.

    Raises:
        NoSolution: for a kernel of 1, which sees one pixel whatever its dilation.

    >>> dilations_for(224), dilations_for(31, kernel_size=5), dilations_for(64, most=8)
    ((1, 3, 9, 27, 72), (1, 5, 2), (1, 3, 8, 8, 8, 4))
    """
    for name, value in (("receptive_field", receptive_field), ("kernel_size", kernel_size)):
        opened({name: value}, name, ())
    if most is not None:
        opened({"most": most}, "most", ())
    if kernel_size == 1 and receptive_field > 1:
        raise NoSolution("a kernel of 1 sees one pixel, however dilated", cure="kernel_size=3")
    missing = -(-(receptive_field - 1) // max(kernel_size - 1, 1))  # what the dilations sum to
    found: list[int] = []
    while missing:
        field = 1 + (kernel_size - 1) * sum(found)
        step = missing
        if dense:
            step = min(step, field)
        if most is not None:
            step = min(step, most)
        found.append(step)
        missing -= step
    return tuple(found)
