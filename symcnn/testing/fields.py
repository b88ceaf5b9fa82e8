"""Receptive fields by experiment, for tests: see `symcnn.judge.probe`."""

from symcnn.judge.probe import gradient_support, make_positive, support

__all__ = ["gradient_support", "make_positive", "support"]
