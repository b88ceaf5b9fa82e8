"""Containers: modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from symcnn.nn.module import Module
from symcnn.trace.graph import SymbolicTensor

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _List(Module):
    def __init__(self, modules: Iterable[Module]) -> None:
        self._modules = {str(i): module for i, module in enumerate(modules)}

    def children(self) -> Iterator[tuple[str, Module]]:
        """(index, module) pairs."""
        yield from self._modules.items()

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> Module:
        return list(self._modules.values())[index]


class Sequential(_List):
    """Modules one after the other, given in order or as one dict of names.

    >>> from symcnn import nn
    >>> nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W").output_shape
    (N, 8, H - 2, W - 2)
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._modules = dict(modules[0])
        else:
            super().__init__(modules)

    @classmethod
    def of(cls, *parts: Module) -> Sequential:
        """The parts one after the other, those of a part that is a plain sequence among them."""
        every: list[Module] = []
        for part in parts:
            plain = type(part) is cls and [*part._modules] == [*map(str, range(len(part)))]
            every += [*part] if plain and isinstance(part, Sequential) else [part]
        return cls(*every)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Each module on the output of the one before."""
        for module in self:
            input = module(input)
        return input


class ModuleList(_List):
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
