"""Torch as the judge, for tests: assertions that a network says what its module does.

They stand on `symcnn.judge.validate`: sizes at the borders of the domain, at ends of fibres and at
random inside and outside it; a failure names the smallest sizes at which it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from symcnn.errors import BadSpec
from symcnn.judge.oracles import (
    Verdict,
    judge,
    sample_sizes,
    tensors_of,
    torch_flops,
    torch_saved,
    torch_shapes,
)

if TYPE_CHECKING:
    import torch

    AnyModule = torch.nn.Module
    from symcnn.network import Network

__all__ = [
    "Verdict",
    "assert_cost",
    "assert_receptive_field",
    "assert_shapes",
    "judge",
    "sample_sizes",
    "tensors_of",
    "torch_flops",
    "torch_saved",
    "torch_shapes",
]


class Options(TypedDict, total=False):
    """See `symcnn.Network.validate`."""

    device: str
    samples: int
    seed: int
    dtype: str | None
    channels_last: bool


def assert_shapes(module: AnyModule, net: Network, **options: Unpack[Options]) -> None:
    """The network gives torch's shapes at every module call, and refuses what torch refuses.

    options: ``device``, ``samples``, ``seed`` of `symcnn.Network.validate`.
    Raises AssertionError with the smallest sizes at which they differ; BadSpec if the module is
    not the one traced, or if torch could be asked at no size.
    """
    _assert(module, net, ("outputs", "modules", "refusals", "repeat"), options)


def assert_cost(module: AnyModule, net: Network, **options: Unpack[Options]) -> None:
    """Parameters and FLOPs are those that torch counts. Options and errors: `assert_shapes`."""
    _assert(module, net, ("parameters", "flops"), options)


def assert_receptive_field(module: AnyModule, net: Network, **options: Unpack[Options]) -> None:
    """Each output index reads the inputs that it is said to read. Options and errors:
    `assert_shapes`; the device is "cpu" by default, as there must be values.
    """
    _assert(module, net, ("receptive field",), {"device": "cpu", **options})


def _assert(module: AnyModule, net: Network, wanted: tuple[str, ...], options: Options) -> None:
    report = net.validate(module, checks=wanted, **options)
    if report.counterexample is not None:
        raise AssertionError(str(report.counterexample))
    for what in wanted:
        skipped = [c for c in report.skipped if c.what == what]
        if skipped and not any(c.what == what for c in report.passed):
            raise BadSpec(f"{what}: nothing could be compared: {skipped[0].why}")
