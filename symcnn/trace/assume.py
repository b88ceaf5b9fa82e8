"""What the sizes are required to be so far in a trace, and what that decides.

The law: what a network has required of its sizes holds for all that comes after. The sizes that are
left only become fewer, so a decision once made is final. Nothing here records.

A forward that runs again, for another branch or another trace, requires the same in the same order
until it comes to where it differs: so far it is told what was found out before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from symcnn.algebra.size import evaluate, symbols_of
from symcnn.errors import SymcnnError, Undecidable
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.downset import grows
from symcnn.sets.fewer import equation_of, strictest_of, with_equal_numbers, with_numbers
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.isl import priced
from symcnn.sets.member import lone
from symcnn.sets.pieces import members_of_parts
from symcnn.sets.products import is_linear


class Assumptions:
    """What is required so far: a superset of the true domain, so what holds on it holds.

    >>> from symcnn.algebra.size import Size
    >>> assumed = Assumptions()
    >>> assumed.add([Condition(Size.symbol("H"), ">=", 3)])
    >>> assumed.entails(Condition(Size.symbol("H"), ">=", 2))
    True
    """

    __slots__ = ("_decided", "_fresh", "_hard", "_left", "_met", "_open")

    def __init__(self, domain: InputSet | None = None) -> None:
        self._left = _ALL if domain is None else _Left(domain)
        self._fresh: list[Requirement] = []  # not in the domain yet
        self._decided: dict[Requirement, bool] = {}  # final: domains only shrink
        self._open: set[Requirement] = set()  # undecided by the domain as it is
        self._met: set[object] = set()  # equations that the domain meets
        # equations that are not decided alone, and of which sizes they were not
        self._hard: dict[object, tuple[_Left, Requirement]] = {}

    def apart(self) -> Assumptions:
        """As much is required; what is required from now on is its own."""
        self._narrow()
        other = Assumptions()
        other._left, other._met, other._hard = self._left, {*self._met}, {**self._hard}
        return other

    def add(self, requirements: Iterable[Requirement]) -> None:
        """What is required from now on."""
        self._fresh += requirements

    @property
    def domain(self) -> InputSet:
        """The sizes that all requirements so far accept; what is not decidable is left out."""
        self._narrow()
        return self._left.domain

    def _narrow(self) -> None:
        for requirement, _ in strictest_of(self._fresh):
            equation = equation_of(requirement, self._met)
            if equation in self._met or self._hard.get(equation, (None,))[0] is self._left:
                continue
            before = self._left
            try:
                self._left = _required(self._left, requirement)
            except Undecidable:
                self._together(requirement)
                self._hard[equation] = self._left, requirement
            else:
                self._met.add(equation)
            if self._left is not before:
                self._open.clear()
        self._fresh.clear()

    def _together(self, requirement: Requirement) -> None:
        """One more that is not decided alone: where it says that an atom is a number, that may
        decide it and the others.
        """
        if isinstance(requirement, Condition):
            before = [r for _, r in self._hard.values() if isinstance(r, Condition)]
            numbers = with_equal_numbers([*before, requirement])
            if numbers[:-1] != before:
                with suppress(Undecidable):
                    self._left = _required(self._left, *numbers)

    def entails(self, requirement: Requirement) -> bool | None:
        """Whether the sizes allowed so far decide `requirement`; None if they leave it open."""
        if requirement in self._decided:
            return self._decided[requirement]
        self._narrow()
        if requirement in self._open:
            return None
        try:
            found = _decided(self._left, requirement)
        except Undecidable:
            found = _from_the_least(self._left.domain, requirement) or None
        if found is None:
            self._open.add(requirement)
        else:
            self._decided[requirement] = found
        return found


class _Left:
    """The sizes that are left, after requirements in one order; equal to itself only."""

    __slots__ = ("__weakref__", "_domain", "_members")

    def __init__(self, domain: InputSet | None) -> None:
        self._domain = domain
        self._members: Sequence[Mapping[str, int]] | None = None

    @property
    def domain(self) -> InputSet:
        """The set; of most networks nobody asks for it, and isl is not loaded."""
        if self._domain is None:
            self._domain = input_set((), ())
        return self._domain

    @property
    def members(self) -> Sequence[Mapping[str, int]]:
        """Some of the sizes, of a set of several parts those of each."""
        if self._members is None:
            self._members = ()
            with suppress(Undecidable):
                self._members = members_of_parts(self.domain)
        return self._members


#: Where nothing is required yet.
_ALL = _Left(None)


@priced(maxsize=4096)
def _required(left: _Left, requirement: Requirement, *more: Requirement) -> _Left:
    """What is left when one thing more is required; of several, what is decided of them in turn.
    Raises Undecidable, which is not remembered.
    """
    if more or left.domain.roster(requirement.symbols) is not None:
        return _Left(left.domain.meeting(requirement, *more))
    return _Left(left.domain & where_met(left.domain, requirement))


@priced(maxsize=16384)
def _decided(left: _Left, requirement: Requirement) -> bool | None:
    """What the sizes that are left decide. Raises Undecidable, which is not remembered."""
    domain = left.domain
    with suppress(ZeroDivisionError):
        if requirement.symbols <= domain.fixed.keys():  # numbers are worth no steps
            return requirement.holds(domain.fixed)
        if (few := domain.roster(requirement.symbols)) is not None:
            held = {requirement.holds(sizes) for sizes in few}
            return None if len(held) == 2 else False not in held
        some = left.members if requirement.symbols <= {*domain.names} else ()
        if len({requirement.holds(sizes) for sizes in some}) == 2:
            return None
    if isinstance(requirement, AnyOf):  # what is linear may say it all
        plain = tuple(o for o in requirement.options if is_linear(o.lhs - o.rhs))
        if 0 < len(plain) < len(requirement.options) and domain <= sizes_of(AnyOf(plain)):
            return True
    wanted = where_met(domain, requirement)
    if domain <= wanted:
        return True
    return None if domain & wanted else False


def where_met(domain: InputSet, requirement: Requirement) -> InputSet:
    """A set with just those sizes of the domain that meet a requirement.

    Raises Undecidable where the requirement has no set of its own, and none among the domain's.
    """
    asked = with_numbers(requirement, domain.fixed)
    with suppress(Undecidable):
        return sizes_of(asked)
    return domain.meeting(asked)


def _from_the_least(domain: InputSet, requirement: Requirement) -> bool:
    """Whether a bound holds at the least sizes, and what it bounds grows from there on."""
    if not isinstance(requirement, Condition) or requirement.relation != ">=":
        return False
    gap = requirement.lhs - requirement.rhs
    names = symbols_of(gap)
    least = dict.fromkeys(names, 1)
    with suppress(SymcnnError):
        least |= {n: lone(domain.axis(n).smallest()) for n in names if n in domain.names}
    with suppress(ArithmeticError):
        return evaluate(gap, least) >= 0 and grows(gap, least)
    return False


@priced(maxsize=1024)
def sizes_of(requirement: Requirement) -> InputSet:
    """The sizes that meet it. A forward asks the same again and again; so does one run again."""
    return input_set(sorted(requirement.symbols), [requirement])
