"""Derivations of networks of others: each ends with what its question answers, and compiles.

    python -m tests.tools.derivations [examples | zoo | families] [names ...] [--latex]
        [--state FILE] [--most N] [--again NAME ...] [--write PAGE]

For every network, and every branch of a network that branches on sizes: the derivations of size and
field along each axis, parameters, MACs, memory, peak, domain, and of one stream and one tiling. The
last line of each must be what the question answers, and where the question refuses, the derivation
must. With ``--latex`` the document of the network (table, formulas, derivations) goes through
pdflatex too. With a state file the same command goes on where it was stopped, and writes the page
docs/validation/derivations.md from all that the file holds.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from .resumed import add, commit, limited, rows

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


def row(name: str, make: Callable[[], Any], latex: bool, seconds: int) -> dict[str, Any]:
    """What is found of a network: how many of what, and what is wrong."""
    start = time.process_time()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    stage = "not traced"
    try:
        with _quiet(), limited(seconds):
            net = make()
            stage = "stopped"
            for part in [branch.network for branch in net.branches]:
                counts["branches"] += 1
                verdicts = [*judged(part)]
                counts.update("differ" if v.wrong else v.told for v in verdicts)
                wrong += [f"{v.what}: {v.wrong}" for v in verdicts if v.wrong]
                if latex:
                    pages = pages_of(part, [v.derivation for v in verdicts if v.derivation])
                    found = compiled(pages)
                    counts["uncompiled" if found else "compiled"] += 1
                    wrong += [f"pdflatex: {found}"] if found else []
    except Exception as error:
        cause = re.sub(r"/\S*/site-packages/", "", (str(error) or " ").splitlines()[0])[:120]
        wrong.append(f"{stage}: {type(error).__name__}: {cause}")
    spent = round(time.process_time() - start, 1)
    return {"name": name, "counts": dict(counts), "wrong": wrong, "s": spent, "commit": commit()}


#: Columns of the page: what is counted, and how it is called there.
COLUMNS = {
    "branches": "branches",
    "derived": "derived",
    "stated": "in one line",
    "refused": "refused",
    "differ": "differ",
    "compiled": "documents that compile",
    "uncompiled": "that do not",
}


def page(known: Mapping[str, Mapping[str, Any]], corpora: Iterable[str], seconds: int) -> str:
    """The page, of all rows."""
    commits = ", ".join(dict.fromkeys(r["commit"] for r in known.values()))
    everything = sum((Counter(r["counts"]) for r in known.values()), Counter[str]())
    told = ", ".join(f"{everything[kind]:,} {name}" for kind, name in COLUMNS.items())
    lines = [
        "# Derivations against their questions",
        "",
        "Every derivation of the networks of `examples/networks`, of the models of transformers,",
        "of the families of timm and of networks of monai and diffusers, in every branch: sizes",
        "and fields along each axis, parameters, MACs, memory, peak, domain, a stream, a tiling.",
        "It must end with what its question answers, and be refused where the question is; and the",
        "document of all of them must go through pdflatex. *In one line*: the answer is stated,",
        "there is nothing to derive.",
        "",
        "Written by",
        "`python -m tests.tools.derivations --latex --write docs/validation/derivations.md`;",
        f"a network gets {seconds} s of the processor. Code of {commits}.",
        "",
        f"{len(known)} networks: {told}.",
    ]
    for corpus in corpora:
        names = [name for name, _ in CORPORA[corpus]()]
        rows = [known[name] for name in names if name in known]
        total = sum((Counter(r["counts"]) for r in rows), Counter[str]())
        lines += ["", f"## {len(rows)} of {len(names)} networks: {corpus}", ""]
        lines += [f"| network | {' | '.join(COLUMNS.values())} | |", f"|{' --- |' * 9}"]
        for r in [{"name": "**all**", "counts": total, "wrong": []}, *rows]:
            cells = " | ".join(str(r["counts"].get(kind, 0) or "") for kind in COLUMNS)
            told = "; ".join(r["wrong"]).replace("|", "\\|")
            told = f"{told[:200]} ..." if len(told) > 200 else told
            lines.append(f"| {r['name']} | {cells} | {told} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Judge, print a row for each network, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpora", nargs="*")
    parser.add_argument("--latex", action="store_true")
    parser.add_argument("--state", type=Path, help="goes on from there")
    parser.add_argument("--most", type=int, default=10**6, help="stop after so many networks")
    parser.add_argument("--again", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--seconds", type=int, default=600, help="a network's limit")
    parser.add_argument("--write", type=Path, help="the page")
    words = parser.parse_intermixed_args()
    chosen = [c for c in words.corpora if c in CORPORA] or [*CORPORA]
    names = [c for c in words.corpora if c not in CORPORA]
    if words.latex and not shutil.which("pdflatex"):
        sys.exit("pdflatex is not installed: apt-get install texlive-latex-extra texlive-science")
    known = {made["name"]: made for made in rows(words.state)}
    for corpus in chosen:
        for name, make in CORPORA[corpus]():
            asked = name not in known or name in words.again
            if words.most <= 0 or not asked or (names and name not in names):
                continue
            words.most -= 1
            made = known[name] = row(name, make, words.latex, words.seconds)
            told = ", ".join(f"{count} {kind}" for kind, count in made["counts"].items())
            print(f"{name}: {told}, {made['s']} s", flush=True)
            print(*(f"    {line}\n" for line in made["wrong"]), sep="", end="", flush=True)
            add(words.state, made)
    if words.write:
        words.write.write_text(page(known, chosen, words.seconds), encoding="utf-8")
    return bool(any(made["wrong"] for made in known.values()))


if __name__ == "__main__":
    sys.exit(main())
