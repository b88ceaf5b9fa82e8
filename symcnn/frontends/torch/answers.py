"""What python asks of sizes while a forward runs: truths, numbers, and what it divides by.

The law: *a question that the sizes so far leave open is answered at the point of the run, and the
answer is a guard.* So a run describes every size that meets its guards, and the others are for
other runs (see `symcnn.trace.branches`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from types import CodeType
from typing import Any

from symcnn.algebra.factor import factors
from symcnn.algebra.size import (
    Atom,
    Int,
    Max,
    Size,
    denominator,
    evaluate,
    every_atom,
    mod,
    prod,
    symbols_of,
)
from symcnn.algebra.substitute import replaced
from symcnn.errors import Undecidable
from symcnn.frontends.torch.arguments import EXAMPLE
from symcnn.frontends.torch.branches import Choice, Nowhere, Step
from symcnn.frontends.torch.quotients import square_root, whole_ratio
from symcnn.frontends.torch.stairs import tread
from symcnn.frontends.torch.where import caller, calling
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
from symcnn.sets.products import is_linear
from symcnn.trace.branches import negation
from symcnn.trace.tape import Guard, Tape, entails

#: Why a size is fixed.
_NUMBER = "python needs a number there"

#: So many values of a divisor are few.
_VALUES = 32


class Answers:
    """The part of a trace that answers what python asks of sizes."""

    tape: Tape
    example: Mapping[str, int]
    askers: set[CodeType]  # code that asked what a size is
    fixed: Mapping[str, str]  # sizes that are numbers from the start, and the lines that ask
    constants: dict[str, int]  # their numbers
    region: InputSet | None  # the sizes that the run is to describe; None: all
    last: Mapping[str, int]  # the point, once it is not the example
    forced: Sequence[Choice]
    choices: list[Choice]
    numbers: dict[Atom, int]  # what was divided by, and is a number
    steps: list[Step]
    script: list[Step]
    note: Callable[[int, Any, Any], None]
    replay: Callable[..., Any]

    def decide(self, condition: Condition) -> bool:
        """The truth of a comparison: proved, or taken as at the example and recorded."""
        self.tape.compute(condition.lhs, condition.rhs)
        if self.script:
            return bool(self.replay(condition))
        mark, taken = len(self.steps), entails(condition)
        if taken is None:
            taken = self._choose(condition)
        elif (
            self.region is not None and not self.tape.assumed.domain
        ):  # of nothing, everything holds
            raise Nowhere
        self.note(mark, condition, taken)
        return taken

    def _choose(self, condition: Condition) -> bool:
        """An open comparison: as it was to be taken, else as at the point of the run."""
        position = len(self.choices)
        if position < len(self.forced):
            taken = self.forced[position].taken
        else:
            taken = condition.holds(self.point(condition.symbols))
        self.choices.append(Choice(taken, len(self.tape.guards)))
        (requirement,) = [condition] if taken else negation(condition)
        self._guard(requirement)
        return taken

    def ratio(self, num: Int, den: Size) -> Int | None:
        """Their quotient where the domain says that it is whole."""
        if self.script:
            return self.replay(("ratio", num, den))  # type: ignore[no-any-return]
        mark, found = len(self.steps), whole_ratio(num, den)
        self.note(mark, ("ratio", num, den), found)
        return found

    def divisor(self, expr: Int) -> Int:
        """What is divided by: a number where it takes few values, and a branch for each of them.

        A window of ``min(h, w)`` rows, where that is at most 7, is seven windows of so many rows.
        """
        expr = self.put_numbers(expr)
        if not isinstance(expr, Size):
            return expr
        value: Int
        if self.script:
            value = self.replay(("by", expr))
        else:
            mark = len(self.steps)
            value = self.fix(expr, "") if self._few(expr) else self.sided(expr)
            self.note(mark, ("by", expr), value)
        rest: Any = expr - expr.const
        if isinstance(value, int) and len(rest.terms) == 1:
            ((mono, coeff),) = rest.terms.items()
            if len(mono) == 1 and mono[0][1] == 1:
                self.numbers[mono[0][0]] = (value - expr.const) // coeff
        return value

    def put_numbers(self, expr: Int) -> Int:
        """The expression with numbers for what was divided by, and is one."""
        for atom, number in self.numbers.items() if isinstance(expr, Size) else ():
            expr = replaced(expr, atom, number)
        return expr

    def _few(self, expr: Size) -> bool:
        """Whether the sizes so far leave it a few values, all positive."""
        domain = self.tape.assumed.domain
        if not symbols_of(expr) <= {*domain.names} or not entails(Condition(expr, ">=", 1)):
            return False
        with suppress(Undecidable):
            one = input_set((*domain.names, "value"), [Condition(expr, "==", Size.symbol("value"))])
            values = (domain & one).axis("value")
            return values.bounded and (values.count() or 0) <= _VALUES
        return False

    def sided(self, expr: Int) -> Int:
        """The expression without maxima: which of several sizes is the greatest is a branch.

        A maximum is a size like others, but what is divided by one is no linear condition.
        """
        expr = self.put_numbers(expr)
        while atoms := [a for a in every_atom(expr) if isinstance(a, Max)]:
            greatest, *others = atoms[-1].args
            for other in others:
                if not self.decide(Condition(greatest, ">=", other)):
                    greatest = other
            expr = replaced(expr, atoms[-1], greatest)
        return expr

    def fix(self, expr: Any, why: str = _NUMBER, where: str = "") -> Any:
        """The value of a size at the point of the run, for python that takes plain numbers only.

        where: the line that asks, if it is not the one that runs.
        """
        if not isinstance(expr, Size):
            return expr
        if self.script:
            return self.replay(expr)
        mark = len(self.steps)
        value = self.here(expr)
        scale = denominator(expr)
        same = Condition(expr * scale, "==", int(value * scale))
        if entails(same) is None:
            self._guard(same, why, where)
        self.note(mark, expr, value)
        return value

    def here(self, expr: Int) -> int:
        """The value of a size at the point of the run."""
        return evaluate(expr, self.point(symbols_of(expr)))

    def fix_sizes(self) -> None:
        """What the forward begins with: the sizes that it has as numbers."""
        for name, where in self.fixed.items():
            self.constants[name] = self.fix(Size.symbol(name), where=where)

    def rounded(self, num: Int, den: Int, value: Callable[[Callable[[Int], int]], float]) -> float:
        """The float of a quotient at the point of the run. The quotient is fixed, not its sizes:
        ``h*w/n`` of n windows of 4 x 4 is 16 wherever h and w are multiples of 4.

        value: the float, from what gives the number of a size.
        """
        if self.script:
            return float(self.replay(("over", num, den)))
        mark, point = len(self.steps), self.point(symbols_of(num, den))
        quotient = Fraction(evaluate(num, point)) / Fraction(evaluate(den, point))
        same = Condition(num * quotient.denominator, "==", den * quotient.numerator)
        if entails(same) is None:
            self._guard(same, _NUMBER)
        found = value(lambda expr: evaluate(expr, point))
        self.note(mark, ("over", num, den), found)
        return found

    def root(self, expr: Int) -> Int | None:
        """The root of a product whose factors are equal by pairs at the point of the run, which is
        a guard: ``(h*w)**0.5`` of a square map is h. None for any other.
        """
        found = square_root(expr)
        if found is not None or not isinstance(expr, Size):
            return found
        if self.script:
            return self.replay(("root", expr))  # type: ignore[no-any-return]
        mark, point = len(self.steps), self.point(symbols_of(expr))
        with suppress(ValueError):
            parts, content = factors(expr)
            odd = [f for f, times in Counter(parts).items() if times % 2]
            odd.sort(key=lambda f: evaluate(f, point))
            pairs = [*zip(odd[::2], odd[1::2], strict=len(odd) % 2 == 0)]
            alike = all(evaluate(a, point) == evaluate(b, point) > 0 for a, b in pairs)
            number = square_root(content)
            if pairs and alike and len(odd) % 2 == 0 and number is not None:
                for a, b in pairs:
                    self._guard(Condition(a, "==", b), _NUMBER)
                twice = (f for f, times in Counter(parts).items() for _ in range(times // 2))
                found = prod((*twice, *(a for a, _ in pairs))) * number
        self.note(mark, ("root", expr), found)
        return found

    def step(self, size: Size, at: Callable[[int], float]) -> float | None:
        """The value of a stair at the point of the run, and of all sizes of its step; None where
        that has no end, or the size is no linear one. Where steps are many, the others are left.
        """
        if not is_linear(size):
            return None
        if self.script:
            return self.replay(("step", size))  # type: ignore[no-any-return]
        mark, found = len(self.steps), tread(at, self.here(size))
        if found is not None:
            ends = [Condition(size, ">=", found.first)]
            ends += [] if found.last is None else [Condition(found.last, ">=", size)]
            for end in ends:
                if entails(end) is None:
                    self._guard(end, "" if found.few else _NUMBER)
        value = None if found is None else found.value
        self.note(mark, ("step", size), value)
        return value

    def lowest_bit(self, size: Int) -> int | None:
        """The greatest power of 2 that divides a size at the point of the run, and all sizes of the
        branch; 0 of 0; None where the size is no linear one.
        """
        if not is_linear(size):
            return None
        if self.script:
            return self.replay(("bit", size))  # type: ignore[no-any-return]
        mark, value = len(self.steps), self.here(size)
        bit = value & -value
        same = Condition(mod(size, 2 * bit) if bit else size, "==", bit)
        if entails(same) is None:
            self._guard(same)
        self.note(mark, ("bit", size), bit)
        return bit

    def point(self, names: Iterable[str]) -> dict[str, int]:
        """Where the run is: of the sizes that it describes so far, those nearest to the example.

        Raises Nowhere if none is left.
        """
        domain = self.tape.assumed.domain
        if self.region is not None:
            domain = domain & self.region
            if not domain:
                raise Nowhere
        wanted = {n: self._wanted(n) for n in {*names, *domain.names}}
        last = {n: self.last.get(n, wanted[n]) for n in domain.names}
        if domain.names and last not in domain:  # while it is in a smaller set, it is the nearest
            near = domain.nearest(*(wanted[n] for n in domain.names))
            last = self.last = by_name(domain.names, near)
        return wanted | last

    @property
    def is_beyond(self) -> bool:
        """Whether the run is at a larger size than that of the example."""
        return any(size > self._wanted(n) for n, size in self.last.items())

    def _wanted(self, name: str) -> int:
        return self.example.get(name, EXAMPLE.get(name, 224))

    def _guard(self, requirement: Requirement, fixes: str = "", where: str = "") -> None:
        place = where or caller()
        self.askers.add(calling())
        guard = Guard(requirement, place, len(self.tape.nodes) - 1, fixes=fixes)
        self.tape.guards.append(guard)
