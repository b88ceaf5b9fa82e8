"""symcnn: a symbolic shape algebra for convolutional networks.

>>> from symcnn import nn
>>> net = nn.Sequential(nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1)).trace(
...     "N 3 H W"
... )
>>> net.output_shape
(N, 64, (H + 3)//4, (W + 3)//4)
>>> print(net.solve(output=(7, 7)))
25 <= H <= 28 and 25 <= W <= 28
"""

from typing import TYPE_CHECKING, Any

from symcnn.errors import (
    BadArgument,
    BadSpec,
    DataDependent,
    InvalidInput,
    MissingExtra,
    NoSolution,
    ShapeMismatch,
    SymcnnError,
    Undecidable,
    UnsupportedOperation,
)
from symcnn.lazy import load, submodule

if TYPE_CHECKING:
    from symcnn import nn
    from symcnn.algebra.expr import ceildiv
    from symcnn.algebra.sympy import C, D, FloorDiv, H, L, N, W, index, multiple, odd, symbols
    from symcnn.contracts import contract
    from symcnn.frontends import from_torch, trace_until_error
    from symcnn.frontends.effective import effective_receptive_field
    from symcnn.frontends.exported import from_exported
    from symcnn.frontends.onnx import from_onnx
    from symcnn.frontends.onnx.annotate import annotate
    from symcnn.network import Network
    from symcnn.ops.operation import rule
    from symcnn.ops.shape import cat
    from symcnn.questions.cost.compare import compare
    from symcnn.questions.inputs.system import solve
    from symcnn.questions.layer.hyper import dilations_for, inverse_of, same_padding, solve_layer
    from symcnn.questions.layer.stack import stack_for
    from symcnn.questions.place.agree import agree
    from symcnn.questions.place.buckets import buckets
    from symcnn.questions.proof.claims import check
    from symcnn.questions.report import diff, report
    from symcnn.sets.inputset import InputSet
    from symcnn.sets.isl import steps
    from symcnn.trace.graph import SymbolicTensor, tensor
    from symcnn.words.page import to_page

__version__ = "0.1.0"

__all__ = [
    "BadArgument",
    "BadSpec",
    "C",
    "D",
    "DataDependent",
    "FloorDiv",
    "H",
    "InputSet",
    "InvalidInput",
    "L",
    "MissingExtra",
    "N",
    "Network",
    "NoSolution",
    "ShapeMismatch",
    "SymbolicTensor",
    "SymcnnError",
    "Undecidable",
    "UnsupportedOperation",
    "W",
    "agree",
    "annotate",
    "buckets",
    "cat",
    "ceildiv",
    "check",
    "compare",
    "contract",
    "diff",
    "dilations_for",
    "effective_receptive_field",
    "from_exported",
    "from_onnx",
    "from_torch",
    "index",
    "inverse_of",
    "multiple",
    "nn",
    "odd",
    "report",
    "rule",
    "same_padding",
    "solve",
    "solve_layer",
    "stack_for",
    "steps",
    "symbols",
    "tensor",
    "to_page",
    "trace_until_error",
]

#: Where the names above come from that are loaded when first asked for.
_HOMES = {
    name: home
    for home, names in (
        ("symcnn.algebra.expr", "ceildiv"),
        ("symcnn.algebra.sympy", "C D FloorDiv H L N W index multiple odd symbols"),
        ("symcnn.contracts", "contract"),
        ("symcnn.frontends", "from_torch trace_until_error"),
        ("symcnn.frontends.effective", "effective_receptive_field"),
        ("symcnn.frontends.exported", "from_exported"),
        ("symcnn.frontends.onnx", "from_onnx"),
        ("symcnn.frontends.onnx.annotate", "annotate"),
        ("symcnn.network", "Network"),
        ("symcnn.ops.operation", "rule"),
        ("symcnn.ops.shape", "cat"),
        ("symcnn.questions.cost.compare", "compare"),
        ("symcnn.questions.inputs.system", "solve"),
        ("symcnn.questions.layer.hyper", "dilations_for inverse_of same_padding solve_layer"),
        ("symcnn.questions.layer.stack", "stack_for"),
        ("symcnn.questions.place.agree", "agree"),
        ("symcnn.questions.place.buckets", "buckets"),
        ("symcnn.questions.proof.claims", "check"),
        ("symcnn.questions.report", "diff report"),
        ("symcnn.sets.inputset", "InputSet"),
        ("symcnn.sets.isl", "steps"),
        ("symcnn.trace.graph", "SymbolicTensor tensor"),
        ("symcnn.words.page", "to_page"),
    )
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name == "nn":
        return load("symcnn.nn")
    if name not in _HOMES:
        return submodule(__name__, name)
    if not _HOMES[name].startswith("symcnn.algebra"):
        load("symcnn.ops")  # tensors calculate by its rules
    value = globals()[name] = getattr(load(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
