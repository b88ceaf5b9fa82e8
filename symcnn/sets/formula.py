"""Formulas: a cost or a size as a value of its own, with the questions people ask of polynomials.

Costs are polynomials over floors of the sizes. Three laws make them readable, each exact:

- *congruence*: under ``H % m == r``, ``H`` is ``m*t + r``, and the floor normal form leaves no
  floor whose denominator divides `m` (`Formula.under`);
- *relaxation*: ``floor(e/n) = e/n - d`` with ``0 <= d <= (n - 1)/n``, so a formula is a polynomial
  plus bounded deviations of lower degree (`Formula.leading`, `Formula.per_pixel`);
- arithmetic on int64 arrays is exact as long as no intermediate value reaches ``2**63``, which is
  known beforehand; beyond, python's own integers take over (`Formula.at`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from math import lcm, prod
from typing import TYPE_CHECKING, Any, Union, overload

from symcnn.algebra import size as sz
from symcnn.algebra.expr import Expr, Number, from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.mathml import math
from symcnn.algebra.series import closing
from symcnn.algebra.size import Int, Size, evaluate, symbols_of, with_values
from symcnn.errors import BadSpec, InvalidInput, NoSolution, Undecidable
from symcnn.lazy import sympy
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Statement, check_sizes
from symcnn.sets.inputset import InputSet
from symcnn.sets.relaxed import bounds_of, leading_part, monomials, without_floors
from symcnn.sets.simplest import Simplest
from symcnn.sets.system import Said, members, symbols_in
from symcnn.sets.system import stated as as_statement
from symcnn.sets.words import as_mod
from symcnn.shown import assignment, block

if TYPE_CHECKING:
    import numpy as np

#: Symbols that count pixels, where `per_pixel` is not told which.
_SPACE = ("D", "H", "W", "L", "T")


@dataclass(frozen=True, slots=True)
class Leading:
    """``term + below <= formula <= term + above`` for all positive sizes.

    `degree` is the degree of `term` in the symbols asked for.
    """

    degree: int
    term: Formula
    below: Formula
    above: Formula

    def __str__(self) -> str:
        return f"{self.term}, off by {self.below} to {self.above}"


@dataclass(frozen=True, slots=True)
class Within:
    """The condition that sizes are members of a set."""

    sizes: InputSet

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes that the set speaks of."""
        return frozenset(self.sizes.names)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether `values` are a member."""
        return {name: values[name] for name in self.sizes.names} in self.sizes

    def __str__(self) -> str:
        return str(self.sizes)


class Formula:
    """An integer expression in the sizes (a polynomial over floors), immutable.

    `names` are the sizes it may be asked at, also those it does not depend on. `given` are the
    conditions under which it holds, see `under`.

    >>> from symcnn import H, W
    >>> f = Formula(64 * ((H + 1) // 2) * ((W + 1) // 2))
    >>> f, f.at(H=224, W=224)
    (64*((H + 1)//2)*((W + 1)//2), 802816)
    """

    __slots__ = ("given", "names", "size")

    def __init__(
        self, expr: Any, names: Iterable[str] = (), given: Sequence[Condition | Within] = ()
    ) -> None:
        self.size: Int = expr.size if isinstance(expr, Formula) else from_sympy(_floored(expr))
        self.given = tuple(given)
        self.names = symbols_of(self.size).union(names, *(c.symbols for c in self.given))

    @property
    def expr(self) -> Expr:
        """The formula for sympy (an int stays an int)."""
        from symcnn.algebra.legible import legible

        return legible(self.size)

    def _sympy_(self) -> Any:
        return sympy.sympify(self.expr)

    @property
    def symbols(self) -> frozenset[str]:
        """The names of the sizes it depends on."""
        return symbols_of(self.size)

    @property
    def _from_zero(self) -> frozenset[str]:
        """Depths and paddings, which may be 0."""
        sides = (s for c in self.given if isinstance(c, Condition) for s in (c.lhs, c.rhs))
        return frozenset(name for name, low in sz.lows(self.size, *sides) if low == 0)

    def _with(self, size: Int) -> Formula:
        return Formula(size, self.names, self.given)

    # text

    def __str__(self) -> str:
        return _text(self.size)

    def __repr__(self) -> str:
        holds = f"  [{' and '.join(map(spoken, self.given))}]" if self.given else ""
        return f"{self}{holds}"

    def __format__(self, spec: str) -> str:
        if spec and isinstance(self.size, int):
            return format(self.size, spec)
        return format(str(self), "" if spec in (",", "_") else spec)

    def _formula_(self) -> Int:
        return self.size

    def _repr_html_(self) -> str:
        holds = f" where {' and '.join(map(spoken, self.given))}" if self.given else ""
        return block(math(self), escape(holds))

    def _repr_latex_(self) -> str:
        return f"${sympy.latex(self.expr)}$"

    # arithmetic

    def __eq__(self, other: object) -> bool:
        try:
            return bool(self.size == _kernel(other))
        except BadSpec:
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self.size)

    def __bool__(self) -> bool:
        return self.size != 0

    def __int__(self) -> int:
        if isinstance(self.size, Size):
            raise BadSpec(f"{self} is not a number", cure="ask .at(H=..., W=...) for one")
        return self.size

    __index__ = __int__

    def _join(self, other: Any, size: Int) -> Formula:
        if not isinstance(other, Formula):
            return self._with(size)
        given = (*self.given, *(c for c in other.given if c not in self.given))
        return Formula(size, self.names | other.names, given)

    def __add__(self, other: Any) -> Formula:
        return self._join(other, self.size + _kernel(other))

    __radd__ = __add__

    def __neg__(self) -> Formula:
        return self._with(-self.size)

    def __sub__(self, other: Any) -> Formula:
        return self._join(other, self.size - _kernel(other))

    def __rsub__(self, other: Any) -> Formula:
        return self._with(_kernel(other) - self.size)

    def __mul__(self, other: Any) -> Formula:
        return self._join(other, self.size * _kernel(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        below = other.expr if isinstance(other, Formula) else other
        return sympy.cancel(sympy.sympify(self.expr) / below)

    # values

    @overload
    def at(self, **sizes: int) -> int: ...
    @overload
    def at(self, **sizes: int | Sequence[int] | np.ndarray) -> int | np.ndarray: ...
    def at(self, **sizes: int | Sequence[int] | np.ndarray) -> int | np.ndarray:
        """The value at sizes: ints give an int, numpy arrays an array, element by element.

        Arrays broadcast. The answer is exact: int64 where that is wide enough, else an array of
        python's integers. (An expression that is not whole gives Fractions.)

        Raises BadSpec for a size that is missing or unknown, InvalidInput where a condition that
        the formula stands `under` does not hold.

        >>> import numpy as np
        >>> from symcnn import H
        >>> Formula(H * H // 2).at(H=np.arange(1, 6))
        array([ 0,  2,  4,  8, 12])
        """
        missing = self.symbols - set(sizes)
        if missing:
            raise BadSpec(
                f"no value for {', '.join(sorted(missing))}",
                cure="give every size, or keep symbols with subs(...)",
            )
        if any(hasattr(v, "__len__") and getattr(v, "ndim", 1) for v in sizes.values()):
            found: np.ndarray = self._over(sizes)
            return found
        values = check_sizes(sizes, self.names, self._from_zero)
        for condition in self.given:
            if condition.symbols <= set(values) and not condition.holds(values):
                raise InvalidInput(
                    f"the formula is for {spoken(condition)}, not {assignment(values)}"
                )
        return evaluate(self.size, values)

    def _over(self, sizes: Mapping[str, Any]) -> Any:
        """The values at arrays of sizes."""
        import numpy as np

        values = {name: _array(name, value) for name, value in sizes.items()}
        least = {name: int(value.min()) for name, value in values.items()}
        check_sizes(least, self.names, self._from_zero)
        for condition in self.given:
            if isinstance(condition, Within):
                grids = np.broadcast_arrays(*(values[n] for n in condition.sizes.names))
                points = zip(*(grid.flat for grid in grids), strict=True)
                holds = all(tuple(map(int, point)) in condition.sizes for point in points)
            else:
                gap = _Grid(values)(condition.lhs - condition.rhs)
                holds = bool(np.all(gap >= 0 if condition.relation == ">=" else gap == 0))
            if not holds:
                raise InvalidInput(f"the formula is for {spoken(condition)}, not for all of these")
        if any(isinstance(a, (sz.Power, sz.Sum)) for a in sz.every_atom(self.size)):
            return self._one_by_one(values)
        found = np.asarray(_Grid(values)(self.size))
        shape = np.broadcast_shapes(*(v.shape for v in values.values()))
        if found.shape == shape and not any(found is v for v in values.values()):
            return found
        return np.broadcast_to(found, shape).copy()

    def _one_by_one(self, values: Mapping[str, Any]) -> Any:
        """Powers and sums outgrow 64 bits soon: python's integers, point by point."""
        import numpy as np

        grids = np.broadcast_arrays(*values.values())
        found = np.empty(grids[0].shape, dtype=object)
        for place in np.ndindex(found.shape):
            at = {name: int(g[place]) for name, g in zip(values, grids, strict=True)}
            found[place] = evaluate(self.size, at)
        return found

    def subs(self, **sizes: Number | str) -> Formula:
        """The formula with some sizes replaced, by numbers or by expressions.

        >>> from symcnn import H, W
        >>> Formula((H // 2) * W).subs(H=2 * W)
        W**2
        """
        for name in sizes:
            if name not in self.names:
                known = ", ".join(sorted(self.names)) or "none"
                raise BadSpec(f"no size is called {name}", cure=f"the sizes are: {known}")
        values = {name: _kernel(value) for name, value in sizes.items()}
        return Formula(with_values(self.size, values), self.names - set(values))

    # laws

    def under(self, *given: Given) -> Formula:
        """The same formula where `given` holds: exact, with no floor that `given` decides.

        given: sympy relations such as ``Eq(H % 32, 0)`` and ``Eq(H, W)``, text such as
            ``"H % 32 == 0"`` or ``"H > 3"``, or an `InputSet`. (Python compares ``H % 32 == 0``
            as objects, before we could see it.)

        Raises BadSpec for what is neither a congruence nor an equation of sizes, NoSolution if
        the conditions contradict each other.

        >>> from symcnn import H, W
        >>> Formula(3 * ((H + 31) // 32) * ((W + 31) // 32)).under("H % 32 == 0", "W % 32 == 0")
        3*H*W/1024  [H % 32 == 0 and W % 32 == 0]
        """
        known = sz.spelling(self.size)
        every = conditions(*given)
        inside = tuple(c for c in every if isinstance(c, Within))
        stated = tuple(
            Condition(with_values(c.lhs, known), c.relation, with_values(c.rhs, known))
            for c in every
            if isinstance(c, Condition)
        )
        expr: Int = self.size
        classes: dict[str, tuple[Int, int]] = {}
        left = sorted(stated, key=lambda c: _residue(c) is not None)  # equations come first
        while left:
            condition, *left = left
            residue = _residue(condition)
            if residue is not None:
                name, m, r = residue
                classes[name] = _both(name, classes.get(name, (1, 0)), (m, r))
            elif condition.relation == "==":
                try:
                    solved = _solved(condition)
                except BadSpec:  # it gives no size by itself: the sizes that meet it are a set
                    inside += (Within(members(as_statement(condition), sorted(condition.symbols))),)
                    continue
                expr = with_values(expr, solved)
                left = [
                    Condition(with_values(c.lhs, solved), c.relation, with_values(c.rhs, solved))
                    for c in left
                ]
            else:
                raise BadSpec(
                    f"{spoken(condition)} is neither a congruence nor an equation of sizes",
                    cure='for example "H % 32 == 0" or "H == W"',
                )
        inner: dict[str, Any] = {}
        outer: dict[str, Any] = {}
        for name, (m, r) in classes.items():
            quotient = sz.Symbol(f"{name}'", low=0 if r else 1)
            inner[name] = quotient.size() * m + r
            outer[quotient.name] = sz.exact_or_fail(Size.symbol(name) - r, m)
        expr = with_values(closing(with_values(expr, inner)), outer)
        for within in inside:
            expr = Simplest(within.sizes)(expr)
        return Formula(expr, self.names, (*self.given, *stated, *inside))

    def leading(self, *symbols: str | sympy.Symbol) -> Leading:
        """The terms of highest degree in `symbols` (default: all), and exact bounds of the rest.

        Raises Undecidable for a formula with maxima, or with floors by symbols.

        >>> from symcnn import H
        >>> print(Formula(6 * ((H + 3) // 4)).leading())
        3*H/2, off by 0 to 9/2
        """
        names = frozenset(map(str, symbols)) or self.symbols
        top, leading = leading_part(self.size, names)
        bounds = [bounds_of(mono, coeff, names) for mono, coeff in monomials(self.size)]
        below: Any = sum((low for low, _ in bounds), 0) - leading
        above: Any = sum((high for _, high in bounds), 0) - leading
        return Leading(top, *(self._with(_kernel(e)) for e in (leading, below, above)))

    def per_pixel(self, *symbols: str | sympy.Symbol) -> Formula | sympy.Expr:
        """The limit of formula/(H*W) for large images; of the spatial symbols there are, or given.

        Infinite (``sympy.oo``) where the formula grows faster than the pixels, as attention does.

        Raises Undecidable where the limit depends on the aspect ratio.

        >>> from symcnn import H, N, W
        >>> Formula(N * (9 * ((H + 1) // 2) * ((W + 1) // 2) + H)).per_pixel()
        9*N/4
        """
        names = frozenset(map(str, symbols)) or self.names & frozenset(_SPACE)
        if not names:
            raise BadSpec(f"{self} has no spatial size", cure="name them: per_pixel(X, Y)")
        relaxed, _ = without_floors(self.size, names, exact=False)
        limit: Int = 0
        for mono, coeff in relaxed.terms.items() if isinstance(relaxed, Size) else ():
            powers = {a.key: p for a, p in mono if a.key in names}
            rest: Any = sz.prod(a.size() ** p for a, p in mono if a.key not in names) * coeff
            if all(powers.get(n, 0) == 1 for n in names):
                limit = limit + rest
            elif all(powers.get(n, 0) >= 1 for n in names):
                return sympy.oo
            elif any(p > 1 for p in powers.values()):
                raise Undecidable(f"{self} per pixel depends on the aspect ratio")
        return self._with(_kernel(limit))


# Reading ---------------------------------------------------------------------------------------


def _kernel(value: Any) -> Int:
    if isinstance(value, Formula):
        return value.size
    return from_sympy(_floored(value))


def _floored(expr: Any) -> Any:
    """A rational as a kernel constant; anything else as it is."""
    return (
        Size({(): expr})
        if isinstance(expr, Fraction) and expr.denominator > 1
        else (int(expr) if isinstance(expr, Fraction) else expr)
    )


#: What a formula may stand under.
Given = Union[Said, Within, InputSet]


def conditions(*given: Given) -> tuple[Condition | Within, ...]:
    """Conditions from text, from sympy relations, sets, or as they are. Raises BadSpec.

    >>> from symcnn import H
    >>> import sympy
    >>> conditions("H % 32 == 0") == conditions(sympy.Eq(H % 32, 0))
    True
    """
    return tuple(c for one in given for c in _conditions(one))


def _conditions(given: Given) -> Iterator[Condition | Within]:
    if isinstance(given, (Condition, Within)):
        yield given
    elif isinstance(given, InputSet):
        yield Within(given)
    elif isinstance(given, bool):
        raise BadSpec(
            f"{given} is not a condition on sizes",
            cure='python compares H % 32 == 0 as objects; write "H % 32 == 0" or Eq(H % 32, 0)',
        )
    else:
        statement = as_statement(given)
        parts = statement.parts if statement.kind == "and" else (statement,)
        for part in parts:
            if isinstance(part, Condition) and part.relation == "==":
                yield part
            elif isinstance(part, Statement) and part.kind == "and":
                yield from _conditions(part)
            else:
                whole = part if isinstance(part, Statement) else Statement("and", (part,))
                yield Within(members(whole, sorted(symbols_in(whole))))


def _residue(condition: Condition) -> tuple[str, Int, int] | None:
    """(name, m, r) where the condition says ``name % m == r``."""
    modular = as_mod(condition) or _by_symbols(condition)
    if modular is None or not isinstance(sz.sole_atom(modular[0]), sz.Symbol):
        return None
    return str(modular[0]), modular[1], modular[2]


def _by_symbols(condition: Condition) -> tuple[Int, Size, int] | None:
    """(e, m, r) for ``e % m == r`` and an m with symbols, such as ``2**n``."""
    gap = condition.lhs - condition.rhs
    if condition.relation != "==" or not isinstance(gap, Size):
        return None
    for atom in gap.atoms():
        if isinstance(atom, sz.Floor) and isinstance(atom.den, Size) and len(atom.den.terms) == 1:
            for whole in (gap, -gap):
                rest = whole + atom.den * atom.size()
                const = rest.const if isinstance(rest, Size) else 0
                if isinstance(rest, Size) and rest - const == atom.num and const <= 0:
                    return atom.num, atom.den, -int(const)
    return None


def _both(name: str, one: tuple[Int, int], other: tuple[Int, int]) -> tuple[Int, int]:
    """Two residue classes of one size as a single one (the Chinese remainder theorem)."""
    (m, r), (n, s) = one, other
    if isinstance(m, Size) or isinstance(n, Size):
        if n == 1 or (r == s == 0 and sz.exact_div(m, n) is not None):
            return one
        if m == 1 or (r == s == 0 and sz.exact_div(n, m) is not None):
            return other
        raise BadSpec(f"{name} % {m} == {r} and {name} % {n} == {s}: give one of them")
    together = lcm(m, n)
    for x in range(r, together, m):
        if x % n == s:
            return together, x
    raise NoSolution(f"no {name} has {name} % {m} == {r} and {name} % {n} == {s}")


def _solved(condition: Condition) -> dict[str, Int]:
    """An equation that names a size: ``H == 2*W`` as what to put for H."""
    gap = condition.lhs - condition.rhs
    if isinstance(gap, int):
        if gap:
            raise NoSolution(f"{spoken(condition)} holds for no size")
        return {}
    for mono, coeff in gap.ordered():
        atom = mono[0][0] if len(mono) == 1 and mono[0][1] == 1 else None
        if isinstance(atom, sz.Symbol) and abs(coeff) == 1:
            value: Any = (gap - atom.size() * coeff) * -coeff
            if atom.name not in symbols_of(value):
                return {atom.name: value}
    raise BadSpec(f"{spoken(condition)} cannot be solved for a size", cure='for example "H == W"')


def spoken(condition: Requirement | Within) -> str:
    """A condition in words: ``H % 32 == 0``."""
    if not isinstance(condition, Condition):
        return str(condition)
    modular = as_mod(condition) or _by_symbols(condition)
    if modular is None:
        return str(condition)
    expr, m, r = modular
    return f"{_bracketed(expr)} % {_bracketed(m)} == {r}"


def _bracketed(expr: Int) -> str:
    """An operand of ``%``: brackets where python needs them."""
    name = str(expr)
    plain = name.isidentifier() or isinstance(expr, int) or isinstance(sz.sole_atom(expr), sz.Power)
    return name if plain else f"({name})"


def _text(size: Int) -> str:
    """Rational polynomials over one denominator: ``(3*H*W + H)/1024``; products where whole."""
    if isinstance(size, int) or all(type(c) is int for c in size.terms.values()):
        return text(size)
    below = sz.denominator(size)
    above = size * below
    if isinstance(above, int):
        return f"{above}/{below}"
    if len(above.terms) == 1:
        return str(size)
    words = text(above)
    single = words.count("(") == words.count(" ") == 0 or (" " not in _outside(words))
    return f"{words}/{below}" if single else f"({words})/{below}"


def _outside(words: str) -> str:
    """What stands outside all brackets."""
    depth, kept = 0, []
    for character in words:
        depth += (character == "(") - (character == ")")
        if depth == 0:
            kept.append(character)
    return "".join(kept)


# Evaluating ------------------------------------------------------------------------------------


def _array(name: str, value: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size == 0:
        raise BadSpec(f"{name}: sizes are whole numbers, at least one of them")
    return array.astype(np.int64, copy=False)


class _Grid:
    """Evaluates kernel expressions at arrays; every atom once."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.most = {name: int(value.max()) for name, value in values.items()}
        self.atoms: dict[sz.Atom, Any] = {}
        self.bounds: dict[sz.Atom, int] = {}

    def __call__(self, expr: Int) -> Any:
        import numpy as np

        if isinstance(expr, int):
            return np.int64(expr) if abs(expr) < 2**63 else expr
        if any(power < 0 for mono in expr.terms for _, power in mono):
            raise BadSpec(f"{expr} divides by sizes: evaluate it one size at a time")
        below = sz.denominator(expr)
        wide = self.bound(expr) * below >= 2**63
        total: Any = 0
        for mono, coeff in expr.terms.items():
            term: Any = int(coeff * below)
            for atom, power in mono:
                value = self.atom(atom)
                value = value.astype(object) if wide and hasattr(value, "astype") else value
                value = value if power == 1 else value**power
                term = value if type(term) is int and term == 1 else term * value
            total = term if type(total) is int and total == 0 else total + term
        if below == 1:
            return total
        if bool(np.all(total % below == 0)):
            return total // below
        return np.vectorize(lambda t: Fraction(int(t), below), otypes=[object])(total)

    def atom(self, atom: sz.Atom) -> np.ndarray:
        import numpy as np

        if atom not in self.atoms:
            match atom:
                case sz.Symbol():
                    found = self.values[atom.name]
                case sz.Floor(den=int(den)) if den & (den - 1) == 0:
                    found = self(atom.num) >> (den.bit_length() - 1)  # the floor, and fast
                case sz.Floor():
                    found = self(atom.num) // self(atom.den)
                case sz.Max():
                    found = self(atom.args[0])
                    for other in atom.args[1:]:
                        found = np.maximum(found, self(other))
                case sz.Scaled():  # double(x)*scale, as torch computes it
                    found = np.trunc(self(atom.arg).astype(np.float64) * atom.scale).astype(
                        np.int64
                    )
                case _:  # pragma: no cover
                    raise TypeError(type(atom))
            self.atoms[atom] = found
        value: np.ndarray = self.atoms[atom]
        return value

    def bound(self, expr: Int) -> int:
        """What no intermediate value exceeds in size."""
        if isinstance(expr, int):
            return abs(expr)
        return sum(
            abs(coeff.numerator) * prod(self.bound_of(atom) ** power for atom, power in mono)
            for mono, coeff in expr.terms.items()
        )

    def bound_of(self, atom: sz.Atom) -> int:
        if atom not in self.bounds:
            match atom:
                case sz.Symbol():
                    found = self.most[atom.name]
                case sz.Scaled():
                    found = int(self.bound(atom.arg) * max(atom.scale, 1.0)) + 1
                case _:  # a floor is at most its numerator, a maximum one of its arguments
                    found = max(map(self.bound, atom.args))
            self.bounds[atom] = max(found, 1)
        return self.bounds[atom]
