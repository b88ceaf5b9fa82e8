"""The models of ``onnx.backend.test``, one operator or a few each: do shapes agree?

Each model comes with inputs and outputs, and is judged twice: with the sizes that its file fixes,
and with a symbol in place of every size, whose formulas are then taken at the sizes of the inputs.
``python -m tests.onnx_node_models`` writes the table of docs/onnx.md.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from symcnn.algebra.size import evaluate
from symcnn.errors import SymcnnError
from symcnn.frontends.onnx import traced

from .conftest import ROOT

PAGE = ROOT / "docs/onnx.md"
START, END = "<!-- node models -->", "<!-- end of node models -->"


def cases() -> Iterator[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    """Name, model, inputs, outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        for case in collect_testcases(None):
            for inputs, outputs in case.data_sets or ():
                assert case.model is not None
                yield case.name, case.model, list(inputs), list(outputs)


def with_values(model: onnx.ModelProto, inputs: list[Any]) -> onnx.ModelProto:
    """The model with the small tables that it is fed, shapes and scales, as initializers."""
    fed = onnx.ModelProto()
    fed.CopyFrom(model)
    for info, value in zip(model.graph.input, inputs, strict=False):
        table = isinstance(value, (np.ndarray, np.generic)) and value.size <= 64 and value.ndim <= 1
        if table and value.dtype != object:
            fed.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), info.name))
    return fed


def symbolic(model: onnx.ModelProto, inputs: list[Any]) -> tuple[dict[str, str], dict[str, int]]:
    """A symbol for every size of the inputs, and the sizes."""
    held = {tensor.name for tensor in model.graph.initializer}
    specs: dict[str, str] = {}
    values: dict[str, int] = {}
    for i, (info, value) in enumerate(zip(model.graph.input, inputs, strict=False)):
        shape = np.shape(value) if isinstance(value, np.ndarray) else ()
        if info.name not in held and shape and 0 not in shape:
            names = [f"s{i}_{axis}" for axis in range(len(shape))]
            values |= dict(zip(names, shape, strict=True))
            specs[info.name] = " ".join(names)
    return specs, values


def shapes(value: Any) -> Any:
    """The shapes of an expected output."""
    if isinstance(value, (list, tuple)):
        return [shapes(v) for v in value]
    if isinstance(value, onnx.TensorProto):
        return tuple(value.dims)
    return () if value is None else tuple(np.asarray(value).shape)


def ours(value: Any, sizes: dict[str, int]) -> Any:
    """The shapes of a run's output, at sizes."""
    if isinstance(value, list):
        return [ours(v, sizes) for v in value]
    return () if value is None else tuple(evaluate(d, sizes) for d in value.dims)


def judge(
    model: onnx.ModelProto, inputs: list[Any], outputs: list[Any], *, symbols: bool = False
) -> str:
    """ "agrees", "refused: ...", "stricter: ..." (a size that is not valid here), or "DIFFERS"."""
    told = "refused: no sizes"
    wanted = [shapes(v) for v in outputs]
    for candidate in (model, with_values(model, inputs)):
        specs, sizes = symbolic(candidate, inputs) if symbols else ({}, {})
        try:
            net, run = traced(candidate, specs)
            if net.guards:  # the run of another branch would be needed
                return "refused: branches"
            failed = [r for r in net.requirements if not r.holds(sizes)]
        except SymcnnError as error:
            told = f"refused: {type(error).__name__}: {error.cause}"
            continue
        if failed:
            return f"stricter: {failed[0]} does not hold"
        found = [ours(run.seen[o.name], sizes) for o in model.graph.output]
        return "agrees" if found == wanted else f"DIFFERS: {found} for {wanted}"
    return told


def table() -> str:
    """Per operator: how many data sets, and how many agree, with numbers and with symbols."""
    counts: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for name, model, inputs, outputs in cases():
        domain = model.graph.node[0].domain
        op = f"{domain + '.' if domain else ''}{model.graph.node[0].op_type}"
        if name.endswith("_expanded") or len({n.op_type for n in model.graph.node}) > 1:
            op = "several operators"
        own = counts.setdefault(op, Counter())
        own["all"] += 1
        for kind, symbols in (("numbers", False), ("symbols", True)):
            verdict = judge(model, inputs, outputs, symbols=symbols)
            word = verdict.split(":")[0]
            own[f"{kind} {word}"] += 1
            if word == "DIFFERS":
                print(name, kind, verdict[:300])
            elif word == "refused" and kind == "numbers":
                reasons[verdict.split(": ", 2)[1]] += 1
    total: Counter[str] = sum(counts.values(), Counter())
    said = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    n = {key: f"{count:,}" for key, count in total.items()} | {"numbers DIFFERS": "0"}
    for key in ("symbols DIFFERS", "symbols stricter"):
        n.setdefault(key, "0")
    n["numbers DIFFERS"] = f"{total['numbers DIFFERS']:,}"
    lines = [
        f"onnx {onnx.__version__}, operator set {onnx.defs.onnx_opset_version()}: {n['all']} data "
        "sets.",
        "",
        f"- With the sizes of the file: {n['numbers agrees']} agree, {n['numbers DIFFERS']} "
        f"differ, {n['numbers refused']} are refused by name ({said}).",
        f"- With a symbol for every size, put at the sizes of the inputs: {n['symbols agrees']} "
        f"agree, {n['symbols DIFFERS']} differ, {n['symbols refused']} are refused (nothing ties "
        f"the sizes of such a model), and {n['symbols stricter']} are sizes that symcnn counts as "
        "no valid ones: an empty map, and a view that does not keep the batch.",
        "",
        "| operator | data sets | agree | agree as formulas | refused |",
        "| --- | --- | --- | --- | --- |",
    ]
    for op, own in sorted(counts.items()):
        agree, formulas = own["numbers agrees"], own["symbols agrees"]
        lines.append(f"| {op} | {own['all']} | {agree} | {formulas} | {own['numbers refused']} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    text = PAGE.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n{table()}\n\n{END}{after}")


if __name__ == "__main__":
    main()
