"""A test of sizes as the tree of comparisons that python makes of it.

``a or b`` asks a, and b only where a does not hold. Run for every answer, a test is a few paths,
each a conjunction of answers with the truth at its end: these are disjoint, and hold all sizes. A
name that keeps such a truth for a later ``if`` keeps the paths: a `Flag`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from symcnn.algebra.size import Int
from symcnn.frontends.torch.questions import Questions
from symcnn.frontends.torch.recompile import parsed
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.inputset import always
from symcnn.trace.branches import negation
from symcnn.trace.tape import entails

#: More paths than that are a branch.
_MANY = 8


class NoNumber(Exception):
    """What is computed is not a number alone."""


class Path(NamedTuple):
    """Comparisons with their answers, and the truth of the test where they are so."""

    answers: tuple[tuple[Condition, bool], ...]
    holds: bool

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What the sizes of the path meet."""
        found: list[Requirement] = []
        for condition, answer in self.answers:
            found += [condition] if answer else negation(condition)
        return tuple(found)


Test = Callable[[], object]


def paths(tracer: object, test: Test) -> tuple[Path, ...]:
    """The paths of a test; a single one, without comparisons, where nothing is open.

    Raises NoNumber for more than a few.
    """
    found: list[Path] = []
    left: list[tuple[tuple[Condition, bool], ...]] = [()]
    while left:
        start = left.pop()
        taken: dict[Condition, bool] = {}

        def decide(
            condition: Condition,
            start: tuple[tuple[Condition, bool], ...] = start,
            taken: dict[Condition, bool] = taken,
        ) -> bool:
            if condition not in taken:
                at = len(taken)
                if at >= len(start):
                    left.append((*taken.items(), (condition, False)))
                taken[condition] = start[at][1] if at < len(start) else True
            return taken[condition]

        with asking(tracer, decide):
            holds = bool(test())
        found.append(Path((*taken.items(),), holds))
        if len(found) + len(left) > _MANY:
            raise NoNumber
    return tuple(found)


class Flag:
    """A truth that sizes decide, asked when python asks for it."""

    def __init__(self, tracer: Questions, paths: tuple[Path, ...]) -> None:
        self.tracer, self.paths = tracer, paths

    def __bool__(self) -> bool:
        left, at = self.paths, 0
        while len({path.holds for path in left}) > 1:
            condition = left[0].answers[at][0]
            answer = self.tracer.decide(condition)
            left = tuple(path for path in left if path.answers[at][1] == answer)
            at += 1
        return left[0].holds


def refuse(*asked: object, **more: object) -> bool:
    """Nothing may be asked, fixed or recorded there."""
    raise NoNumber


@contextmanager
def asking(
    tracer: object, decide: Callable[[Condition], bool], apply: Callable[..., object] = refuse
) -> Iterator[None]:
    """What is open is asked of `decide`; nothing is fixed, nothing recorded."""

    def verdict(condition: Condition) -> bool:
        taken = entails(condition)
        return decide(condition) if taken is None else taken

    own: dict[str, object] = vars(tracer)
    names = ("decide", "fix", "rounded", "root", "step", "lowest_bit", "apply")
    before: dict[str, object] = {name: own[name] for name in names if name in own}
    own.update(dict.fromkeys(names, refuse) | {"decide": verdict, "apply": apply})
    try:
        yield
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, NameError):
        raise NoNumber from None  # on a side that may never run: the branch will tell
    finally:
        for name in names:
            own.pop(name, None)
        own.update(before)


@lru_cache(maxsize=4096)
def equal_on(requirements: tuple[Requirement, ...], a: Int, b: Int) -> bool:
    """Whether two numbers are equal wherever the sizes meet the requirements.

    Raises Undecidable where that is no question of linear arithmetic.
    """
    same = Condition(a, "==", b)
    names = sorted(same.symbols.union(*(r.symbols for r in requirements)))
    return always(same, names, requirements)


# In code


@lru_cache(maxsize=256)
def tested_keys(file: str) -> frozenset[str]:
    """Words under which dictionaries of a file keep what its tests read, and nothing else there."""
    kept: set[str] = set()
    read: set[str] = set()
    told: set[int] = set()
    nodes = [*ast.walk(parsed(file))]
    for node in nodes:
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    kept.add(key.value)
                    told.add(id(key))
        elif isinstance(node, (ast.If, ast.IfExp)):
            for test in tests_of(node.test):
                match test:
                    case ast.Subscript(value=ast.Name(), slice=ast.Constant(value=str(word))):
                        read.add(word)
                        told.add(id(test.slice))
    others = {n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in told}
    return frozenset(kept & read - others)


def tests_of(test: ast.expr) -> list[ast.expr]:
    """What a test asks: the parts of ``a or not b``."""
    if isinstance(test, ast.BoolOp):
        return [part for value in test.values for part in tests_of(value)]
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return tests_of(test.operand)
    return [test]
