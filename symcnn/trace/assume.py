"""What the sizes are required to be so far in a trace, and what that decides.

The law: what a network has required of its sizes holds for all that comes after. The sizes that are
left only become fewer, so a decision once made is final. Nothing here records.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from symcnn.algebra.size import evaluate, symbols_of
from symcnn.errors import SymcnnError, Undecidable
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.downset import grows
from symcnn.sets.inputset import InputSet, input_set, lone
from symcnn.sets.presburger import with_numbers


class Assumptions:
    """What is required so far: a superset of the true domain, so what holds on it holds.

    >>> from symcnn.algebra.size import Size
    >>> assumed = Assumptions()
    >>> assumed.add([Condition(Size.symbol("H"), ">=", 3)])
    >>> assumed.entails(Condition(Size.symbol("H"), ">=", 2))
    True
    """

    __slots__ = ("_decided", "_domain", "_fresh", "_open")

    def __init__(self, domain: InputSet | None = None) -> None:
        self._domain = domain
        self._fresh: list[Requirement] = []  # not in the domain yet
        self._decided: dict[Requirement, bool] = {}  # final: domains only shrink
        self._open: set[Requirement] = set()  # undecided by the domain as it is

    def add(self, requirements: Iterable[Requirement]) -> None:
        """What is required from now on."""
        self._fresh += requirements

    @property
    def domain(self) -> InputSet:
        """The sizes that all requirements so far accept; what is not decidable is left out."""
        domain = input_set((), ()) if self._domain is None else self._domain
        for requirement in self._fresh:
            if (wanted := _within(domain, requirement)) is not None:
                domain &= wanted
                self._open.clear()
        self._domain = domain
        self._fresh.clear()
        return domain

    def entails(self, requirement: Requirement) -> bool | None:
        """Whether the sizes allowed so far decide `requirement`; None if they leave it open."""
        if requirement in self._decided:
            return self._decided[requirement]
        domain = self.domain
        if requirement in self._open:
            return None
        wanted = _within(domain, requirement)
        if wanted is not None and domain <= wanted:
            self._decided[requirement] = True
        elif wanted is not None and not domain & wanted:
            self._decided[requirement] = False
        elif wanted is None and self._from_the_least(requirement):
            self._decided[requirement] = True
        else:
            self._open.add(requirement)
        return self._decided.get(requirement)

    def _from_the_least(self, requirement: Requirement) -> bool:
        """Whether a bound holds at the least sizes, and what it bounds grows from there on."""
        if not isinstance(requirement, Condition) or requirement.relation != ">=":
            return False
        gap, domain = requirement.lhs - requirement.rhs, self.domain
        names = symbols_of(gap)
        least = dict.fromkeys(names, 1)
        with suppress(SymcnnError):
            least |= {n: lone(domain.axis(n).smallest()) for n in names if n in domain.names}
        with suppress(ArithmeticError):
            return evaluate(gap, least) >= 0 and grows(gap, least)
        return False


def _within(domain: InputSet, requirement: Requirement) -> InputSet | None:
    """A set with just those sizes of the domain that meet a requirement; None: not decidable."""
    asked = with_numbers(requirement, domain.fixed)
    with suppress(Undecidable):
        return _sizes_of(asked)
    with suppress(Undecidable):
        return domain.meeting(asked)
    return None


@lru_cache(maxsize=1024)
def _sizes_of(requirement: Requirement) -> InputSet:
    """The sizes that meet it. A forward asks the same again and again; so does one run again."""
    return input_set(sorted(requirement.symbols), [requirement])
