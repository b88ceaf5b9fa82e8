"""Hypothesis strategies for layers and sizes, with torch as the oracle (``symcnn[test]``)."""

from symcnn.testing.layers import KINDS, Layer, layers, sizes

__all__ = ["KINDS", "Layer", "layers", "sizes"]
