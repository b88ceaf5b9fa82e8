"""The nearest input that works: by padding, by cropping, by resizing, and back at the output.

Padding by a multiple of the network's stride moves the output by whole pixels, so it can be
undone there. That the output follows the input so (``size(x) == x*p/q``, or ``size(x + q) ==
size(x) + p``, for all valid x; or receptive fields that move by q/p) is decided, not assumed; else
there is no crop to name.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from symcnn.algebra.size import Size, evaluate, symbols_of
from symcnn.errors import BadSpec, NoSolution, SymcnnError, Undecidable
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.domain import shape_at
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
from symcnn.shown import Shown
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Way(Shown):
    """One way to a valid input.

    sizes: the valid sizes. pad: for ``F.pad``, last axis first, left before right (cropping is a
    negative pad); None where the input is to be resized. crop: what the given image has become in
    the output, ``(first, last + 1)`` per axis; None where that is not a whole number of pixels.
    """

    kind: str
    sizes: Mapping[str, int]
    pad: tuple[int, ...] | None = None
    crop: tuple[tuple[int, int], ...] | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """The valid sizes, as a tuple."""
        return tuple(self.sizes.values())

    def __str__(self) -> str:
        size = "x".join(map(str, self.size))
        if self.pad is None:
            return f"resize to {size}: F.interpolate(x, size={self.size})"
        text = f"{self.kind} to {size}: F.pad(x, {self.pad})"
        if self.crop is not None and any(self.pad):
            slices = ", ".join(f"{first}:{last}" for first, last in self.crop)
            text += f", and at the output y[..., {slices}]"
        return text


@dataclass(frozen=True)
class Nearest(Shown):
    """The nearest valid inputs to `sizes`: `pad` is the least that is no smaller, `crop` the
    greatest that is no larger (None where there is none), `resize` the nearest of all.
    """

    sizes: Mapping[str, int]
    pad: Way | None
    crop: Way | None
    resize: Way

    @property
    def valid(self) -> bool:
        """Whether the given sizes are valid as they are."""
        return self.resize.sizes == self.sizes

    @property
    def ways(self) -> tuple[Way, ...]:
        """All there are, padding first."""
        return tuple(way for way in (self.pad, self.crop, self.resize) if way is not None)

    def __str__(self) -> str:
        if self.valid:
            return f"{'x'.join(map(str, self.sizes.values())) or 'the only input'} is valid"
        return "\n".join(map(str, self.ways))

    __repr__ = __str__


def nearest_valid(net: Trace, sizes: Mapping[str, int]) -> Nearest:
    """See `Network.nearest_valid`.

    Raises NoSolution if no input is valid, BadSpec unless there is a size for each axis.
    """
    domain = net.valid_inputs()
    if set(sizes) != set(domain.shown):
        raise BadSpec(
            f"nearest_valid takes {', '.join(domain.shown)}, not {', '.join(sizes) or 'nothing'}"
        )
    sizes = {name: sizes[name] for name in domain.shown}
    if not net.complete:  # the domain has only the sizes of branches that were followed
        with suppress(SymcnnError):
            shape_at(net, **{**dict.fromkeys(net.batch, 1), **sizes})
            kept = Way("pad", sizes, (0, 0) * len(sizes))
            found = Nearest(sizes, kept, replace(kept, kind="crop"), Way("resize", sizes))
            object.__setattr__(found, "scope", None)  # whatever branches there are
            return found
    if not domain:
        raise NoSolution("no input of any size is valid", cure="see net.reasons()")

    def best(members: InputSet) -> dict[str, int] | None:
        if not members:
            return None
        return by_name(domain.shown, members.nearest(*sizes.values()))

    at_least = [Condition(Size.symbol(n), ">=", v) for n, v in sizes.items()]
    at_most = [Condition(v, ">=", Size.symbol(n)) for n, v in sizes.items()]
    larger, smaller = best(domain.where(*at_least)), best(domain.where(*at_most))
    resized = best(domain)
    assert resized is not None
    return Nearest(
        sizes,
        None if larger is None else _padded("pad", net, domain, sizes, larger),
        None if smaller is None else _padded("crop", net, domain, sizes, smaller),
        Way("resize", resized),
    )


def _padded(
    kind: str, net: Trace, domain: InputSet, sizes: Mapping[str, int], to: dict[str, int]
) -> Way:
    pads: list[int] = []
    crops: list[tuple[int, int]] | None = []
    for i, (name, size) in enumerate(sizes.items()):
        gap = to[name] - size
        scale = _scale(net, domain, name, i - len(sizes), to)
        q = 1 if scale is None else scale.denominator
        left = abs(gap) // 2 // q * q * (1 if gap > 0 else -1)
        pads = [left, gap - left, *pads]
        if scale is None or crops is None or gap < 0:
            crops = None  # what was cut off is not in the output
        else:
            first = int(left * scale)
            crops.append((first, first - int(-size * scale // 1)))
    return Way(kind, to, tuple(pads), None if crops is None else tuple(crops))


def _scale(
    net: Trace, domain: InputSet, name: str, axis: int, to: Mapping[str, int]
) -> Fraction | None:
    """p/q if the output along `axis` is p/q of the input: for all valid sizes; or at `to`, and q
    rows more always give p more, or what an output sees moves by q/p rows from one to the next.
    """
    try:
        dims: Any = net.output_dims
    except BadSpec:
        return None
    if len(dims) < -axis or symbols_of(dims[axis]) != {name}:
        return None
    scale = Fraction(evaluate(dims[axis], to), to[name])
    p, q = scale.numerator, scale.denominator
    if p != 1 and q != 1:
        return None
    size = Size.symbol(name)
    laws = (
        Condition(dims[axis] * q, "==", size * p),
        Condition(dims[axis].subs({name: size + q}), "==", dims[axis] + p),
    )
    for law in laws:
        with suppress(Undecidable):
            if domain <= input_set(domain.names, [law]):
                return scale
    with suppress(SymcnnError):
        field = receptive_field(net)
        if field.axes and name in field.axes and field.stride[field.axes.index(name)] == 1 / scale:
            return scale
    return None
