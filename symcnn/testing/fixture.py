"""What the fixture ``symcnn`` of the pytest plugin gives: networks and oracles in one place.

Every method takes a module and, where a network is asked for, either one or the shapes to trace
with. Plain functions of `symcnn.testing` and `symcnn.contracts` do the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from symcnn.contracts import check_module, traced
from symcnn.testing import oracles

if TYPE_CHECKING:
    from symcnn.network import Network
    from symcnn.testing.oracles import AnyModule, Options


class Symcnn:
    """``symcnn.trace(module, "N 3 H W")`` and the oracles of `symcnn.testing`.

    >>> import torch
    >>> symcnn, module = Symcnn(), torch.nn.MaxPool2d(2)
    >>> symcnn.trace(module, "N C H W").output_shape
    (N, C, H//2, W//2)
    >>> symcnn.assert_shapes(module, "N C H W")
    >>> symcnn.contract(module, "N C H W -> N C H/2 W/2")
    """

    def trace(self, module: AnyModule, *specs: str) -> Network:
        """The network of a torch or symcnn module. Raises what `symcnn.from_torch` raises."""
        return traced(module, *specs)

    def contract(self, module: AnyModule, spec: str, *, domain: str = "") -> None:
        """Raises ShapeMismatch if the module breaks ``"N 3 H W -> N 1000"`` at some size."""
        check_module(module, spec, domain=domain)

    def assert_shapes(
        self, module: AnyModule, net: Network | str, **options: Unpack[Options]
    ) -> None:
        """See `symcnn.testing.assert_shapes`; `net` may be the spec of the only input."""
        oracles.assert_shapes(module, self._network(module, net), **options)

    def assert_cost(
        self, module: AnyModule, net: Network | str, **options: Unpack[Options]
    ) -> None:
        """See `symcnn.testing.assert_cost`."""
        oracles.assert_cost(module, self._network(module, net), **options)

    def assert_receptive_field(
        self, module: AnyModule, net: Network | str, **options: Unpack[Options]
    ) -> None:
        """See `symcnn.testing.assert_receptive_field`."""
        oracles.assert_receptive_field(module, self._network(module, net), **options)

    def _network(self, module: AnyModule, net: Network | str) -> Network:
        return traced(module, net) if isinstance(net, str) else net
