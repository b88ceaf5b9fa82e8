"""Steps and derivations: chains of equal lines, checked as they are made, written in every form."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as html_escape
from itertools import pairwise
from typing import Any

from symcnn.algebra.size import Atom, Floor, Int, Size, denominator, floordiv, lower
from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.notation.latex import Notation, escape, prose, sentence
from symcnn.questions.explain.laws import LAWS, Law
from symcnn.questions.explain.lines import Ends, Line, Tree
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import InputSet, always, input_set
from symcnn.shown import Shown, block, folded, table


@dataclass(frozen=True, slots=True)
class Step:
    """One step: where, what it is about, by which law, and lines that are equal for all sizes; the
    last two, if there is a `domain`, for all sizes in it.

    Raises SymcnnError if they are not: then the rule that wrote them is wrong.
    """

    where: str
    about: str
    law: str
    lines: tuple[Line, ...]
    domain: InputSet | None = None
    premises: tuple[str, ...] = ()  # what it starts from: the branches of a join

    def __post_init__(self) -> None:
        last = len(self.lines) - 2
        for i, (before, after) in enumerate(pairwise(self.lines)):
            within = self.domain if i == last else None
            if not same(before.content, after.content, within):
                raise SymcnnError(f"{self.where}: {before} is not {after}")

    @property
    def chained(self) -> bool:
        """Whether its lines are equal values, not equivalent conditions."""
        return isinstance(self.lines[0].content, (Tree, Ends))

    @property
    def result(self) -> Line:
        """The last line."""
        return self.lines[-1]

    def _page(self) -> str:
        """The step for a notebook, as an item of a list."""
        rows = "".join(
            f"<tr><td>{html_escape(self.head(i))}</td><td>{line.to_mathml()}</td>"
            f"<td>{html_escape(short(line.note))}</td></tr>"
            for i, line in enumerate(self.lines)
        )
        told = "".join(f"<br>{html_escape(premise)}" for premise in self.premises)
        name = html_escape(f"{self.where}: {LAWS[self.law].name}")
        return f"<li>{name}{told}<table><tbody>{rows}</tbody></table></li>"

    def head(self, number: int) -> str:
        """What stands before line `number`: what is meant, and then an equals sign."""
        if not self.chained:
            return "" if not number else "<=> "
        return "= " if number else f"{self.about} = "


def same(a: object, b: object, domain: InputSet | None = None) -> bool:
    """Whether two lines are equal for all sizes (decided, and tried besides), or in a domain."""
    if isinstance(a, Tree):
        assert isinstance(b, Tree)
        names = sorted(a.symbols | b.symbols)
        equal = _equal(a.normal(), b.normal())
        if domain is not None:
            return implied(domain, equal)
        draw = random.Random(1)
        for _ in range(40):
            at = {name: 2 * draw.randint(1, 300) + 1 for name in names}
            try:
                if a.at(at) != b.at(at):
                    return False
            except (SymcnnError, ArithmeticError):  # outside a symbol's assumptions, or of no value
                continue
        if a.normal() == b.normal() or _flat(a.normal()) == _flat(b.normal()):
            return True
        try:
            return always(equal, names)
        except Undecidable:
            return False
    if isinstance(a, Ends):
        return isinstance(b, Ends) and same(a.first, b.first) and same(a.last, b.last)
    try:
        return same_sizes(a, b, domain)
    except Undecidable:
        return False


def _flat(expr: Int) -> Int:
    """With a floor in a floor as one, where another stands beside it, too.

    >>> H = Size.symbol("H")
    >>> _flat(((H + 1)//2 - 2*((H + 3)//4)) // ((H + 5)//8))
    (-4*((H + 3)//4) + H + 1)//(2*((H + 5)//8))
    """

    def flat(atom: Atom) -> Int:
        if not isinstance(atom, Floor):
            return atom.size()
        num, den = _flat(atom.num), _flat(atom.den)
        low, terms = lower(den), num.terms if isinstance(num, Size) else {}
        for mono, coeff in terms.items() if low is not None and low >= 0 else ():
            inner = mono[0][0] if len(mono) == 1 and mono[0][1] == coeff == 1 else None
            if isinstance(inner, Floor) and type(inner.den) is int:
                rest = num - inner.size()
                return _flat(floordiv(inner.num + inner.den * rest, inner.den * den))
        return floordiv(num, den)

    return expr if isinstance(expr, int) else expr.map(flat)


def same_sizes(a: object, b: object, domain: InputSet | None = None) -> bool:
    """Whether two sets, or what meets conditions, are the same within a domain.

    Raises Undecidable where no exact set is one of them.
    """
    if (moved := _moved(a)) is not None and moved == _moved(b):
        return True
    one, other = _sizes(a, domain), _sizes(b, domain)
    return bool(one <= other and other <= one)


def _moved(content: Any) -> frozenset[tuple[str, Int]] | None:
    """Conditions with all on one side; None for what is none."""
    if isinstance(content, InputSet) or not all(isinstance(c, Condition) for c in content):
        return None
    return frozenset((c.relation, c.lhs - c.rhs) for c in content)


def _sizes(content: Any, domain: InputSet | None) -> InputSet:
    """The sizes that meet conditions, within a domain."""
    if isinstance(content, InputSet):
        return content
    names = sorted(frozenset[str]().union(*(r.symbols for r in content)))
    found = input_set(names, content)
    return found if domain is None else domain & found


def _equal(a: Int, b: Int) -> Condition:
    """That two values are equal, in whole numbers."""
    scale = denominator(a - b)
    return Condition(a * scale, "==", b * scale)


def implied(domain: InputSet, condition: Condition) -> bool:
    """Whether a condition holds in all of a domain; False where that is not decidable."""
    try:
        return entails(domain, condition)
    except (Undecidable, BadSpec):
        return False


def entails(domain: InputSet, condition: Condition) -> bool:
    """Whether a condition holds in all of a domain; raises Undecidable where that is open."""
    known = [name for name in domain.names if name in condition.symbols]
    names = sorted(condition.symbols)
    within = input_set(names, ())
    if known:
        within = domain.axis(*known) & within
    return bool(within <= input_set(names, [condition]))


@dataclass(frozen=True)
class Derivation(Shown):
    """Numbered steps to a result; prints as text.

    `to_markdown`, `to_html` and `to_latex` write the same steps down.
    """

    title: str
    steps: tuple[Step, ...]
    answer: str
    parts: tuple[Derivation, ...] = ()
    where: str = ""  # for which sizes, where a network has branches

    @property
    def heading(self) -> str:
        """The title, and the sizes that it is for."""
        return f"{self.title}, for {self.where}" if self.where else self.title

    @property
    def result(self) -> str:
        """The result, as text."""
        return self.answer

    def __str__(self) -> str:
        if self.parts:
            return "\n\n".join(map(str, self.parts))
        rows = [f"for {self.where}:", self.title] if self.where else [self.title]
        for law in self._laws():
            rows.append(f"{law.name}: {law.rule}  [{law.source}]")
        for number, step in enumerate(self.steps, 1):
            rows.append(f"{number}. {step.where}: {LAWS[step.law].name}")
            chained = step.chained
            rows += [f"   {premise}" for premise in step.premises]
            indent = " " * (len(step.about) + 1) if chained else ""
            for i, line in enumerate(step.lines):
                note = f"    ({short(line.note)})" if line.note else ""
                rows.append(f"   {indent if i else ''}{step.head(i)}{line}{note}")
        return "\n".join([*rows, f"so {self.answer}"])

    def _laws(self) -> list[Law]:
        """The laws used, each once."""
        return [LAWS[law] for law in dict.fromkeys(step.law for step in self.steps)]

    def to_markdown(self) -> str:
        """Numbered steps with code lines."""
        if self.parts:
            return "\n\n".join(part.to_markdown() for part in self.parts)
        rows = [f"### {self.heading}", ""]
        rows += [f"- {law.name}: `{law.rule}` ({law.source})" for law in self._laws()]
        rows.append("")
        for number, step in enumerate(self.steps, 1):
            rows += [f"{number}. **{step.where}**: {LAWS[step.law].name}", ""]
            rows += [f"    - {premise}" for premise in step.premises]
            for i, line in enumerate(step.lines):
                head = "" if not step.chained else f"{step.about} = " if not i else "= "
                note = f" — {line.note}" if line.note else ""
                rows.append(f"    - `{head}{line}`{note}")
            rows.append("")
        return "\n".join([*rows, f"So **{self.answer}**."])

    def _repr_html_(self) -> str:
        return block(*(part._page() for part in self.parts or (self,)))

    def _page(self) -> str:
        items = "".join(step._page() for step in self.steps)
        laws = [(law.name, law.rule, law.source) for law in self._laws()]
        steps = f"<ol>{items}</ol>" + folded("laws", table(("law", "says", "from"), laws))
        many = len(self.steps) > 4
        body = folded(f"{len(self.steps)} steps", steps) if many else steps
        title, answer = html_escape(self.heading), html_escape(self.answer)
        return f"<div><b>{title}</b></div>{body}<div>So {answer}.</div>"

    def to_html(self) -> str:
        """An ordered list."""
        if self.parts:
            return "\n".join(part.to_html() for part in self.parts)
        items = []
        for step in self.steps:
            lines = "".join(
                f"<br><code>{html_escape(f'{step.head(i)}{line}')}</code>"
                + (f" <small>{html_escape(line.note)}</small>" if line.note else "")
                for i, line in enumerate(step.lines)
            )
            name = LAWS[step.law].name
            told = "".join(f"<br>{html_escape(premise)}" for premise in step.premises)
            items.append(f"<li><b>{html_escape(step.where)}</b>: {name}{told}{lines}</li>")
        laws = "".join(
            f"<li>{law.name}: <code>{html_escape(law.rule)}</code> ({law.source})</li>"
            for law in self._laws()
        )
        listed = "\n".join(items)
        title, answer = html_escape(self.heading), html_escape(self.answer)
        return f"<h3>{title}</h3>\n<ul>{laws}</ul>\n<ol>\n{listed}\n</ol>\n<p>So {answer}.</p>"

    def to_latex(self, notation: Notation | None = None) -> str:
        """An ``align*`` per step, each rule stated once."""
        notation = notation or Notation()
        if self.parts:
            return "\n\n".join(part.to_latex(notation) for part in self.parts)
        rows = [rf"\subsubsection*{{{escape(self.heading)}}}"]
        rows += [
            rf"\noindent \emph{{{escape(law.name)}}}: ${law.latex}$ "
            rf"({{\small\texttt{{{escape(law.source)}}}}}).\par"
            for law in self._laws()
        ]
        for number, step in enumerate(self.steps, 1):
            chained = step.chained
            head = _about_latex(step.about, notation) if chained else ""
            written = [line.latex_lines(notation) for line in step.lines]
            rows.append(rf"\smallskip\noindent {number}.\ \texttt{{{escape(step.where)}}}")
            rows[-1] += "".join(rf"\par {sentence(premise)}" for premise in step.premises)
            if chained and sum(len(text) for texts in written for text in texts) < 70:
                note = sentence(short(step.lines[0].note))
                equal = " = ".join(text for (text,) in written)
                rows[-1] += rf": ${head} = {equal}$" + (f" ({note})" if note else "")
                rows[-1] += r".\par"
                continue
            sign = "=" if chained else r"\iff{}"
            lines = []
            for i, (line, (shown, *more)) in enumerate(zip(step.lines, written, strict=True)):
                left = head if not i else ""
                equals = f"&{sign}" if chained or i else "&"
                note = f" && {prose(short(line.note), 0.4)}" if line.note else ""
                lines.append(f"{left} {equals} {shown}{note}".strip())
                lines += [rf"&\quad {text}" for text in more]
            rows.append("\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}")
        rows.append(rf"\smallskip\noindent So {sentence(self.answer)}.")
        return "\n".join(rows)


def _about_latex(about: str, notation: Notation) -> str:
    if about in notation.names:
        return notation.names[about]
    return about if len(about) == 1 else f"{about[0]}_{{{about[1:]}}}"


def short(note: str) -> str:
    """What a note says first, up to its colon."""
    return note.partition(":")[0]


def distinct(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Without lines that say what the one before says."""
    kept: list[Line] = []
    for line in lines:
        if not kept or str(kept[-1]) != str(line):
            kept.append(line)
    return tuple(kept)
