"""What a command says: a `Reply`, as text or as JSON, with an exit status.

The statuses: 0 answered; 1 answered with a no (no solution, a size that is not valid, a mismatch, a
change); 2 bad use (of an option, a name, a file), or a network that cannot be analysed; 3 a fault
of symcnn itself; 130 interrupted. JSON names the kind of an error, which tells apart those of one
status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from numbers import Integral

from symcnn.errors import InvalidInput, NoSolution, ShapeMismatch, SymcnnError
from symcnn.sets.inputset import InputSet

ANSWERED, NO, BAD_USE, FAULT, INTERRUPTED = 0, 1, 2, 3, 130

_NOES = (NoSolution, InvalidInput, ShapeMismatch)


@dataclass(frozen=True)
class Reply:
    """An answer.

    Args:
        answer: what JSON holds: a dict, or an answer of the library, whose fields are taken.
        text: what is printed; the answer's own text if None.
        ok: whether the exit status is 0, and not 1.
    """

    answer: object
    text: str | None = None
    ok: bool = True

    def __str__(self) -> str:
        return (str(self.answer) if self.text is None else self.text).rstrip("\n")

    @property
    def data(self) -> dict[str, object]:
        """The answer in JSON's terms."""
        found = plain(self.answer)
        return found if isinstance(found, dict) else {"answer": found}


def plain(value: object) -> object:
    """Numbers, text, lists and dicts; formulas and sets as text.

    >>> from symcnn import H
    >>> plain({"output": (1, H + 1, H - H), "rows": slice(0, 3)})
    {'output': [1, 'H + 1', 0], 'rows': [0, 3]}
    """
    if isinstance(value, slice):
        return [value.start, value.stop]
    if isinstance(value, InputSet):
        return value.describe()
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if not f.name.startswith("_")]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


def to_json(value: object) -> str:
    """The text of JSON."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


def status_of(error: BaseException) -> int:
    """The exit status of an error."""
    if isinstance(error, _NOES):
        return NO
    return BAD_USE if isinstance(error, SymcnnError) else FAULT


def as_error(kind: str, cause: str, cure: str, status: int) -> dict[str, object]:
    """An error in JSON's terms: its kind, the cause, the cure, the exit status.

    >>> as_error("NoSolution", "never 7", "try 8", 1)
    {'error': {'kind': 'NoSolution', 'cause': 'never 7', 'cure': 'try 8', 'status': 1}}
    """
    return {"error": {"kind": kind, "cause": cause, "cure": cure, "status": status}}
