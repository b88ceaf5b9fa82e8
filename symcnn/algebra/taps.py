"""Joint maps: several output axes that read one axis together, and several axes laid into one.

Cutting an image into patches couples its axes: tap `t` of patch `o` is row
``stride*o - padding + dilation*t``. Read from the image that is `Tap`, one per output axis; read
from the patches, laid back into an image, it is `Laid`. One equation, solved for either side.
"""

from __future__ import annotations

from dataclasses import dataclass

from symcnn.algebra.axis import Integer, OfLength, Scatter


@dataclass(frozen=True, slots=True)
class Tap(OfLength):
    """One of the output axes that read an axis together: the place read is the sum over them of
    ``step*index + shift``. A place outside the axis is padding.

    >>> Tap(step=2, length=5, shift=-1).size(9)
    5
    """

    step: Integer
    length: Integer
    shift: Integer = 0

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        raise ValueError("one tap does not tell the place: all axes that read it together do")


@dataclass(frozen=True, slots=True)
class Laid(OfLength):
    """Two axes, tap and patch, laid into one of `length`: output y is the sum over all places with
    ``dilation*tap + stride*patch == y + padding``.

    >>> Laid(taps=3, length=9).scatter
    Scatter(extent=3, stride=1, padding=0, output_padding=0)
    """

    taps: Integer
    length: Integer
    stride: Integer = 1
    padding: Integer = 0
    dilation: Integer = 1

    @property
    def scatter(self) -> Scatter:
        """Which patches an output reads, whatever the tap."""
        extent = self.dilation * (self.taps - 1) + 1
        return Scatter(extent, self.stride, self.padding, 0, self.dilation)

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return self.scatter.pullback(i, j, x)
