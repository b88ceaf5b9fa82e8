"""The hooks of all modules, and what torch notes of them, as one object that runs remember."""

from __future__ import annotations

from typing import Any

from torch.nn.modules import module

_NAMES = tuple(name for name in vars(module) if name.startswith("_global_"))


class _Hooks:
    """Its attributes are those of torch's own file."""

    @property
    def __dict__(self) -> dict[str, Any]:
        return {name: getattr(module, name) for name in _NAMES}

    def __setattr__(self, name: str, value: object) -> None:
        setattr(module, name, value)


HOOKS: Any = _Hooks()
