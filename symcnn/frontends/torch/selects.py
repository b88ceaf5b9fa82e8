"""An ``if`` between numbers is a number: no branch of the network.

``if h % s == 0: pad = k - s``, ``else: pad = k - h % s`` chooses a number, and what the forward
does next it does with either. In a trace the choice is that number, as a formula: the law of
residues. Where condition and both numbers depend on a remainder ``r = e % m`` only, the choice is
a table of m numbers, and a table is a sum of steps:

    f(r) = f(0) + b*r + sum over j of (f(j) - f(j-1) - b) * (floor((e + m - j)/m) - floor(e/m))

Where the condition says which of the two is the larger, as ``h if h > 5 else 5`` does, the choice
is their maximum, or their minimum. So TensorFlow's SAME, written out by hand stride after stride,
is one network and not a branch per stride and axis. A branch that pads, crops or resizes a tensor
is a choice of the numbers by which it does so (see `symcnn.frontends.torch.identities`). What is no
such choice (another operation on a tensor, an inequality between other numbers, a call) stays a
branch. ``mask[:, -pad:].fill_(1)`` writes to all of the axis where there is no pad:
``mask[:, -pad:] = 1``, for which nobody asks how much that is.

How: a function whose code has a remainder in it, or a name of such an operation, is compiled again
from its source, its choices as calls of `select` with the test and the sides as functions; truths
that only tests read are kept as the comparisons that they are. Source that does not compile to the
code that runs is left alone.
"""

from __future__ import annotations

import ast
import dis
import operator
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import pairwise
from types import CodeType
from typing import Any

from symcnn.algebra.size import Atom, Floor, Int, Max, Size, floordiv, maximum, minimum, symbols_of
from symcnn.errors import Undecidable
from symcnn.frontends.torch.choices import (
    Flag,
    NoNumber,
    Path,
    Test,
    asking,
    paths,
    refuse,
    tested_keys,
    tests_of,
)
from symcnn.frontends.torch.expressions import (
    SELECT,
    asks,
    compares,
    idle,
    is_pure,
    is_quiet,
    is_side,
    is_sliced,
    is_truth,
)
from symcnn.frontends.torch.gathered import Gathering, may_gather
from symcnn.frontends.torch.identities import Probe, run_on_all
from symcnn.frontends.torch.layout import is_stretched
from symcnn.frontends.torch.recompile import compiled, definition, has, instruction
from symcnn.frontends.torch.sizes import Dim
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.texts import Spelling, may_spell
from symcnn.lazy import cached_property
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import always
from symcnn.trace.branches import negation
from symcnn.trace.tape import current_tape

#: The names under which compiled code calls `put` and `assigns`.
PUT, ASSIGNS = "__symcnn_put__", "__symcnn_assigns__"

#: Methods that write one number.
_FILLS = {"fill_": 1, "zero_": 0}

#: Tables of remainders of larger numbers, and of more terms, are not small.
_LARGE, _TERMS = 1024, 64


# The law --------------------------------------------------------------------------------------


@lru_cache(maxsize=4096, typed=True)  # blocks repeat, and choices run again
def chosen(condition: Condition, a: Int, b: Int) -> Int | None:
    """The number that is a where the condition holds, else b; None if it is no table of residues,
    and neither the larger of both nor the smaller.

    >>> h = Size.symbol("H")
    >>> print(chosen(Condition(h % 2, "==", 0), 1, 2))
    H - 2*(H//2) + 1
    >>> print(chosen(Condition(h % 4, "==", 0), h, h - h % 4 + 4))
    4*((H + 3)//4)
    >>> print(chosen(Condition(h, ">=", 11), (h + 1)//2, 5), chosen(Condition(h, ">=", 7), 1, 2))
    max((H + 1)//2, 5) None
    """
    gap = condition.lhs - condition.rhs
    if not isinstance(gap, Size):
        return None
    if condition.relation == ">=" and (extreme := _extreme(condition, a, b)) is not None:
        return extreme
    for floor in gap.atoms():
        coeff = gap.terms.get(((floor, 1),), 0)
        m = abs(coeff)
        if not isinstance(floor, Floor) or type(m) is not int or not 1 < m <= _LARGE:
            continue
        whole = (gap if coeff < 0 else -gap) + floor.size() * m
        bare = whole - whole.const if isinstance(whole, Size) else 0
        for c in range(m):  # what is compared may be the remainder and a number
            if floordiv(bare + c, m) == floor.size():
                found = _table(condition, gap, a, b, _Remainder(bare + c, m, floor))
                if isinstance(found, int) or (found is not None and len(found.terms) <= _TERMS):
                    return found
    return None


def _extreme(condition: Condition, a: Int, b: Int) -> Int | None:
    """The larger of both, or the smaller, where the condition says which one that is."""
    if isinstance(a - b, int):
        return None
    names = sorted(condition.symbols | symbols_of(a) | symbols_of(b))
    for one, other, extreme in ((a, b, maximum), (b, a, minimum)):
        with suppress(Undecidable):
            if all(
                always(Condition(high, ">=", low), names, where)
                for high, low, where in (
                    (one, other, (condition,)),
                    (other, one, negation(condition)),
                )
            ):
                return extreme(a, b)
    return None


@dataclass(frozen=True)
class _Remainder:
    """``whole - m*floor``, which is ``whole % m``."""

    whole: Int
    m: int
    floor: Floor

    @cached_property
    def steps(self) -> dict[Atom, tuple[int, int]]:
        """The t and n of the floors that are ``floor((whole + t)/m) + n``, as tables have them."""
        found: dict[Atom, tuple[int, int]] = {}
        for t in range(self.m):
            step = floordiv(self.whole + t, self.m)
            for atom in step.atoms() if isinstance(step, Size) else ():
                n = atom.size() - step
                if isinstance(atom, Floor) and isinstance(n, int):
                    found.setdefault(atom, (t, n))
        return found

    def put(self, expr: Int, j: int) -> Int:
        """An expression where the remainder is j, in maxima too."""
        if not isinstance(expr, Size):
            return expr

        def put(atom: Atom) -> Int:
            if atom in self.steps:
                t, n = self.steps[atom]
                value: Any = (self.whole - j) * Fraction(1, self.m)
                return value + ((j + t) // self.m + n)  # type: ignore[no-any-return]
            if isinstance(atom, Max):
                return maximum(*(self.put(arg, j) for arg in atom.args))
            return atom.size()

        return expr.map(put)


def _table(condition: Condition, gap: Int, a: Int, b: Int, rest: _Remainder) -> Int | None:
    """The choice as a table of remainders; None where there is more to it."""
    holds = operator.ge if condition.relation == ">=" else operator.eq
    values: list[Int] = []
    for j in range(rest.m):
        here = rest.put(gap, j)
        if not isinstance(here, int):
            return None
        values.append(rest.put(a if holds(here, 0) else b, j))
    shared: Int = 0
    if not all(isinstance(v, int) for v in values):  # what both sides share, and a number beside
        shared = values[0]
        values = [v - shared for v in values]
    numbers = [v for v in values if isinstance(v, int)]
    if len(numbers) < len(values):
        return None
    rises = [after - before for before, after in pairwise(numbers)]
    slope = Counter(reversed(rises)).most_common(1)[0][0]  # of as many, the later
    total = shared + numbers[0] + (rest.whole - rest.floor.size() * rest.m) * slope
    for j, rise in enumerate(rises, 1):
        if rise != slope:
            step = floordiv(rest.whole + (rest.m - j), rest.m) - rest.floor.size()
            total = total + step * (rise - slope)
    return total


# In a trace -----------------------------------------------------------------------------------


Plan = Callable[[], object]


def select(
    test: Test, then: Test | None = None, other: Test | None = None, flags: tuple[int, ...] = ()
) -> object:
    """What ``then() if test() else other()`` is: one value, if the sizes decide between numbers.

    test: comparisons, or a number of which is asked whether it is 0; no side has effects. Without
        sides, the truth of the test for later tests; with `then` alone, ``test and then``.
    flags: which of the values are truths that only tests read.
    """
    tracer = _tracer()
    if then is None:
        return test() if tracer is None else _flag(tracer, test)
    if other is None:
        idle = tracer is not None and _is_idle(tracer, test, then)
        return False if idle else test() and then()
    if tracer is not None:
        try:
            return _one(tracer, test, then, other, flags)
        except NoNumber:
            pass
    return then() if test() else other()


def put(test: Test, target: Test, place: Test, value: Test) -> None:
    """``if test(): target()[place()] = value()``: a number of a list, on both sides."""
    tracer = _tracer()
    with suppress(NoNumber):
        if tracer is not None:
            with asking(tracer, refuse):
                held, at = target(), place()
                if type(held) is not list or type(at) is not int:
                    raise NoNumber
                before = held[at]
            held[at] = _one(tracer, test, value, lambda: before, ())
            return
    if test():
        target()[place()] = value()  # type: ignore[index]


def assigns(target: object) -> bool:
    """Whether ``target[i].fill_(v)`` is ``target[i] = v``, which of what is expanded torch
    refuses.
    """
    return type(target) is TracedTensor and not is_stretched(target._value)


def _tracer() -> Any:
    """The trace that runs, if one does."""
    tape = current_tape()
    return getattr(tape.decide if tape is not None else None, "__self__", None)


def _flag(tracer: Any, test: Test) -> object:
    """The truth of a test, if sizes decide it as the comparisons that do."""
    try:
        found = paths(tracer, test)
    except NoNumber:
        return test()
    return Flag(tracer, found) if len(found) > 1 else found[0].holds


def _is_idle(tracer: Any, test: Test, then: Test) -> bool:
    """Whether ``test and then`` is False on both sides of an open test: ``length > 1 and causal``
    is no branch of a network that is not causal.
    """

    def plain() -> bool:
        truth = test()
        if type(truth) is not bool:  # such as a tensor, which `and` returns where it is false
            raise NoNumber
        return truth

    try:
        with asking(tracer, refuse):
            if then() is not False:
                return False
        return len({path.holds for path in paths(tracer, plain)}) > 1
    except NoNumber:
        return False


def _one(tracer: Any, test: Test, then: Test, other: Test, flags: tuple[int, ...]) -> object:
    """The choice as one value; raises NoNumber if it is none."""
    found = paths(tracer, test)
    truths = {path.holds for path in found}
    if len(truths) == 1:
        if len(found) > 1:
            raise NoNumber
        return (then if truths.pop() else other)()
    probe = Probe(tracer)
    with asking(tracer, refuse, probe.apply):
        sides = [then(), other()]
    plain = not isinstance(sides[0], tuple) or not isinstance(sides[1], tuple)
    a, b = ([side] if plain else [*side] for side in sides)  # type: ignore[misc]
    if len(a) != len(b):
        raise NoNumber
    plans = [
        _joined(tracer, found, probe, x, y, i in flags)
        for i, (x, y) in enumerate(zip(a, b, strict=True))
    ]
    values = [plan() for plan in plans]
    return values[0] if plain else tuple(values)


def _joined(
    tracer: Any, found: tuple[Path, ...], probe: Probe, a: object, b: object, flag: bool
) -> Plan:
    """How to make one value of two sides, place by place where they are tuples."""
    if type(a) is tuple and type(b) is tuple and len(a) == len(b):
        parts = [_joined(tracer, found, probe, x, y, False) for x, y in zip(a, b, strict=True)]
        return lambda: tuple(part() for part in parts)
    if a is b and not isinstance(a, float):
        return lambda: a
    if type(a) is TracedTensor and type(b) is TracedTensor:
        turned = tuple(Path(path.answers, not path.holds) for path in found)
        with suppress(NoNumber):
            return run_on_all(tracer, found, b, probe.between(b, a), chosen)
        return run_on_all(tracer, turned, a, probe.between(a, b), chosen)
    if flag and type(a) is bool and type(b) is bool:
        truths = tuple(Path(path.answers, a if path.holds else b) for path in found)
        return lambda: Flag(tracer, truths)
    if len(found) != 2:
        raise NoNumber
    ((condition, answer),) = found[0].answers
    if answer is not found[0].holds:
        a, b = b, a
    x, y = _number(a), _number(b)
    one = None if x is None or y is None else chosen(condition, x, y)
    if one is None:
        raise NoNumber
    return lambda: Dim(one, tracer) if isinstance(one, Size) else one


def _number(value: object) -> Int | None:
    if type(value) is Dim:
        return value.expr
    return value if type(value) is int else None


# In code --------------------------------------------------------------------------------------

_REMAINDER, _LOOKUP = instruction("a % b"), instruction("a[b]")
_COMPARE = dis.opmap["COMPARE_OP"]
_SLICES = frozenset(
    dis.opmap[name] for name in ("BUILD_SLICE", "BINARY_SLICE") if name in dis.opmap
)


def may_select(code: CodeType) -> bool:
    """Whether `selecting` may change the code."""
    return _may_choose(code) or may_spell(code) or may_gather(code)


def selecting(code: CodeType) -> CodeType:
    """The code with its choices of numbers as calls of `select`, or the code itself."""
    tree = definition(code)
    if tree is None:
        return code
    choices = _Choices(tested_keys(code.co_filename))
    changes = choices, Spelling(), Gathering()
    changed = compiled(reduce(lambda tree, change: change.visit(tree), changes, tree), code)
    if changed is None or not sum(change.count for change in changes):
        return code
    return changed.replace(co_firstlineno=code.co_firstlineno, co_qualname=code.co_qualname)


def _may_choose(code: CodeType) -> bool:
    """Whether there is a remainder in it, or a name of `_FILLS`, or one of `idle` and a comparison
    or a word by which a truth may be kept, or in a function that it makes.
    """
    if _COMPARE in code.co_code[::2] and not _SLICES.isdisjoint(code.co_code[::2]):
        return True
    if not idle().isdisjoint(code.co_names):
        words = any(type(c) is str and c.isidentifier() for c in code.co_consts)
        if _COMPARE in code.co_code[::2] or (words and has(code, _LOOKUP)):
            return True
    if has(code, _REMAINDER) or not _FILLS.keys().isdisjoint(code.co_names):
        return True
    return any(type(c) is CodeType and _may_choose(c) for c in code.co_consts)


class _Choices(ast.NodeTransformer):
    """Choices of numbers become calls."""

    def __init__(self, keys: frozenset[str]) -> None:
        self.count = 0
        self.keys = keys  # words under which truths are kept
        self.before: dict[int, frozenset[str]] = {}  # the names that have values before a branch
        self.passing: frozenset[str] = frozenset()  # names of one branch only
        self.truths: frozenset[str] = frozenset()  # names that only tests read

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        match node.body:  # what is behind a side that returns is the other side
            case [*_, ast.If(body=[ast.Return()], orelse=[]) as last, ast.Return() as other]:
                last.orelse, node.body = [other], node.body[:-1]
        inner = [*ast.walk(node)]
        if any(isinstance(n, ast.FunctionDef) for n in inner[1:]):
            self.passing = self.truths = frozenset()
        else:
            self.passing, self.truths = _passing(inner), _truths(node, inner, self.keys)
        if not any(isinstance(n, ast.Delete) or getattr(n, "type", None) for n in inner):
            args = node.args
            self._note(
                node.body, {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
            )
        self.generic_visit(node)
        return node

    def _note(self, body: list[ast.stmt], names: set[str]) -> set[str]:
        """The names that have values behind a body, of those before it on."""
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            if isinstance(statement, ast.If):
                self.before[id(statement)] = frozenset(names)
            after = [
                (part, self._note(part, {*names}))
                for part in (getattr(statement, n, []) for n in ("body", "orelse", "finalbody"))
            ]
            if isinstance(statement, ast.If):  # the next statement is behind a side that ends
                ends = [found for part, found in after[:2] if not (part and _leaves(part[-1]))]
                names |= set[str]().union(*ends[:1]).intersection(*ends[1:])
            if isinstance(statement, ast.Assign):
                stored = [n for target in statement.targets for n in ast.walk(target)]
                names |= {n.id for n in stored if isinstance(n, ast.Name)}
        return names

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if asks(node.test) and is_side(node.body) and is_side(node.orelse):
            return self._call(node, node.test, node.body, node.orelse)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        target = node.targets[0]
        truth = isinstance(node.value, (ast.Compare, ast.BoolOp, ast.UnaryOp))
        if truth and isinstance(target, ast.Name) and target.id in self.truths:
            node.value = self._call(node.value, node.value)
        elif isinstance(node.value, ast.BoolOp) and isinstance(node.value.op, ast.And):
            values = node.value.values
            at = next((i for i, v in enumerate(values[:-1]) if compares(v)), len(values))
            if at < len(values) and all(map(is_quiet, values[at + 1 :])):
                rest = ast.BoolOp(ast.And(), values[at + 1 :]) if values[at + 2 :] else values[-1]
                values[at:] = [self._call(node.value, values[at], rest)]
                node.value = node.value if at else values[0]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        match node.value:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Subscript(value=ast.Name(id=name), slice=place), attr=fill
                ),
                args=args,
                keywords=[],
            ) if len(args) == _FILLS.get(fill) and is_sliced(place):
                held = ast.Name(name, ast.Load())
                value = args[0] if args else ast.Constant(0)
                put = ast.Assign([ast.Subscript(held, deepcopy(place), ast.Store())], value)
                self.count += 1
                test = ast.Call(ast.Name(ASSIGNS, ast.Load()), [held], [])
                return ast.copy_location(ast.If(test, [ast.copy_location(put, node)], [node]), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.If(
                body=[ast.Return(value=ast.expr() as value)],
                orelse=[ast.Return(value=ast.expr() as other)],
            ) if asks(node.test) and is_side(value) and is_side(other):
                return ast.copy_location(
                    ast.Return(self._call(node, node.test, value, other)), node
                )
            case ast.If(
                body=[
                    ast.Assign(
                        targets=[ast.Subscript(value=ast.Name(id=name), slice=place)], value=value
                    )
                ],
                orelse=[],
            ) if asks(node.test) and is_pure(place) and is_pure(value):
                held = ast.Name(name, ast.Load())
                call = self._call(node, node.test, held, place, value, name=PUT)
                return ast.copy_location(ast.Expr(call), node)
        before = self.before.get(id(node), frozenset())
        told = in_plain(node)
        if told is not None and before.issuperset(told[1]):
            self.before[id(told[0])] = before
            chosen: Any = self.visit_If(told[0])
            loads: list[ast.expr] = [ast.Name(name, ast.Load()) for name in told[1]]
            numbers = ast.Call(ast.Name(NUMBERS, ast.Load()), loads, [])
            both = ast.copy_location(ast.If(numbers, [chosen], [node]), node)
            return node if chosen is told[0] else both
        yes, no = (_assigned(body, before, self.passing) for body in (node.body, node.orelse))
        if not asks(node.test) or yes is None or no is None:
            return node
        names = sorted((yes.keys() | no.keys()) - self.passing)
        if not names or not (yes.keys() ^ no.keys()) & {*names} <= before:
            return node
        sides = [
            [side.get(name, ast.Name(name, ast.Load())) for name in names] for side in (yes, no)
        ]
        target: ast.expr = ast.Name(names[0], ast.Store())
        values = [side[0] for side in sides]
        if len(names) > 1:
            target = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
            values = [ast.Tuple(side, ast.Load()) for side in sides]
        flags = tuple(i for i, name in enumerate(names) if name in self.truths)
        call = self._call(node, node.test, *values, flags=flags)
        return ast.copy_location(ast.Assign([target], call), node)

    def _call(
        self, node: ast.AST, *parts: ast.expr, flags: tuple[int, ...] = (), name: str = SELECT
    ) -> ast.expr:
        self.count += 1
        nothing = ast.arguments([], [], None, [], [], None, [])
        args: list[ast.expr] = [ast.Lambda(nothing, part) for part in parts]
        if flags:
            args.append(ast.Tuple([ast.Constant(i) for i in flags], ast.Load()))
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), args, []), node)


def _leaves(statement: ast.stmt) -> bool:
    """Whether what follows is not run after it."""
    return isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break))


def _assigned(
    body: list[ast.stmt], before: frozenset[str], passing: frozenset[str]
) -> dict[str, ast.expr] | None:
    """What plain assignments give to which names, in what is there before; None if it does more.

    They may differ by a word: ``if self.padding == "corner": x = ...`` gives one value as well.
    passing: names that nothing reads behind the branch that gives them a value.
    """
    found: dict[str, ast.expr] = {}
    for statement in body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.If) and is_quiet(statement.test):
            here = before | found.keys()
            bodies = statement.body, statement.orelse
            yes, no = (_assigned(inner, here, passing) for inner in bodies)
            if yes is None or no is None or not (yes.keys() ^ no.keys()) - passing <= here:
                return None
            values = {
                name: ast.IfExp(
                    statement.test, *(s.get(name, ast.Name(name, ast.Load())) for s in (yes, no))
                )
                for name in (yes.keys() | no.keys()) - passing
            }
            found |= {name: _Put(found).visit(deepcopy(value)) for name, value in values.items()}
            continue
        if not isinstance(statement, ast.Assign) or not is_side(statement.value):
            return None
        (target, *more) = statement.targets
        if more or not isinstance(target, ast.Name) or target.id in found:
            return None
        found[target.id] = _Put(found).visit(deepcopy(statement.value))
    return found


class _Put(ast.NodeTransformer):
    """Puts expressions for names."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return deepcopy(self.values.get(node.id, node))


def _passing(nodes: list[ast.AST]) -> frozenset[str]:
    """Names that are read only in the branch that has just given them a value, and only there."""
    own: set[int] = set()
    given: set[str] = set()
    again: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.If):
            for body in (node.body, node.orelse):
                here: set[str] = set()
                for statement in body:
                    names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
                    own |= {id(n) for n in names if n.id in here}
                    if any(isinstance(n, ast.If) for n in ast.walk(statement)):
                        again |= {n.id for n in names if isinstance(n.ctx, ast.Store)} & here
                    if isinstance(statement, ast.Assign) and isinstance(
                        statement.targets[0], ast.Name
                    ):
                        here.add(statement.targets[0].id)
                given |= here
    loads = [n for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return frozenset(given - again - {n.id for n in loads if id(n) not in own})


def _truths(tree: ast.FunctionDef, nodes: list[ast.AST], keys: frozenset[str]) -> frozenset[str]:
    """Names of truths that tests read, there or under one of the keys, and nothing else."""
    found: set[str] = set()
    other = {a.arg for a in ast.walk(tree.args) if isinstance(a, ast.arg)}
    told: set[int] = set()
    for node in nodes:
        if isinstance(node, (ast.If, ast.IfExp)):
            told |= {id(test) for test in tests_of(node.test)}
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            told |= {id(v) for k, v in pairs if isinstance(k, ast.Constant) and k.value in keys}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value
            plain = isinstance(value, ast.Constant) and isinstance(value.value, bool)
            if len(node.targets) == 1 and (plain or is_truth(value)):
                found.add(node.targets[0].id)
                told.add(id(node.targets[0]))
    other |= {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in told}
    other |= {name for n in nodes if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names}
    return frozenset(found - other)


# ``t += pad`` is ``t = t + pad`` where t is a number: of a list or a tensor it is not ------------

#: The name under which compiled code calls `are_numbers`.
NUMBERS = "__symcnn_numbers__"


def are_numbers(*values: object) -> bool:
    """Whether none of them is changed in place."""
    return all(type(value) in (int, float, Dim) for value in values)


def in_plain(node: ast.If) -> tuple[ast.If, list[str]] | None:
    """A branch that assigns where this one adds in place, and to which names; None if to none."""
    plainly = _Plainly()
    body, other = ([*map(plainly.visit, deepcopy(side))] for side in (node.body, node.orelse))
    plain = ast.copy_location(ast.If(node.test, body, other), node)
    return (plain, [*dict.fromkeys(plainly.names)]) if plainly.names else None


class _Plainly(ast.NodeTransformer):
    """Assignments to names, in place of those to what they name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        self.names.append(node.target.id)
        total = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return ast.copy_location(ast.Assign([node.target], ast.copy_location(total, node)), node)
