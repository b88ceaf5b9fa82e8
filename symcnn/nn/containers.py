"""Containers: modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from symcnn.nn.module import Module, _Modules


class ModuleList(_Modules):
    """Modules in a list; the network's own forward calls them."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


class ModuleDict(Module):
    """Modules by name; the network's own forward calls them."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self._modules = dict(modules or {})

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) pairs."""
        yield from self._modules.items()

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
