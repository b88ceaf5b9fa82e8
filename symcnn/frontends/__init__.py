"""Front ends: networks that were not written in symcnn's own layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from symcnn import nn
    from symcnn.network import Network
    from symcnn.trace.graph import SymbolicTensor


def trace_until_error(module: torch.nn.Module | nn.Module, *specs: str, **options: Any) -> Network:
    """The network up to where its trace fails, for all questions; the whole if it does not.

    The error itself has the same network as `partial`.

    Args:
        module: of torch or of `symcnn.nn`.
        specs: as for `from_torch`.
        options: as for `from_torch`.

    Returns:
        The network up to there.

    Raises:
        BadSpec: for malformed specs.

    >>> from symcnn import nn
    >>> net = trace_until_error(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3)), "N 3 H W")
    >>> net.output_shape
    (N, 8, H - 2, W - 2)
    """
    from symcnn import nn
    from symcnn.errors import SymcnnError

    try:
        if isinstance(module, nn.Module):
            return module.trace(*specs, **options)
        return from_torch(module, *specs, **options)
    except SymcnnError as error:
        if error.partial is None:
            raise
        found: Network = error.partial
        return found


def from_torch(
    module: torch.nn.Module,
    *specs: str | SymbolicTensor,
    example: Mapping[str, int] | None = None,
    branches: int | None = None,
    **named: str | SymbolicTensor,
) -> Network:
    """The network of any ``torch.nn.Module``, for inputs of these shapes.

    The module's own forward runs on symbolic tensors; no value is computed, and its parameters,
    mode and hooks stay as they are. Where its python branches on sizes, every branch is followed,
    and the network is their union: ``net.branches``, ``net.complete``, ``net.unfollowed``. A branch
    that ends in an exception is outside the domain.

    Args:
        module: the module, or what ``torch.export`` or ``torch.compile`` made of one.
        specs: one per input, in the order of the forward: ``"N 3 H W"``; letters stay symbols. An
            input is of the module's own dtype; ``symcnn.tensor("N 3 H W", dtype="float32")`` of
            another.
        example: the sizes whose branch comes first; 224 for those that are not named.
        branches: at most so many are followed; by default 64, fewer in large networks.
        named: inputs that the forward takes by keyword: ``pixel_values="N 3 H W"``.

    Returns:
        The network, whose answers hold for all sizes.

    Raises:
        UnsupportedOperation: for an operation without a rule.
        DataDependent: for a shape or a branch that depends on values.
        ShapeMismatch: where shapes agree at no size.
        BadSpec: for malformed specs.
        MissingExtra: without torch.

    >>> import torch
    >>> net = from_torch(torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), "N 3 H W")
    >>> net.output_shape
    (N, 8, (H + 1)//2, (W + 1)//2)
    """
    from symcnn.errors import needs
    from symcnn.lazy import uncollected

    with needs("torch", "networks of torch"), uncollected():
        from symcnn.frontends.exported import is_exported, of_graph, plain
        from symcnn.frontends.torch.trace import trace

    given = plain(module)
    if is_exported(given):
        return of_graph(given, specs, named)
    return trace(given, specs, named, example, branches)
