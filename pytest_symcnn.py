"""The pytest plugin of symcnn: a marker that decides a module's contract, and a fixture.

It is a module of its own beside the package, and imports symcnn (and with it sympy, and torch)
only where a test uses it: a test suite that does not, pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from symcnn.testing.fixture import Symcnn

__all__ = ["pytest_configure", "pytest_runtest_call", "symcnn"]

_MARKER = "shape_contract"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f'{_MARKER}(spec, domain="", module="module"): the torch or symcnn module that the test '
        'gets by this name has these shapes, "N 3 H W -> N 1000", at every size of the domain',
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Decide the contracts that a test declares, before it runs."""
    for marker in item.iter_markers(_MARKER):
        _check(item, *_arguments(marker))


def _arguments(marker: pytest.Mark) -> tuple[str, str, str]:
    def shape_contract(spec: str, domain: str = "", module: str = "module") -> tuple[str, str, str]:
        return spec, domain, module

    try:
        return shape_contract(*marker.args, **marker.kwargs)
    except TypeError as error:
        pytest.fail(f"{error}", pytrace=False)


def _check(item: pytest.Item, spec: str, domain: str, module: str) -> None:
    given = getattr(item, "funcargs", {})
    if module not in given:
        pytest.fail(
            f"{_MARKER}: the test takes no argument called {module!r}\n"
            f'  name the one that holds the module: module="..."; there is {", ".join(given)}',
            pytrace=False,
        )
    from symcnn.contracts import check_module
    from symcnn.errors import SymcnnError

    broken = ""
    try:
        check_module(given[module], spec, domain=domain)
    except SymcnnError as error:
        broken = f"{type(error).__name__}: {error}"
    if broken:  # told by itself, not as what happened while another was handled
        pytest.fail(broken, pytrace=False)


@pytest.fixture(scope="session")
def symcnn() -> Symcnn:
    """Networks and oracles: ``symcnn.trace``, ``symcnn.assert_shapes``, ``symcnn.contract``."""
    from symcnn.testing.fixture import Symcnn

    return Symcnn()
