"""Hypothesis strategies for layers, networks and sizes, torch as the oracle (``symcnn[test]``).

Importing it loads no torch; `symcnn.testing.networks`, which builds torch modules, does.
"""

from types import ModuleType

from symcnn.lazy import submodule
from symcnn.testing.inputs import invalid_inputs, shapes, valid_inputs
from symcnn.testing.layer import In, Index, Layer
from symcnn.testing.layers import KINDS, layers, sizes
from symcnn.testing.oracles import assert_cost, assert_receptive_field, assert_shapes

__all__ = [
    "KINDS",
    "In",
    "Index",
    "Layer",
    "assert_cost",
    "assert_receptive_field",
    "assert_shapes",
    "invalid_inputs",
    "layers",
    "shapes",
    "sizes",
    "valid_inputs",
]


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
