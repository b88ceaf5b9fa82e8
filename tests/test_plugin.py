"""The pytest plugin: a marker that decides contracts, a fixture, and no cost where not used."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest

from .conftest import ROOT

pytest_plugins = ["pytester"]

STEM = """
    import pytest
    from symcnn import nn

    @pytest.fixture
    def module():
        return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2))
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the tests in a text with the plugin, whether or not it is installed."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: Any, *options: Any) -> Any:
        pytester.makepyfile(STEM + text)
        return pytester.runpytest_subprocess(
            "-p", "pytest_symcnn", "-p", "no:cacheprovider", *options
        )

    return run


def test_a_contract_that_holds_passes_and_the_test_runs(run: Any) -> None:
    result = run("""
    @pytest.mark.shape_contract("N 3 H W -> N 8 H/4 W/4")
    def test_stem(module):
        assert len(module) == 2
""")
    result.assert_outcomes(passed=1)


def test_a_broken_contract_fails_with_the_smallest_sizes(run: Any) -> None:
    result = run("""
    @pytest.mark.shape_contract("N 3 H W -> N 8 H/2 W/2")
    def test_stem(module):
        pass
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ShapeMismatch: Sequential breaks its contract N 3 H W -> N 8 H/2 W/2",
            "*at H=4, N=1, W=4 the output is (1, 8, 1, 1), not (1, 8, 2, 2)",
        ]
    )


def test_a_contract_may_be_about_a_part_of_the_sizes(run: Any) -> None:
    result = run("""
    @pytest.mark.shape_contract("N 3 H W -> N 8 H//4 W//4", domain="H % 4 == 0 and W % 4 == 0")
    def test_on_multiples(module):
        pass

    @pytest.mark.shape_contract("N 3 H W -> N 8 H//4 W//4")
    def test_everywhere(module):
        pass
""")
    result.assert_outcomes(passed=1, failed=1)


def test_parametrized_modules_and_other_names(run: Any) -> None:
    result = run(
        """
    @pytest.mark.shape_contract("N 3 H W -> N 4 H W", module="layer")
    @pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3)])
    def test_layers(layer):
        pass
""".replace("N k H W", "N 4 H W")
    )
    result.assert_outcomes(passed=1, failed=1)


def test_a_contract_of_two_lines_asks_for_both(run: Any) -> None:
    result = run("""
    @pytest.mark.shape_contract("N 3 H W -> N 8 H/4 W/4")
    @pytest.mark.shape_contract("1 3 64 64 -> 1 8 16 16")
    def test_stem(module):
        pass
""")
    result.assert_outcomes(passed=1)


def test_bad_use_of_the_marker_is_told(run: Any) -> None:
    result = run("""
    @pytest.mark.shape_contract("N 3 H W -> N 8 H/4 W/4", module="net")
    def test_name(module):
        pass

    @pytest.mark.shape_contract()
    def test_nothing(module):
        pass

    @pytest.mark.shape_contract("N 3 H W")
    def test_half(module):
        pass

    @pytest.mark.shape_contract("N 3 H W -> N 3 H W")
    @pytest.mark.parametrize("module", [len])
    def test_function(module):
        pass
""")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "*the test takes no argument called 'net'",
            "*there is module",
            "*missing 1 required positional argument: 'spec'",
            "*BadSpec: 'N 3 H W' is no contract",
            "*BadSpec: builtin_function_or_method is no torch.nn.Module*",
        ]
    )


def test_the_fixture_traces_and_asserts(run: Any) -> None:
    result = run("""
    from torch import nn

    def test_right(module, symcnn):
        assert str(symcnn.trace(module, "N 3 H W").output_shape) == "(N, 8, (H + 1)//4, (W + 1)//4)"
        symcnn.assert_shapes(module, "N 3 H W", samples=6)
        symcnn.assert_cost(module, symcnn.trace(module, "N 3 H W"), samples=4)
        symcnn.assert_receptive_field(module, "N 3 H W", samples=6)
        symcnn.contract(module, "N 3 H W -> N 8 H/4 W/4")

    def test_wrong(module, symcnn):
        symcnn.contract(module, "N 3 H W -> N 8 H W")
""")
    result.assert_outcomes(passed=1, failed=1)


def test_the_marker_is_listed(run: Any) -> None:
    result = run("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.shape_contract(spec, domain=*"])


def test_where_it_is_not_used_nothing_of_symcnn_or_torch_is_loaded() -> None:
    code = (
        "import sys, pytest, pytest_symcnn\n"
        "print([m for m in ('symcnn', 'sympy', 'torch', 'hypothesis') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_pytest_finds_the_plugin_once_the_package_is_installed() -> None:
    found = [e for e in entry_points(group="pytest11") if e.value == "pytest_symcnn"]
    if not found:
        pytest.skip("the installed package is older than the plugin: pip install -e . again")
    assert found[0].name == "pytest_symcnn"


def test_branches_dtypes_and_batches_are_decided(run: Any) -> None:
    result = run("""
    import torch
    from torch.nn import functional as F

    class Padded(torch.nn.Module):
        def forward(self, x):
            x = F.pad(x, (0, 1)) if x.shape[3] % 2 else x
            return F.avg_pool2d(x, 1, 2).squeeze(0)

    @pytest.fixture
    def padded():
        return Padded().half()

    marked = pytest.mark.shape_contract

    @marked("N 3 H W: float16 -> N 3 (H+1)//2 (W+1)//2: float16", domain="N > 1", module="padded")
    def test_kept(padded):
        pass

    @marked("N 3 H W: float16 -> N 3 (H+1)//2 W//2", domain="N > 1", module="padded")
    def test_branch(padded):
        pass

    @marked("N 3 H W -> N 3 (H+1)//2 (W+1)//2", module="padded")
    def test_batch(padded):
        pass

    @marked("N 3 H W: float16 -> N 3 H//2 W//2: float32", domain="N > 1", module="padded")
    def test_dtype(padded):
        pass
""")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*at H=1, N=2, W=1 the output is (2, 3, 1, 1), not (2, 3, 1, 0)",
            "*at H=1, N=1, W=1 the output is (3, 1, 1), not (1, 3, 1, 1)",
            "*not (2, 3, 0, 0)",
        ]
    )
    assert "During handling" not in result.stdout.str()
