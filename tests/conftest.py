import gc
import importlib.util
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from symcnn.sets.formula import Formula

T = TypeVar("T")

ROOT = Path(__file__).parents[1]

#: Workers are as many as cores: torch's own threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Programs that need what tests do not: the tests of each import what they look at.
collect_ignore = ["tools", "benchmarks"]

quiet: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=100, derandomize=True, **quiet)
settings.register_profile("mutants", max_examples=200, derandomize=True, **quiet)
settings.register_profile("fuzz", max_examples=20_000, **quiet)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True, scope="session")
def no_isl_outside_of_questions() -> None:
    """What asks isl counts its steps: outside of questions there are none to take."""
    from symcnn.sets.isl import _meter

    _meter.outside = 1
    _meter.stop()


@pytest.fixture(autouse=True, scope="module")
def no_garbage_of_other_files() -> Iterator[None]:
    """Networks of a file of tests go with it, and what stays is not looked through again."""
    yield
    gc.collect()
    gc.freeze()


def sure(value: T | None) -> T:
    """A value of which a test knows that there is one."""
    assert value is not None
    return value


def formula(value: int | Formula) -> Formula:
    """A figure of which a test knows that it depends on sizes."""
    assert isinstance(value, Formula)
    return value


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


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """``printed("examples/papers.py")`` is what a script prints, run here: torch is loaded."""

    def run(script: str) -> str:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "path", [str((ROOT / script).parent), *sys.path])
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="session")
def example() -> Callable[..., Any]:
    """``example("resnet:resnet50")`` builds a network of examples/networks on the meta device; on
    another one its weights are memory that nobody has written to, which takes no room.
    """
    import torch

    def build(name: str, device: str = "meta", **options: Any) -> Any:
        file, factory = name.split(":")
        with torch.device("meta"):
            net = getattr(load_example(file), factory)(**options).eval()
        return net if device == "meta" else net.to_empty(device=device)

    return build
