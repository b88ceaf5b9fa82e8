"""Networks exported by torch and read back: the same formulas, domain and MACs?

``python -m tests.onnx_exports`` writes the table of docs/onnx.md, ``--dims`` that of the Dims which
`net.spec("torch.export")` makes; names after them choose networks.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import onnx
import torch

import symcnn
from symcnn.algebra.size import evaluate
from symcnn.errors import SymcnnError
from symcnn.questions.spec.parts import compares

from .conftest import ROOT
from .corpus.examples import SOURCES

PAGE = ROOT / "docs/onnx.md"
#: Above so many parameters onnxruntime is not run.
RUN = 30_000_000
#: Seconds for a network: an exporter may take minutes for floors that it compares.
LIMIT = 180


def build(name: str, device: str) -> tuple[torch.nn.Module, str]:
    """A network, and the shape that it takes."""
    if name in SOURCES:
        file, factory = SOURCES[name].split(":")
        with torch.device(device):
            module = getattr(importlib.import_module(file.removesuffix(".py")), factory)().eval()
        channels = next(p for p in module.parameters() if p.ndim == 4).shape[1]
        return module, f"N {channels} H W"
    hf = importlib.import_module("hf")
    with torch.device(device):
        return hf.MODELS[name]().eval(), hf.spec(name)


def exported(module: torch.nn.Module, net: Any) -> tuple[Any, str]:
    """The program for the Dims of the spec, and how they are written."""
    part = net.spec("torch.export").parts[0]
    names: dict[str, Any] = {}
    exec(part.text, names)
    device = next(module.parameters()).device
    sizes = {
        name: first if last is not None else first + 3 * step
        for name, (first, last, step) in part.sizes.items()
    }
    sizes |= dict.fromkeys(net.batch & set(sizes), 2)
    shape = [evaluate(d, sizes) for d in net.input_tensors[0].dims]
    x = torch.zeros(shape, device=device)
    program = torch.export.export(
        module, (x,), dynamic_shapes=names["dynamic_shapes"], strict=False
    )
    return program, part.text.splitlines()[-1].removeprefix("dynamic_shapes = ")


def traced_file(module: torch.nn.Module, net: Any) -> Any:
    """The same by torch's older exporter: the new one takes minutes for floors that it compares."""
    domain = net.valid_inputs()
    least = domain.smallest()
    sizes = dict(zip(domain.shown, least if isinstance(least, tuple) else (least,), strict=True))
    dims = net.input_tensors[0].dims
    shape = [evaluate(d, {**dict.fromkeys(net.symbols, 2), **sizes}) for d in dims]
    axes = {i: str(d) for i, d in enumerate(dims) if not isinstance(d, int)}
    out: Any = io.BytesIO()  # the old exporter writes into it
    torch.onnx.export(
        module,
        (torch.zeros(shape),),
        out,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": axes},
    )
    return onnx.load_from_string(out.getvalue())


def dims_row(name: str) -> str:
    """Whether torch.export takes the Dims of the spec at the first try."""
    module, spec = build(name, "meta")
    net = symcnn.from_torch(module, spec)
    start = time.perf_counter()
    try:
        _, text = exported(module, net)
    except Exception as error:
        return f"| {name} | - | {type(error).__name__}: {str(error).splitlines()[0][:80]} |"
    return f"| {name} | `{text}` | taken, {time.perf_counter() - start:.1f} s |"


def onnx_row(name: str) -> str:
    """What is read back, against what torch's module says."""
    module, spec = build(name, "cpu")
    net = symcnn.from_torch(module, spec)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if compares(net):
                file = traced_file(module, net)
            else:
                program, _ = exported(module, net)
                made = torch.onnx.export(program, dynamo=True, input_names=["x"])
                assert made is not None
                file = made.model_proto
    except Exception as error:
        return f"| {name} | not exported: {type(error).__name__} | | | | |"
    try:
        back = symcnn.from_onnx(file, [spec])
    except SymcnnError as error:
        said = error.cause.partition(", at /")[0]  # a place on this machine
        return f"| {name} | {type(error).__name__}: {said[:90]} | | | | |"
    ours, theirs = _first(back), _first(net)
    mine, other = back.valid_inputs(), net.valid_inputs()
    tied = {*mine.names} ^ {*other.names}  # what one of them speaks of and leaves free
    equal = mine <= other <= mine if tied else mine == other
    same = "same" if equal else _short(f"{mine} for {other}")
    params = f"{back.params:,}" + ("" if back.params == net.params else f" of {net.params:,}")
    return " | ".join(
        [
            f"| {name}",
            "same" if ours == theirs else _short(f"{ours} for {theirs}"),
            same,
            "same" if back.macs == net.macs else _close(back.macs, net.macs, other, net),
            params,
            run(_freed(file), back) if net.params < RUN else "not run",
            "",
        ]
    ).rstrip()


def _first(net: Any) -> str:
    """The shape of the first tensor that comes out, over all branches."""
    shape = net.output_shape
    while isinstance(shape, dict) or (shape and isinstance(shape[0], (tuple, dict))):
        shape = next(iter(shape.values())) if isinstance(shape, dict) else shape[0]
    return str(shape)


def _short(text: str) -> str:
    text = text.replace(" | ", " or ")  # which would end a cell
    return text if len(text) <= 300 else f"{text[:300]}..."


def _freed(file: Any) -> Any:
    """The model without the sizes that it fixes: onnxruntime holds images to these."""
    del file.graph.value_info[:]
    for value in (*file.graph.input, *file.graph.output):
        for i, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{i}"
    return file


def _close(a: Any, b: Any, domain: Any, net: Any) -> str:
    best = domain.nearest(*[224] * len(domain.shown))
    sizes = dict(zip(domain.shown, best if isinstance(best, tuple) else (best,), strict=True))
    values = {s: sizes.get(s.name, 1) for s in (a.free_symbols | b.free_symbols)}
    return f"{100 * float(a.subs(values) / b.subs(values)):.2f} %"


def run(file: Any, net: Any) -> str:
    """onnxruntime at two sizes inside the domain, and at one just outside."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(file.SerializeToString())
    (given, *others) = session.get_inputs()
    if others:
        return "several inputs"
    domain = net.valid_inputs()
    names = domain.shown
    least = domain.smallest()
    least = least if isinstance(least, tuple) else (least,)
    more = domain.nearest(*(n + 37 for n in least))
    more = more if isinstance(more, tuple) else (more,)
    told = []
    for sizes in dict.fromkeys((least, more)):
        values = {**dict.fromkeys(net.symbols, 2), **dict(zip(names, sizes, strict=True))}
        found = _run(session, given.name, net, values)
        want = tuple(net.shape_at(**values)) if len(net.output_tensors) == 1 else None
        here = [tuple(evaluate(d, values) for d in net.output_tensors[0].dims)]
        text = "x".join(map(str, sizes))
        agrees = isinstance(found, tuple) and found in (want, *here)
        told.append(f"{text} {'agrees' if agrees else f'gives {found}'}")
    out = tuple(n - 1 for n in least)
    if min(out) > 0 and out not in domain:
        values = {**dict.fromkeys(net.symbols, 2), **dict(zip(names, out, strict=True))}
        said = _outside(file, given.name, [evaluate(d, values) for d in net.input_tensors[0].dims])
        told.append(f"{'x'.join(map(str, out))} {said}")
    return ", ".join(told)


def _outside(file: Any, name: str, shape: list[int]) -> str:
    """What onnxruntime does at sizes outside the domain, in a process of its own: it may crash."""
    code = (
        "import sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        f"print(session.run(None, {{{name!r}: numpy.zeros({shape}, 'float32')}})[0].shape)"
    )
    with tempfile.NamedTemporaryFile(suffix=".onnx") as held:
        held.write(file.SerializeToString())
        held.flush()
        run = subprocess.run(
            [sys.executable, "-c", code, held.name], capture_output=True, text=True
        )
    if run.returncode == 0:
        return f"gives {run.stdout.strip()}"
    return "refused" if run.returncode == 1 else "crashes"


def _run(session: Any, name: str, net: Any, values: dict[str, int]) -> Any:
    shape = [evaluate(d, values) for d in net.input_tensors[0].dims]
    try:
        return tuple(session.run(None, {name: torch.zeros(shape).numpy()})[0].shape)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:60]}"


def _too_long(*_: object) -> None:
    raise TimeoutError(f"not done after {LIMIT} s")


def main(arguments: list[str]) -> None:
    """Write a table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    sys.path.insert(0, str(ROOT / "examples/networks"))
    dims = "--dims" in arguments
    chosen = [a for a in arguments if not a.startswith("-")]
    row, mark = (dims_row, "dims") if dims else (onnx_row, "exports")
    head = (
        ["| network | `dynamic_shapes` | torch.export |", "| --- | --- | --- |"]
        if dims
        else [
            "| network | output | domain | MACs | parameters | onnxruntime |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
    )
    rows = []
    signal.signal(signal.SIGALRM, _too_long)
    for name in chosen or [*SOURCES, *([] if dims else importlib.import_module("hf").MODELS)]:
        signal.alarm(LIMIT)
        try:
            rows.append(row(name))
        except Exception as error:  # one network must not stop the others
            said = str(error).partition("\n")[0]
            rows.append(f"| {name} | {type(error).__name__}: {said[:90]} |")
        signal.alarm(0)
        print(rows[-1], flush=True)
    if not chosen:
        text = PAGE.read_text()
        start, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        table = "\n".join([f"torch {torch.__version__}.", "", *head, *rows])
        PAGE.write_text(f"{before}{start}\n\n{table}\n\n{end}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
