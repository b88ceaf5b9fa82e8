"""Hypothesis strategies for layers and sizes, with torch as the oracle (``symcnn[test]``)."""

from symcnn.testing.layer import In, Index, Layer
from symcnn.testing.layers import KINDS, layers, sizes

__all__ = ["KINDS", "In", "Index", "Layer", "layers", "sizes"]
