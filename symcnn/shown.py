"""How answers show themselves: as text, in a line, and in a notebook.

The law: *an answer is data*. `str` is its text, always. From the text follows the short `repr`, and
from text and fields what a notebook shows: the text, folded where it is long, and the fields as a
table whose sizes and sets are formulas (`symcnn.algebra.mathml`). The page is plain HTML in the
colours of its surroundings, light or dark, and runs no script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from html import escape
from typing import Any, ClassVar, TypeVar

from symcnn.algebra.mathml import math
from symcnn.algebra.size import Size
from symcnn.lazy import sympy

T = TypeVar("T")

#: Lines of text, and rows of a table, that stand there unfolded.
_LINES, _ROWS = 14, 24

_STYLE = (
    "<style>"
    ".symcnn{color:inherit;overflow-x:auto}"
    ".symcnn table{border-collapse:collapse;border:0;margin:.3em 0;color:inherit;font-size:.95em}"
    ".symcnn th,.symcnn td{padding:.15em .8em .15em 0;vertical-align:baseline;"
    "text-align:left!important;"
    "border:0;background:none;color:inherit;white-space:normal;max-width:60em}"
    ".symcnn thead th{border-bottom:1px solid currentColor;font-weight:600}"
    ".symcnn tr{background:none!important}"
    ".symcnn td:first-child{white-space:nowrap}"
    ".symcnn .symcnn-number{text-align:right!important;font-variant-numeric:tabular-nums}"
    ".symcnn tfoot td{border-top:1px solid currentColor}"
    ".symcnn pre{margin:.3em 0;padding:0;border:0;background:none;color:inherit;"
    "white-space:pre-wrap;font-family:var(--jp-code-font-family,monospace)!important;"
    "font-size:.9em!important}"
    ".symcnn summary{cursor:pointer;opacity:.7}"
    "</style>"
)


class Markup(str):
    """A piece of a page, in the place of a value."""

    __slots__ = ()


class Shown:
    """An answer with a text: its `repr` is short, and a notebook shows its text and its fields.

    Attributes:
        scope: for which sizes, where a network is not complete: ``for H == 224 only``. Text, `repr`
            and page of the answer end with that line. None: for all that was asked.
    """

    __slots__ = ()
    scope: ClassVar[str | None] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, line, spelled in _SCOPED:
            if name in vars(cls):
                setattr(cls, name, _with_scope(vars(cls)[name], line, spelled))
        if "__repr__" not in vars(cls) and cls.__repr__ in (object.__repr__, Shown.__repr__):
            # so that a dataclass does not write down all of its fields
            cls.__repr__ = Shown.__repr__  # type: ignore[method-assign]
        if cls.__hash__ in (object.__hash__, _hash):
            cls.__hash__ = _hash  # type: ignore[method-assign]

    def __repr__(self) -> str:
        first, *others = str(self).splitlines() or [""]
        first = first if len(first) <= 100 else f"{first[:97]}..."
        more = f" (+{len(others)} line{'s' * (len(others) > 1)})" if others else ""
        scope = f", holds {self.scope}" if self.scope else ""
        return f"<{type(self).__name__}: {first}{more}{scope}>"

    def _repr_html_(self) -> str:
        return block(prose(str(self)), _fields(self))


def _hash(self: Any) -> int:
    """Of an answer with fields: that of its fields, so that equal answers have the same."""
    if not is_dataclass(self):
        return object.__hash__(self)
    values = (getattr(self, f.name) for f in fields(self) if f.compare)
    return hash((type(self), *map(_hashable, values)))


def _hashable(value: object) -> object:
    """What is equal for equal values, and has a hash: tables and slices have none."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(each)) for key, each in value.items())
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    if is_dataclass(value) and not isinstance(value, type):
        return _hash(value)
    return tuple(map(_hashable, value)) if isinstance(value, (tuple, list)) else value


#: What says the scope of an answer: the line, and how its words are spelled.
_SCOPED: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("__str__", "\n{}", str),
    ("_repr_html_", "<pre>{}</pre>", escape),
)


def _with_scope(
    show: Callable[[Any], str], line: str, spelled: Callable[[str], str]
) -> Callable[[Any], str]:
    """The text or the page of an answer, and below, once, for which sizes it holds, if not for all;
    what shows another answer has its line.
    """

    @wraps(show)
    def _text(self: Any) -> str:
        text = show(self)
        said = spelled(f"holds {self.scope}") if self.scope else ""
        return text if said in text else f"{text}{line.format(said)}"

    return _text


def scoped(answer: T, scope: str) -> T:
    """The answer, which says that it holds only ``for H == 224 only``."""
    if not (scope and isinstance(answer, Shown) and hasattr(answer, "__dict__")):
        return answer
    if answer.scope is None:
        return answer
    found = copy(answer)
    object.__setattr__(found, "scope", scope)
    return found


class Text(Shown, str):
    """Text that stands on several lines where it is shown, too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Below(Shown):
    """Answers one below the other where they are shown; ``none`` where there are none."""

    __slots__ = ()

    def __str__(self: Any) -> str:
        return "\n".join(map(str, self)) or "none"

    def _repr_html_(self: Any) -> str:
        return block(_several(self))


class Rows(_Below, list[T]):
    """Answers in a list, one below the other where they are shown."""

    __slots__ = ()
    __repr__, __hash__ = list.__repr__, None


class Several(_Below, tuple[T, ...]):
    """Answers in a tuple, one below the other where they are shown."""

    __slots__ = ()
    __repr__, __hash__ = tuple.__repr__, tuple.__hash__


# HTML ------------------------------------------------------------------------------------------


def assignment(sizes: Mapping[str, object]) -> str:
    """Sizes for reading: ``N=1, H=224``."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def by_x(member: object) -> str:
    """Sizes as people write them, ``224x224``; one alone, ``224``."""
    return "x".join(map(str, member)) if isinstance(member, tuple) else str(member)


def block(*parts: str) -> str:
    """Pieces of a page as one answer, with its style.

    >>> block("<p>7</p>").endswith('</style><p>7</p></div>')
    True
    """
    return f'<div class="symcnn">{_STYLE}{"".join(parts)}</div>'


def prose(text: str) -> str:
    """Text as it stands; what is after the first lines of a long one is folded."""
    lines = text.splitlines()
    if len(lines) <= _LINES:
        return f"<pre>{escape(text)}</pre>"
    head, rest = lines[: _LINES - 4], lines[_LINES - 4 :]
    more = folded(f"{len(rest)} more lines", f"<pre>{escape(chr(10).join(rest))}</pre>")
    return f"<pre>{escape(chr(10).join(head))}</pre>{more}"


def folded(title: str, content: str) -> str:
    """What opens at a click."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[str] = (),
    total: Sequence[object] = (),
) -> str:
    """A table of cells (see `cell`); rows after the first ones of a long table are folded.

    Args:
        headings: one per column.
        rows: sizes, tuples of them, text, sets, or other answers.
        numbers: the headings of columns that stand to the right.
        total: a last row.
    """
    right = [name in set(numbers) for name in headings]

    def written(row: Sequence[object], kind: str = "td") -> str:
        cells = zip(row, right, strict=True)
        return "".join(
            f"<{kind}{' class=symcnn-number' * to_right}>{cell(value)}</{kind}>"
            for value, to_right in cells
        )

    head = f"<thead><tr>{written(headings, 'th')}</tr></thead>"
    foot = f"<tfoot><tr>{written(total)}</tr></tfoot>" if total else ""
    body = [f"<tr>{written(row)}</tr>" for row in rows]
    if len(body) <= _ROWS + 4:
        return f"<table>{head}<tbody>{''.join(body)}</tbody>{foot}</table>"
    first, rest = "".join(body[:_ROWS]), "".join(body[_ROWS:])
    last = f"<table><tbody>{foot[7:-8]}</tbody></table>" if foot else ""
    more = folded(f"{len(body) - _ROWS} more rows", f"<table>{head}<tbody>{rest}</tbody></table>")
    return f"<table>{head}<tbody>{first}</tbody></table>{more}{last}"


def cell(value: object) -> str:
    """A value on a page: sizes and sets as formulas, the rest as text.

    >>> cell(25557032), cell("a<b"), cell(None), cell(slice(0, 7))
    ('25,557,032', 'a&lt;b', '', '0:7')
    """
    if isinstance(value, Markup):
        return value
    if value is None or (isinstance(value, (str, tuple, list, Mapping)) and not value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if hasattr(value, "_formula_"):
        found = value._formula_()
        return f"{found:,}" if isinstance(found, int) else math(found)
    if isinstance(value, (Size, sympy.Basic)):
        return math(value)
    if isinstance(value, slice):
        return f"{'' if value.start is None else value.start}:{value.stop}"
    if isinstance(value, Mapping):
        return "<br>".join(f"{cell(key)}: {cell(v)}" for key, v in value.items())
    if isinstance(value, (tuple, list)):
        return _sequence(value)
    if getattr(value, "ndim", 0) and hasattr(value, "shape"):
        return f"array of {' x '.join(map(str, value.shape))}"
    return escape(str(value)).replace("\n", "<br>")


def _sequence(values: Sequence[Any]) -> str:
    if all(isinstance(v, (int, Size, sympy.Expr)) for v in values):
        return math(tuple(values))
    if all(isinstance(v, (str, slice)) for v in values):
        return ", ".join(map(cell, values))
    if any(is_dataclass(v) for v in values):
        return folded(str(len(values)), _several(values))
    return "<br>".join(map(cell, values))


def _several(values: Sequence[Any]) -> str:
    """One row per answer; one column per field that some answer has something in."""
    if not values:
        return "<div>none</div>"
    kinds = {type(v) for v in values}
    if len(kinds) != 1 or not is_dataclass(next(iter(kinds))):
        return "<br>".join(map(cell, values))
    names = [
        name for name in _names(values[0]) if any(cell(getattr(v, name)) != "" for v in values)
    ]
    headings = [name.replace("_", " ") for name in names]
    return table(headings, [[getattr(v, name) for name in names] for v in values])


def _names(answer: Any) -> list[str]:
    return [f.name for f in fields(answer) if f.repr and not f.name.startswith("_")]


def _fields(answer: Any) -> str:
    if not is_dataclass(answer):
        return ""
    rows = [(name.replace("_", " "), cell(getattr(answer, name))) for name in _names(answer)]
    body = "".join(f"<tr><td>{name}</td><td>{shown}</td></tr>" for name, shown in rows if shown)
    return folded("fields", f"<table><tbody>{body}</tbody></table>") if body else ""
