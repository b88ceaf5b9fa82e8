"""Where answers show themselves: `symcnn.shown`."""

from symcnn.shown import Listed, Shown, Text

__all__ = ["Listed", "Shown", "Text"]
