"""Where the centre of an output lies: what anchors, heat maps and joins of branches stand on.

Along an axis the centre of what output i sees is ``stride*i + offset``, in the input's indices (the
middle of pixel 0 is 0). After upsampling it moves in steps around that line. Two maps agree where
their lines do; a grid of priors, or a resize, supposes the even one: y cells over x pixels have
their centres at ``(i + 1/2)*x/y - 1/2``. Source: Araujo, Norris and Sim (Distill, 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symcnn.algebra.expr import Expr, from_sympy
from symcnn.algebra.size import Int
from symcnn.errors import BadSpec, Undecidable
from symcnn.lazy import sympy
from symcnn.questions.field.periods import varying
from symcnn.questions.field.reach import axes_of, index_symbol
from symcnn.shown import Shown
from symcnn.trace.graph import Dims, public


@dataclass(frozen=True)
class Alignment(Shown):
    """The centres of the outputs along one axis: output i at ``stride*i + offset``.

    `size` and `outputs` are the lengths of the axis at the input and at the output. `spread` is how
    far a single centre may lie from the line, on either side: 0 but after upsampling. Where every
    place sees the same, the stride is 0, and there is one output.
    """

    axis: str
    stride: Any
    offset: Any
    size: Any
    outputs: Any
    spread: Any = 0

    def centre(self, i: Expr) -> Expr:
        """Where output `i` lies, in the input's indices: a number, or a formula."""
        return sympy.sympify(self.stride) * _index(i) + self.offset

    def even(self, i: Expr) -> Expr:
        """Where it would lie if the outputs lay evenly over the input, as priors and resizes
        suppose.
        """
        half = sympy.Rational(1, 2)
        return sympy.expand((_index(i) + half) * self.size / self.outputs) - half

    def drift(self, i: Expr) -> Expr:
        """How far output `i` lies behind its place on the even grid."""
        return sympy.expand(self.centre(i) - self.even(i))

    def shift(self, other: Alignment | int) -> Expr:
        """How far the outputs lie behind those of `other`, in pixels of the input, where one stands
        for each of the other, or for a whole number of them in a row.

        other: the alignment of another map along this axis, or the step of priors that begin at the
            border: centres at ``step*(i + 1/2)`` in pixels, as detectors place them.

        Raises BadSpec for strides of which neither is a multiple of the other.

        >>> fine, coarse = Alignment("H", 4, 1, 0, 0), Alignment("H", 8, 3, 0, 0)
        >>> coarse.shift(fine), fine.shift(fine)
        (0, 0)
        """
        if not self.stride:
            raise BadSpec(f"along {self.axis} all places lie at {self.offset}")
        if not isinstance(other, Alignment):
            offset = sympy.Rational(1, 2) * (other - 1)
            other = Alignment(self.axis, other, offset, self.size, self.outputs)
        if not other.stride:
            return -other.shift(self)
        ratio = sympy.nsimplify(self.stride) / sympy.nsimplify(other.stride)
        if ratio.is_Integer:
            return self.offset - other.offset - sympy.nsimplify(self.stride - other.stride) / 2
        if (1 / ratio).is_Integer:
            return -other.shift(self)
        raise BadSpec(
            f"along {self.axis} one moves by {self.stride} and the other by {other.stride}",
            cure="compare maps of which one has a whole number of places for each of the other",
        )

    def __str__(self) -> str:
        told = f" give or take {self.spread}" if self.spread else ""
        i = sympy.Symbol("i", integer=True, nonnegative=True)
        return f"output i along {self.axis} lies at {self.centre(i)}{told}"


def _plain(value: Any) -> Any:
    return int(value) if value.is_Integer else value


def _index(i: Any) -> Any:
    return sympy.Symbol(i, integer=True, nonnegative=True) if isinstance(i, str) else i


def aligned(
    axis: str, stride: Expr, first: Int, last: Int, along: tuple[int, ...], x: Int, dims: Dims
) -> Alignment:
    """The alignment of an interval that moves along one axis of the output, or along none.

    Raises Undecidable where it moves along several, or stays where it is.
    """
    if not along:  # all see the same
        middle = sympy.sympify(public(first + last)) / 2
        return Alignment(axis, 0, _plain(middle), public(x), 1)
    if len(along) != 1 or not stride:
        raise Undecidable(f"along {axis} what a place sees depends on several axes")
    slope = sympy.nsimplify(stride)
    whole = slope if slope.is_number else sympy.Integer(1)
    number = index_symbol(along[0]).size()
    moved: Any = number * from_sympy(slope * whole.q * 2)
    rest = (first + last) * int(whole.q) - moved  # of twice the centre, what does not grow
    low = high = public(rest)
    if axes_of(rest):
        sizes = varying(rest, along, axis)
        low, high = sizes.min, sizes.max
    middle = (sympy.sympify(low) + high) / (4 * whole.q)
    spread = (sympy.sympify(high) - low) / (4 * whole.q)
    return Alignment(
        axis, stride, _plain(middle), public(x), public(dims[along[0]]), _plain(spread)
    )
