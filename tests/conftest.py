import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

#: Programs that need what tests do not: the tests of each import what they look at.
collect_ignore = ["tools", "benchmarks"]

quiet: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=200, derandomize=True, **quiet)
settings.register_profile("fuzz", max_examples=20_000, **quiet)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True, scope="session")
def no_isl_outside_of_questions() -> None:
    """What asks isl counts its steps: outside of questions there are none to take."""
    from symcnn.sets.isl import _meter

    _meter.outside = 1
    _meter.stop()


def load_example(file: str) -> ModuleType:
    """A module of examples/networks."""
    path = ROOT / "examples" / "networks" / f"{file}.py"
    spec = importlib.util.spec_from_file_location(file, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def example() -> Callable[..., Any]:
    """``example("resnet:resnet50")`` builds a network of examples/networks on the meta device."""
    import torch

    def build(name: str, device: str = "meta", **options: Any) -> Any:
        file, factory = name.split(":")
        with torch.device(device):
            return getattr(load_example(file), factory)(**options).eval()

    return build
