"""Every operation crossed with every question: answered and checked, or refused by name.

`python -m tests.fuzz.crossing docs/validation/operations.md` crosses all of them; here a part.
"""

import subprocess
import sys

import pytest
import torch

from .conftest import ROOT

pytest.importorskip("expecttest", reason="torch.testing._internal needs it")
crossing = pytest.importorskip("tests.fuzz.crossing")

torch.set_num_threads(1)


#: The operations of a process in which nobody else has added one.
OPERATIONS = """
import symcnn.frontends.torch.trace
from symcnn.ops.operation import Operation
from symcnn.trace.graph import OPS
print(*{o.name for o in OPS.values() if isinstance(o, Operation)})
"""


def test_every_operation_is_one_that_can_be_asked() -> None:
    from symcnn.trace.graph import OPS

    called = [*crossing.names(), *(rule for _, rule in crossing.operations())]
    asked = {getattr(OPS.get(name), "name", name) for name in called}
    asked |= {f"{name}_with_indices" for name in asked}  # the same pools, which answer with both
    run = subprocess.run(
        [sys.executable, "-c", OPERATIONS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {*run.stdout.split()} - asked <= crossing.WITHOUT


@pytest.mark.parametrize("start", range(4))
def test_what_is_asked_of_an_operation_is_answered_as_torch_has_it_or_refused_by_name(
    start: int,
) -> None:
    found = crossing.cross(crossing.names()[start::40], calls=1)
    assert found.wrong == []
    assert len(found.found) >= 12


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("renorm", "field"),
        ("stft", "field"),
        ("gru_cell", "domain"),
        ("gru", "domain"),
        ("nn.functional.layer_norm", "saved"),
        ("linalg.qr", "flops"),
        ("linalg.matrix_power", "flops"),
        ("norm.nuc", "flops"),
        ("affine_grid", "flops"),
        ("tensordot", "flops"),
        ("unfold", "saved"),
        ("chunk", "given"),
        ("new_zeros", "tiles"),
    ],
)
def test_an_answer_that_was_wrong_is_as_torch_has_it_or_refused(name: str, question: str) -> None:
    assert crossing.cross([name], [question]).wrong == []


def test_flops_of_a_power_are_those_of_its_products() -> None:
    found = crossing.cross(["linalg.matrix_power", "matrix_power"], ["flops"])
    assert found.found["matrix_power"]["flops"] == "checked"
