"""The models of ``onnx.backend.test``, one operator or a few each: do shapes agree?

Writes the table of docs/onnx.md: ``python -m tests.onnx_node_models``.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests  # noqa: F401

from symcnn.errors import SymcnnError
from symcnn.frontends.onnx import traced


def cases() -> Iterator[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    """Name, model, inputs, outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        for case in collect_testcases(None):
            for inputs, outputs in case.data_sets:
                yield case.name, case.model, list(inputs), list(outputs)


def with_values(model: onnx.ModelProto, inputs: list[Any]) -> onnx.ModelProto:
    """The model with the tables of whole numbers and the scales it is fed as initializers."""
    fed = onnx.ModelProto()
    fed.CopyFrom(model)
    for info, value in zip(model.graph.input, inputs, strict=False):
        if isinstance(value, (np.ndarray, np.generic)) and value.size <= 64 and value.ndim <= 1:
            if value.dtype == object:
                continue
            fed.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), info.name))
    return fed


def shapes(value: Any) -> Any:
    """The shapes of an expected output."""
    if isinstance(value, (list, tuple)):
        return [shapes(v) for v in value]
    if isinstance(value, onnx.TensorProto):
        return tuple(value.dims)
    return () if value is None else tuple(np.asarray(value).shape)


def ours(value: Any) -> Any:
    """The shapes of a run's output."""
    if isinstance(value, list):
        return [ours(v) for v in value]
    return () if value is None else tuple(value.dims)


def judge(model: onnx.ModelProto, inputs: list[Any], outputs: list[Any]) -> str:
    """ "agrees", or what is other."""
    told = ""
    for candidate in (model, with_values(model, inputs)):
        try:
            _, run = traced(candidate, {})
        except SymcnnError as error:
            told = f"refused: {type(error).__name__}: {error.cause}"
            continue
        found = [ours(run.seen[o.name]) for o in model.graph.output]
        wanted = [shapes(v) for v in outputs]
        return "agrees" if found == wanted else f"DIFFERS: {found} for {wanted}"
    return told


def main() -> None:
    verdicts: dict[str, Counter[str]] = {}
    for name, model, inputs, outputs in cases():
        ops = sorted({n.op_type for n in model.graph.node})
        try:
            verdict = judge(model, inputs, outputs)
        except Exception as error:
            verdict = f"CRASH {type(error).__name__}: {error}"
        if verdict != "agrees":
            print(name, ops, verdict.replace("\n", " ")[:300])
        verdicts.setdefault(ops[0], Counter())[verdict.split(":")[0].split(" ")[0]] += 1
    total = sum(verdicts.values(), Counter())
    print(total)


if __name__ == "__main__":
    sys.exit(main())
