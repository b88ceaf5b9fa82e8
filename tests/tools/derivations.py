"""Derivations of networks of others: each ends with what its question answers, and compiles.

    python -m tests.tools.derivations [examples | zoo | families] [names ...] [--latex] [--skip ...]

For every network, and every branch of a network that branches on sizes: the derivations of size and
field along each axis, parameters, MACs, memory, peak, domain, and of one stream and one tiling. The
last line of each must be what the question answers, and where the question refuses, the derivation
must. With ``--latex`` the document of the network (table, formulas, derivations) goes through
pdflatex too. docs/validation/derivations.md has what came of it.
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import symcnn
from symcnn.algebra.expr import from_sympy
from symcnn.errors import SymcnnError
from symcnn.notation.latex import document
from symcnn.questions.explain import Derivation
from symcnn.questions.explain.derivation import same
from symcnn.questions.explain.lines import Tree
from symcnn.trace.graph import public

from ..conftest import load_example

WHAT = ("size", "field", "params", "macs", "memory", "peak", "domain", "stream", "tiles")

#: Factories of examples/networks, by file.
EXAMPLES = {
    "alexnet": ["alexnet"],
    "densenet": ["densenet121"],
    "googlenet": ["googlenet"],
    "inception": ["inception_v3"],
    "mobilenet": ["mobilenet_v2"],
    "resnet": ["resnet18", "resnet50"],
    "slim": ["inception_v4", "inception_resnet_v2", "mobilenet_v1", "alexnet_v2"],
    "squeezenet": ["squeezenet1_0"],
    "unet": ["unet", "unet_valid"],
    "vgg": ["vgg16"],
}


@dataclass(frozen=True)
class Verdict:
    """One derivation: whether it ends with the answer (else `wrong` says what is off)."""

    what: str
    told: str  # "derived", "stated" (one line, the answer), "refused" (as the question is)
    wrong: str = ""
    derivation: Derivation | None = None


def judged(net: symcnn.Network) -> Iterator[Verdict]:
    """Every derivation of a network without branches, against its question."""
    spatial = [i for i, d in enumerate(net.input_tensors[0].dims) if str(d) in net.symbols]
    for what in WHAT:
        places = [(i, str(net.input_tensors[0].dims[i])) for i in spatial]
        asked = {"size": _size, "field": _field}.get(what)
        if asked is not None:
            for axis, name in places:
                if name in net.batch:
                    continue
                yield _judged(f"{what} {name}", net, partial(asked, axis=axis), axis=axis)
        elif what in ("stream", "tiles"):
            sizes = _tiled(net) if what == "tiles" else {}
            options = {"tile": _TILE, **sizes} if what == "tiles" else {"axis": net.symbols[-1]}
            if what == "stream" or sizes:
                yield _judged(what, net, partial(_QUESTIONS[what], options=options), **options)
        else:
            yield _judged(what, net, _QUESTIONS[what])


def _judged(
    told: str, net: symcnn.Network, ask: Callable[[symcnn.Network], Answer], **options: object
) -> Verdict:
    what = told.split()[0]
    answer: Any
    try:
        answer = ask(net)
    except SymcnnError as error:
        answer = error
    try:
        found = net.explain(what, **options)
    except SymcnnError as error:
        if isinstance(answer, SymcnnError):
            return Verdict(told, "refused")
        return Verdict(told, "", f"{type(error).__name__}: {error.cause}")
    if isinstance(answer, SymcnnError):
        return Verdict(told, "", f"the question: {answer.cause}; derived: {found.answer}", found)
    value, words = answer
    end = found.steps[-1].result
    if value is not None and not (
        isinstance(end.content, Tree) and _equal(net, end.content, value)
    ):
        return Verdict(told, "", f"ends with {end}, and the answer is {value}", found)
    if not re.search(words, found.answer):
        return Verdict(told, "", f"says {found.answer!r}, and not {words!r}", found)
    lines = sum(len(step.lines) for step in found.steps)
    return Verdict(told, "derived" if lines > 1 else "stated", "", found)


#: The value that the last line must have, if it is one, and how the answer must read.
Answer = tuple[object, str]


def _equal(net: symcnn.Network, tree: Tree, value: object) -> bool:
    wanted = from_sympy(value)
    if net.simplest(tree.normal() - wanted) == 0:
        return True
    try:
        return same(tree, Tree.leaf(wanted), net.valid_inputs())
    except SymcnnError:
        return False


def _size(net: symcnn.Network, axis: int) -> Answer:
    dims, start = net.output_tensors[0].dims, net.input_tensors[0].dims
    if len(dims) != len(start):
        dims = net.last_map(max(1, len(start) - 2)).output_tensors[0].dims
    value = public(net.simplest(dims[min(axis, len(dims) - 1)]))
    return value, "^the size is "


def _field(net: symcnn.Network, axis: int) -> Answer:
    rf = net.receptive_field()
    if axis not in rf.input_axes:
        raise symcnn.BadSpec("not asked")
    figure = rf.sizes_of(rf.input_axes.index(axis)).max
    return None, rf"^the receptive field is {re.escape(str(figure))}(?![\w*(])"


def _ends(words: str, value: object) -> Answer:
    from symcnn.algebra.factor import word

    return value, re.escape(words.format(word(value)))


_TILE = 256
_QUESTIONS: dict[str, Callable[..., Answer]] = {
    "params": lambda net: (net.params, ""),
    "macs": lambda net: (net.macs, ""),
    "memory": lambda net: (net.cost().activations.expr, ""),
    "peak": lambda net: (net.cost().peak.expr, ""),
    "domain": lambda net: (
        None,
        f"^{re.escape(f'the valid inputs are {net.valid_inputs().describe()}')}$",
    ),
    "stream": lambda net, options: (
        None,
        "^the lookback is {0.lookback}, the lookahead {0.lookahead}, the hop {0.hop}$".format(
            net.stream(**options)
        ),
    ),
    "tiles": lambda net, options: (
        None,
        f"^{re.escape(str(net.tiles(**options)).splitlines()[0])}$",
    ),
}


def _tiled(net: symcnn.Network) -> dict[str, int]:
    """Sizes to tile: the valid ones nearest to a thousand."""
    names = [s for s in net.symbols if s not in net.batch]
    try:
        near: Any = net.valid_inputs().nearest(**dict.fromkeys(names, 1000))
    except (SymcnnError, TypeError):
        return {}
    return {} if near is None else {name: int(near[name]) for name in names if name in near}


# Corpora ----------------------------------------------------------------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def example(file: str, name: str) -> tuple[Callable[[], Any], str]:
    """A network of examples/networks: what makes it, and its input."""
    spec = "N 1 H W" if name == "unet_valid" else "N 3 H W"
    return lambda: getattr(load_example(file), name)(), spec


def traced(make: Callable[[], Any], spec: str) -> symcnn.Network:
    """The network that a module of torch or of ours is, without its weights."""
    with torch.device("meta"):
        made = make()
        return made.trace(spec) if hasattr(made, "trace") else symcnn.from_torch(made.eval(), spec)


def examples() -> Iterator[tuple[str, Callable[[], symcnn.Network]]]:
    """The networks of examples/networks."""
    for file, names in EXAMPLES.items():
        for name in names:
            yield name, partial(traced, *example(file, name))


def _of(model: Any) -> symcnn.Network:
    return symcnn.from_torch(model.make().eval(), *model.specs, example=model.example)


def zoo() -> Iterator[tuple[str, Callable[[], symcnn.Network]]]:
    """The models of transformers."""
    from . import zoo as corpus

    for model in corpus.models():
        yield model.name, partial(_of, model)


def families() -> Iterator[tuple[str, Callable[[], symcnn.Network]]]:
    """The families of timm, and networks of monai and diffusers."""
    from . import families as corpus

    for model in corpus.models():
        yield model.name, partial(_of, model)


CORPORA = {"examples": examples, "zoo": zoo, "families": families}


# LaTeX ------------------------------------------------------------------------------------------


def pages_of(net: symcnn.Network, derivations: Iterable[Derivation]) -> str:
    """One document of all that a network says in LaTeX."""
    body = [net.to_latex("table"), net.to_latex("formulas")]
    body += [found.to_latex() for found in derivations]
    return document("\n\n".join(body), title=net.name)


def pdflatex(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What pdflatex says of a document."""
    (folder / "paper.tex").write_text(text)
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def compiled(text: str) -> str:
    """What pdflatex has against a document; empty if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        run = pdflatex(text, Path(folder))
    if run.returncode:
        start = run.stdout.find("\n! ")
        return " ".join(run.stdout[start : start + 300].split())
    return ""


def main() -> int:
    """Judge, and print a line for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpora", nargs="*")
    parser.add_argument("--latex", action="store_true")
    parser.add_argument("--skip", nargs="*", default=[], metavar="NAME")
    words = parser.parse_intermixed_args()
    chosen = [c for c in words.corpora if c in CORPORA] or [*CORPORA]
    names = [c for c in words.corpora if c not in CORPORA]
    if words.latex and not shutil.which("pdflatex"):
        sys.exit("pdflatex is not installed: apt-get install texlive-latex-extra texlive-science")
    total: Counter[str] = Counter()
    for corpus in chosen:
        for name, make in CORPORA[corpus]():
            if (names and name not in names) or name in words.skip:
                continue
            total.update(_row(name, make, words.latex))
    print(", ".join(f"{count} {told}" for told, count in total.items()))
    return bool(total["wrong"] + total["not compiled"])


def _row(name: str, make: Callable[[], symcnn.Network], latex: bool) -> Counter[str]:
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    try:
        with _quiet():
            net = make()
            parts = [branch.network for branch in net.branches]
    except Exception as error:
        print(f"{name}: not traced: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        return Counter({"networks not traced": 1})
    wrong = []
    for part in parts:
        verdicts = [*judged(part)]
        counts.update("wrong" if v.wrong else v.told for v in verdicts)
        wrong += [f"{v.what}: {v.wrong}" for v in verdicts if v.wrong]
        if latex:
            found = compiled(pages_of(part, [v.derivation for v in verdicts if v.derivation]))
            counts["not compiled" if found else "documents compiled"] += 1
            wrong += [f"pdflatex: {found}"] if found else []
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    print(f"{name}: {len(parts)} branches, {told}, {time.perf_counter() - start:.1f} s", flush=True)
    for line in wrong:
        print(f"    {line}", flush=True)
    return counts + Counter({"networks": 1})


if __name__ == "__main__":
    sys.exit(main())
