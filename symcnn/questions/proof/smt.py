"""Claims as statements that any solver reads: SMT-LIB 2, integers with floors and remainders.

A statement asks for a counterexample: sizes of the domain, and fresh sizes that are what they
mean, at which what is claimed fails. ``unsat`` says that there is none, so the claim holds; a
model is a size at which it does not. The domain is written as the layers require it, not as isl
writes it: the statement owes nothing to isl.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from symcnn.algebra.factor import factors, is_product
from symcnn.algebra.size import (
    Atom,
    Floor,
    Int,
    Max,
    Size,
    Symbol,
    denominator,
    evaluate,
    every_atom,
)
from symcnn.errors import Undecidable, needs
from symcnn.sets.condition import AnyOf, Condition, ForAll, Requirement, subexpressions, substituted

#: What z3 may spend on a claim: the same number of its steps on every machine.
STEPS = 2_000_000

Means = tuple[tuple[str, Size], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is claimed: where `given` holds and fresh sizes are what they mean, so does `wanted`.

    layers: for the domain, what each layer requires of its own sizes; then the claim is that all of
        it together holds exactly where all of `given` does.
    """

    given: tuple[Requirement, ...]
    means: Means = ()
    wanted: tuple[Requirement, ...] = ()
    layers: tuple[tuple[Requirement, Means], ...] | None = None

    def smtlib(self, *words: str) -> str:
        """The search for a counterexample, with the claim in words as a comment.

        Raises Undecidable where SMT-LIB has no words: float scales, blocks without a number.
        """
        means, given, claim = [*self.means], _all(self.given), _all(self.wanted)
        said = [*self.given, *self.wanted]
        if self.layers is None:
            asked = [given, f"(not {claim})"]
        else:
            required = []
            for i, (requirement, meant) in enumerate(self.layers):
                own = {name: Size.symbol(f"{name}.{i}") for name, _ in meant}
                required.append(substituted(requirement, own))
                means += [(f"{name}.{i}", value) for name, value in meant]
            asked = [f"(not (= {given} {_all(required)}))"]
            said += required
        equal = [Condition(Size.symbol(name), "==", value) for name, value in means]
        fresh = {name for name, _ in means}
        atoms = _atoms([*said, *equal])
        lines = [*(f"; {line}" for word in words for line in word.splitlines())]
        lines += ["(set-logic ALL)", *(f"(declare-const |{s.name}| Int)" for s in atoms)]
        for symbol in atoms:
            low = 1 if symbol.low is None else symbol.low
            if symbol.name not in fresh:
                lines.append(f"(assert (>= |{symbol.name}| {_number(low)}))")
        lines += [f"(assert {_formula(e)})" for e in equal]
        lines += [f"(assert {a})" for a in asked]
        return "\n".join([*lines, "(check-sat)", "(get-model)", ""])

    def fails(self, sizes: dict[str, int]) -> bool:
        """Whether these sizes are a counterexample, by our own arithmetic."""
        claims = [(self.wanted, self.means)] if self.layers is None else []
        claims += [((asked,), means) for asked, means in self.layers or ()]
        try:
            met = [
                _met(asked, sizes | {name: int(evaluate(v, sizes)) for name, v in means})
                for asked, means in claims
            ]
        except ZeroDivisionError:  # no size is meant there
            return False
        given = _met(self.given, sizes)
        return given != all(met) if self.layers is not None else given and not all(met)


def _met(asked: Iterable[Requirement], sizes: Mapping[str, int]) -> bool:
    return all(requirement.holds(sizes) for requirement in asked)


def ask(statement: Statement, steps: int = STEPS) -> tuple[str, dict[str, int] | str | None]:
    """What z3 says: "proved"; "wrong", and the sizes at which the claim fails; "open", and why."""
    with needs("prove", "proofs by z3"):
        import z3
    try:
        text = statement.smtlib()
    except Undecidable as error:
        return "open", error.cause
    solver = z3.Solver(ctx=z3.Context())  # of its own: the steps do not depend on what was asked
    solver.set("rlimit", steps)
    solver.from_string(text.partition("(check-sat)")[0])
    found = solver.check()
    if found == z3.unsat:
        return "proved", None
    if found == z3.unknown:
        return "open", f"no answer within {steps:,} steps"
    model = solver.model()
    sizes = {str(d): model[d].as_long() for d in model.decls() if not d.arity()}
    if not statement.fails(sizes):
        return "open", "what is no size divides by 0, and z3 takes any number for that"
    return "wrong", sizes


def _atoms(requirements: Iterable[Requirement]) -> list[Symbol]:
    found: dict[str, Symbol] = {}
    for requirement in requirements:
        for side in subexpressions(requirement):
            for atom in every_atom(side) if isinstance(side, Size) else ():
                if isinstance(atom, Symbol):
                    found[atom.name] = atom
    return [found[name] for name in sorted(found)]


def _all(requirements: Iterable[Requirement]) -> str:
    parts = list(dict.fromkeys(map(_formula, requirements)))
    return f"(and {' '.join(parts)})" if len(parts) > 1 else (parts or ["true"])[0]


def _formula(requirement: Requirement) -> str:
    if isinstance(requirement, AnyOf):
        return f"(or {' '.join(map(_formula, requirement.options))})"
    if isinstance(requirement, ForAll):
        raise Undecidable(f"{requirement}: for every block of a number that is not given")
    relation = "=" if requirement.relation == "==" else ">="
    return f"({relation} {_whole(requirement.lhs, requirement.rhs)})"


def _whole(*exprs: Int) -> str:
    """Expressions times the least number that makes their coefficients whole."""
    scale = denominator(*exprs)
    return " ".join(_term(expr * scale) for expr in exprs)


def _number(value: Any) -> str:
    if value != int(value):
        raise Undecidable(f"{value} is not a whole number")
    return str(int(value)) if value >= 0 else f"(- {-int(value)})"


def _term(expr: Int) -> str:
    """An expression, a product as its factors: solvers compare these, and multiply nothing out.

    SMT-LIB's ``div`` is the floor where the divisor is positive, as sizes are.
    """
    if not isinstance(expr, Size):
        return _number(expr)
    if len(expr.terms) > 1 and is_product(expr):
        with suppress(ValueError):  # powers below 0
            parts, content = factors(expr)
            if len(parts) > 1:
                words = [_number(content)] * (content != 1)
                return f"(* {' '.join([*words, *map(_term, parts)])})"
    added = [_product(monomial, c) for monomial, c in expr.terms.items()]
    return f"(+ {' '.join(added)})" if len(added) > 1 else added[0]


def _product(monomial: Iterable[tuple[Atom, int]], coefficient: Any) -> str:
    factors = [*_factors(monomial)]
    if coefficient != 1 or not factors:
        factors.insert(0, _number(coefficient))
    return f"(* {' '.join(factors)})" if len(factors) > 1 else factors[0]


def _factors(monomial: Iterable[tuple[Atom, int]]) -> Iterator[str]:
    for atom, power in monomial:
        if power < 0:
            raise Undecidable(f"{atom} in a denominator")
        yield from [_atom(atom)] * power


def _atom(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return f"|{atom.name}|"
    if isinstance(atom, Floor):
        return f"(div {_whole(atom.num, atom.den)})"
    if isinstance(atom, Max):
        first, *rest = map(_term, atom.args)
        for other in rest:
            first = f"(ite (>= {first} {other}) {first} {other})"
        return first
    raise Undecidable(f"{atom} has no word in SMT-LIB")
