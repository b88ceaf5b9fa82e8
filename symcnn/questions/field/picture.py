"""The receptive field as a picture: what one output sees of an image, over all paths and over the
shortest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from symcnn.algebra.size import whole_numbers
from symcnn.errors import BadSpec, InvalidInput, SymcnnError, needs
from symcnn.notation.course import usual
from symcnn.questions.field.field_at import Field, FieldAt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from symcnn.notation.places import Image, Pixels

#: An output: an index for all axes, one for each, or by name.
Place = int | Sequence[int] | Mapping[str, int]


class _Field(Field, Protocol):
    """A field that can be asked at sizes, and along the shortest path."""

    @property
    def input_axes(self) -> tuple[int, ...]: ...

    @property
    def smallest(self) -> _Field: ...

    def at(self, **sizes: int) -> FieldAt: ...

    def interval(self, i: int, axis: int = 0) -> tuple[object, object]: ...


class Pictured:
    """A receptive field that draws itself."""

    def plot(
        self: _Field,
        at: Place | None = None,
        on: Image | None = None,
        *,
        ax: Axes | None = None,
        **sizes: int,
    ) -> Figure:
        """What a place of the output sees, as a picture: over all paths, and over the shortest.

        The pixels that are read are shaded, holes of dilation are not; padding that is read is
        hatched, rows and columns that no output reads are dark.

        Args:
            at: the place of the output: ``(3, 3)``, or by name, ``{"H": 3, "W": 3}``; by default
                the middle. Without a picture and without sizes, names are sizes, as for `at`.
            on: a picture of yours, a file or pixels, whose size is that of the input.
            ax: axes of your own to draw on.
            sizes: the size of the input, where no picture says it; by default a valid one near 224.

        Returns:
            A matplotlib figure; ``.savefig("field.png")`` writes it.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadSpec: a field of three axes, a picture that cannot be read, a place that is none.
            InvalidInput: sizes, or a picture, that the network does not take; a place outside.

        >>> from symcnn import nn
        >>> rf = nn.Conv2d(3, 8, 5, padding=2).trace("N 3 H W").receptive_field()
        >>> [text.get_text() for text in rf.plot(at=(0, 9), H=20, W=20).axes[0].get_legend().texts]
        ['over all paths: 3 × 5', 'along the shortest path: 3 × 5', 'and padding']
        """
        with needs("plot", "figures"):
            from symcnn.notation.places import Seen, pixels, seen
        if not 1 <= len(self.axes) <= 2:
            raise BadSpec(f"a picture has one or two axes, not {len(self.axes)}")
        image = None if on is None else pixels(on)
        given = dict(sizes)
        if isinstance(at, Mapping) and image is None and not given:
            given, at = whole_numbers(at), None
        if image is not None:
            given = _fitting(self, image, given)
        exact = self.at(**usual(self.part, **given))
        shortest = self.smallest.at(**exact.values)
        tables = [exact.tables(k)[1] for k in range(len(self.axes))]
        counts = [len(table) if table.ndim > 1 else 1 for table in tables]  # 1: all see the same
        place = _place(self.axes, at, counts)
        found = Seen(
            self.axes,
            exact.values,
            place,
            tuple(table.shape[-1] for table in tables),
            {
                said: spans
                for said, field in (
                    ("over all paths", exact),
                    ("along the shortest path", shortest),
                )
                if (spans := _spans(field, place))
            },
            [exact.mask(p, k, hull=False) for k, p in enumerate(place)],
            _padded(self, place),
            [exact.unread(k) for k in range(len(self.axes))],
        )
        return seen(found, image, ax)


def _spans(field: FieldAt, place: Sequence[int]) -> list[tuple[int, int]]:
    """First and last index per axis; none where nothing but padding is read."""
    found = [field.interval(p, k) for k, p in enumerate(place)]
    spans = [span for span in found if span is not None]
    return spans if len(spans) == len(found) else []


def _padded(field: _Field, place: Sequence[int]) -> list[tuple[int, int]]:
    """The same by the formulas, before it is clipped; none where these are not numbers."""
    spans = []
    for k, p in enumerate(place):
        try:
            first, last = field.interval(p, k)
        except SymcnnError:
            return []
        if not isinstance(first, int) or not isinstance(last, int):
            return []
        spans.append((first, last))
    return spans


def _fitting(field: _Field, image: Pixels, sizes: dict[str, int]) -> dict[str, int]:
    """The sizes of a picture, which those that are given must not contradict."""
    shape = image.shape[:2] if len(field.axes) == 2 else image.shape[1:2]
    found = dict(sizes)
    for axis, name, size in zip(field.input_axes, field.axes, shape, strict=True):
        fixed = field.passed.source.dims[axis]
        if name in field.part.symbols:
            if found.setdefault(name, size) != size:
                raise BadSpec(f"{name}={found[name]}, and the picture has {size}")
        elif isinstance(fixed, int) and fixed != size:
            raise InvalidInput(f"the picture has {size} along {name}, the network takes {fixed}")
    return found


def _place(names: Sequence[str], at: Place | None, counts: Sequence[int]) -> tuple[int, ...]:
    """The place of the output, an index per axis; the middle by default."""
    if at is None:
        return tuple(n // 2 for n in counts)
    if isinstance(at, Mapping):
        if at.keys() != set(names):
            raise BadSpec(f"a place has an index for each of {', '.join(names)}")
        return tuple(at[name] for name in names)
    found = (at,) * len(counts) if isinstance(at, int) else tuple(at)
    if len(found) != len(counts):
        raise BadSpec(f"a place has an index for each of {', '.join(names)}, not {found}")
    return found
