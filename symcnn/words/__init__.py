"""An answer as text, table, LaTeX, code."""

from types import ModuleType

from symcnn.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
