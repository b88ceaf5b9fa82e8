"""Systems of conditions on sizes, solved: the algebra without a network."""

from __future__ import annotations

from collections.abc import Sequence

from symcnn.errors import BadSpec
from symcnn.sets.grammar import Statement
from symcnn.sets.inputset import InputSet
from symcnn.sets.system import Said, members, stated, symbols_in


def solve(*system: Said | InputSet | Sequence[Said]) -> InputSet:
    """All positive sizes that meet every condition: exact, a closed set.

    Args:
        system: Conditions, each a sympy relation (``Eq``, ``<=``, ``And``, ``Or``, ...), text such
            as ``"H % 4 == 0"`` or ``"H*W <= 65536 or H in {7, 14}"``, or an `InputSet`. Symbols are
            sizes, positive whole numbers. A list of them is a system too.

    Returns:
        The set over the symbols that the conditions speak of: a batch ``N`` first, the others by
        name.

    Raises:
        BadSpec: For what is no condition on sizes; text is read by a fixed grammar.
        Undecidable: For conditions that no law makes decidable.

    >>> import sympy
    >>> from symcnn import H, W
    >>> solve(sympy.Eq((H + 31)//32, 7), "H % 4 == 0")
    H % 4 == 0 and 196 <= H <= 224
    >>> solve(H * W <= 65536, "H == 2*W").largest()
    (362, 181)
    """
    if not system:
        raise BadSpec("solve takes conditions", cure='solve("H % 4 == 0", "H >= 32")')
    conditions = [
        one for given in system for one in (given if isinstance(given, (list, tuple)) else [given])
    ]
    sets = [one for one in conditions if isinstance(one, InputSet)]
    statements = [stated(one) for one in conditions if not isinstance(one, InputSet)]
    spoken = {*(n for s in sets for n in s.names), *(n for s in statements for n in symbols_in(s))}
    names = sorted(spoken, key=lambda n: (n not in ("N", "B"), n))
    if not names:
        raise BadSpec(
            f"the conditions speak of no size: {', '.join(map(str, system))}",
            cure='sympy makes Eq(2*H, 7) plain False; text is kept: "2*H == 7"',
        )
    whole = members(Statement("and", tuple(statements)), names) if statements else None
    for one in sets:
        whole = one if whole is None else whole & one
    assert whole is not None
    return whole.axis(*names)
