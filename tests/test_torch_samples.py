"""Every operation and module that torch describes to its own tests, where we have a rule for it."""

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from symcnn.ops.operation import Operation
from symcnn.trace.graph import OPS

pytest.importorskip("expecttest", reason="torch.testing._internal needs it")
torch_samples = pytest.importorskip("tests.fuzz.torch_samples")
forms = pytest.importorskip("tests.fuzz.forms")
layout = pytest.importorskip("symcnn.frontends.torch.layout")

torch.set_num_threads(1)

#: How many samples of each; all of them in the long run.
COUNT = None if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 30


def every_operation() -> Any:
    report = torch_samples.Report()
    for op, name in torch_samples.operations():
        report += torch_samples.check_op(op, name, COUNT)
    return report


def every_module() -> Any:
    report = torch_samples.Report()
    for info in torch_samples.modules():
        report += torch_samples.check_module(info, COUNT)
    return report


def every_operation_resized() -> Any:
    report = torch_samples.Report()
    for op, name in torch_samples.operations():
        for seed in range(1 if COUNT else 20):
            report += torch_samples.check_resized(op, name, COUNT, seed)
    return report


#: What multiplies matrices, one way or another.
PRODUCTS = set(
    "mm bmm addmm baddbmm addbmm matmul einsum inner tensordot nn.functional.linear "
    "nn.functional.scaled_dot_product_attention nn.functional.multi_head_attention_forward "
    "nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d "
    "nn.functional.conv_transpose1d nn.functional.conv_transpose2d "
    "nn.functional.conv_transpose3d nn.functional.linear_cross_entropy".split()
)


def every_product() -> Any:
    report = torch_samples.Report()
    for op, name in torch_samples.operations():
        if op.name in PRODUCTS and torch.float32 in op.supported_dtypes("cpu"):
            report += torch_samples.check_macs(op, name, COUNT)
    return report


@pytest.mark.parametrize(
    ("check", "names"),
    [
        (every_operation, 350),
        (every_operation_resized, 300),
        (every_module, 90),
        (every_product, 10),
    ],
)
def test_property_a_rule_agrees_with_torch_on_torchs_own_samples(
    check: Callable[..., Any], names: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = check()
    with capsys.disabled():
        print(f"\n{check.__name__}: {report}", file=sys.stderr)
    assert not report.failed
    assert len({name for name in report.covered if "symbols" not in name}) >= names


#: So many calls here; 200,000 in the long run.
CALLS = 200_000 if COUNT is None else 1_500


def test_property_every_form_of_a_call_is_answered_as_torch_answers_it() -> None:
    tally: dict[str, int] = {}
    wrong: list[str] = []
    for number in range(CALLS):
        call = forms.draw_call(0, number)
        if call is not None:
            outcome = forms.judge_call(call, symbols=bool(number % 2))
            tally[outcome.verdict] = tally.get(outcome.verdict, 0) + 1
            if outcome.verdict == "differs":
                wrong.append(outcome.told)
    assert not wrong
    assert tally["agrees"] >= CALLS * 0.7


# How results lie in memory, where no record says so -------------------------------------------


def test_what_no_record_speaks_of_makes_plain_order_of_plain_order() -> None:
    wrong, seen = {}, set()
    for op, name in torch_samples.operations():
        record = OPS[name]  # or a function of several
        known = not isinstance(record, Operation) or record.saves is not None
        floats = torch.float32 in op.supported_dtypes("cpu")
        if known or not floats or not layout.in_plain_order(name):
            continue
        for sample in torch_samples.samples(op, torch.float32, 6):
            args, kwargs = torch.utils._pytree.tree_map(
                lambda v: v.detach().contiguous() if isinstance(v, torch.Tensor) else v,
                ((sample.input, *sample.args), sample.kwargs),
            )
            made = op.op(*args, **kwargs)
            for t in made if isinstance(made, (tuple, list)) else (made,):
                seen.add(name)
                if not t.is_contiguous():
                    wrong[name] = torch_samples.written_out(args, kwargs)
    assert wrong == {}
    assert len(seen) >= 35
