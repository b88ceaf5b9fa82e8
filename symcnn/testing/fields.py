"""Receptive fields by experiment, for tests: see `symcnn.probe`."""

from symcnn.probe import gradient_support, make_positive, support

__all__ = ["gradient_support", "make_positive", "support"]
