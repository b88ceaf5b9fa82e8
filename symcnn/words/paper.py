"""What a paper needs of a network, in LaTeX: the table, the formulas, the derivation, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import Floors
from symcnn.errors import BadSpec
from symcnn.notation.broken import filled, pieces, shape
from symcnn.notation.latex import Notation, document, formula
from symcnn.questions.cost.cost import total_macs
from symcnn.questions.explain import explain
from symcnn.trace.trace import Trace
from symcnn.words.table import architecture

_WHAT = ("table", "formulas", "derivation", "document")


@singledispatch
def to_latex(
    net: Trace,
    what: str = "table",
    *,
    names: Mapping[str, str] | None = None,
    floors: Floors = "shortest",
    siunitx: bool = False,
    columns: Sequence[str] | None = None,
    at: Mapping[str, int] | None = None,
    depth: int | None = None,
    caption: str = "",
    label: str = "",
    title: str = "",
) -> str:
    r"""A network in LaTeX.

    what: ``"table"`` (booktabs), ``"formulas"`` (an ``align*`` of output shape, parameters, MACs),
        ``"derivation"`` (step by step, see ``Network.explain``), ``"document"`` (all three, for
        pdflatex).
    names, floors, siunitx: the notation, see `Notation`. columns, at, depth: the table, see
        `architecture`; a document's table has numbers if `at` is given, else formulas for shapes.

    Raises BadSpec for an option of no use.
    """
    if what not in _WHAT:
        raise BadSpec(f"what={what!r}", cure=f"one of {', '.join(_WHAT)}")
    notation = Notation(names or {}, floors, siunitx)
    if what == "formulas":
        return formulas(net, notation)
    if what == "derivation":
        return str(explain(net).to_latex(notation))
    if columns is None:
        columns = ("layer", "output", "kernel", "stride", "field", "params", "macs")
        if what == "document" and at is None:
            columns = ("layer", "output", "kernel", "stride", "field", "params")
    table = architecture(net, columns, at=at, depth=depth).to_latex(
        notation, caption=caption, label=label
    )
    if what == "table":
        return table
    parts = [
        r"\subsection*{Architecture}",
        r"{\footnotesize" + "\n" + table + "\n}",
        r"\subsection*{Closed forms}",
        formulas(net, notation),
        r"\subsection*{Derivation}",
        explain(net).to_latex(notation),
    ]
    return document("\n\n".join(parts), title=title or net.name, siunitx=siunitx)


def formulas(net: Trace, notation: Notation) -> str:
    """Output shape, parameters and MACs as an ``align*``."""
    rows = {
        "output": shape([*map(net.simplest, net.output_dims)], notation),
        "parameters": pieces(from_sympy(net.params), notation),
        "MACs": pieces(from_sympy(total_macs(net)), notation),
    }
    lines = [
        rf"\text{{{name}}} &= " + " \\\\\n&\\quad ".join(filled(row)) for name, row in rows.items()
    ]
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def output_formula(net: Trace) -> str:
    """The output shape, for a notebook."""
    shape = ", ".join(formula(net.simplest(dim)) for dim in net.output_dims)
    return rf"$\left({shape}\right)$"
