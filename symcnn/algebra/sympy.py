"""Sizes as sympy sees them: the size symbols, `FloorDiv`, and the way to and fro.

The floor normal form has one home, `symcnn.algebra.size`. Building a `FloorDiv` sends its arguments
there and takes the normal form back, so sympy users get the law without a second copy of it::

    >>> FloorDiv(FloorDiv(H - 1, 2) + 1 - 1, 2) + 1
    (H + 3)//4
    >>> FloorDiv(6*H + 7, 3), -FloorDiv(-H, 2)
    (2*H + 2, (H + 1)//2)

Sympy takes longer to load than all else together, and a trace calculates without it: what may meet
no formula has `symcnn.algebra.expr`, which loads this module where it meets one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, SupportsIndex, TypeAlias, Union

from symcnn.algebra import size as sz
from symcnn.algebra.polynomial import collapsed
from symcnn.algebra.series import summation
from symcnn.algebra.size import Int, Size
from symcnn.errors import BadSpec, Undecidable
from symcnn.lazy import sympy

_PRECEDENCE = sympy.printing.precedence.PRECEDENCE

#: A number of any kind.
Number = Union[int, Size, sympy.Expr]
#: One symbol for one name, a tuple of them for several: who names them, knows.
Symbols: TypeAlias = Any


def symbols(names: str, **assumptions: bool) -> Symbols:
    """Positive integer symbols, one per name.

    Args:
        names: one or more, ``"h w"``.
        assumptions: go to sympy: ``even=True``.

    Returns:
        A symbol, or a tuple of them.

    >>> symbols("H_in").is_positive
    True
    """
    return sympy.symbols(names, integer=True, positive=True, **assumptions)


def odd(names: str) -> Symbols:
    """Odd positive symbols: kernels, whose ``(k - 1)/2`` is a whole number.

    Args:
        names: one or more, ``"k l"``.

    Returns:
        A symbol, or a tuple of them.

    >>> k = odd("k")
    >>> FloorDiv(H + 2*(k - 1)/2 - k, 1) + 1, FloorDiv(k, 2)
    (H, k/2 - 1/2)
    """
    return symbols(names, odd=True)


def index(names: str) -> Symbols:
    """Symbols that count from 0: the number of the block in a `symcnn.nn.Repeat`.

    Args:
        names: one or more, ``"i j"``.

    Returns:
        A symbol, or a tuple of them.

    >>> index("i").is_nonnegative
    True
    """
    return sympy.symbols(names, integer=True, nonnegative=True)


class Multiple(sympy.Symbol):  # type: ignore[misc]
    """A positive symbol that is a whole multiple of `of`; made by `multiple`."""

    __slots__ = ("of",)
    of: Fraction

    def __new__(cls, name: str, of: Fraction) -> Multiple:
        whole = {"integer": True} if of.denominator == 1 else {}
        if of.denominator == 1 and of.numerator % 2 == 0:
            whole["even"] = True
        self: Multiple = sympy.Symbol.__xnew__(cls, name, positive=True, **whole)
        self.of = of
        return self

    def __getnewargs_ex__(self) -> Any:
        return (self.name, self.of), {}

    def _hashable_content(self) -> Any:
        return (*sympy.Symbol._hashable_content(self), self.of)


def multiple(names: str, of: float | str | Fraction) -> Symbols:
    """Positive symbols that are whole multiples of a number.

    ``multiple("C", of=8)`` splits into 2, 4 or 8 groups without remainder; a width multiplier that
    is a multiple of 1/32, ``multiple("alpha", of="1/32")``, scales channels to whole ones.

    Args:
        names: one or more, ``"C D"``.
        of: a positive whole number or fraction.

    Returns:
        A symbol, or a tuple of them.

    Raises:
        BadSpec: unless `of` is a positive fraction.

    >>> C, alpha = multiple("C", of=8), multiple("alpha", of="1/32")
    >>> FloorDiv(C, 4), FloorDiv(64*alpha, 2)
    (C/4, 32*alpha)
    """
    try:
        text = str(of)
        fraction = Fraction(text if len(text) <= 40 and "e" not in text.lower() else "")
    except (ValueError, ZeroDivisionError):
        raise BadSpec(f"of={of!r} is not a number", cure='for example 8 or "1/32"') from None
    if fraction <= 0:
        raise BadSpec(f"of={of}: a multiple of what is positive")
    found = [Multiple(name, fraction) for name in names.replace(",", " ").split()]
    if not found:
        raise BadSpec("no names given")
    return found[0] if len(found) == 1 else tuple(found)


N, C, D, H, W, L = symbols("N C D H W L")


class FloorDiv(sympy.Function):  # type: ignore[misc]
    r"""The floor of ``numerator/denominator`` for integer expressions, in floor normal form.

    Prints as ``(H + 31)//32``, in LaTeX with floor brackets; ``rewrite(floor)`` gives sympy's own
    floor; `lambdify` gives python's (and numpy's) exact ``//``.

    Raises ZeroDivisionError for a zero denominator; one that a substitution makes 0 gives sympy's
    ``zoo``, as its own quotients do: it may stand in a piece whose condition does not hold there.
    Arguments that sympy does not know to be integers give an ordinary ``sympy.floor``.

    >>> FloorDiv(H + 31, 32).rewrite(sympy.floor)
    floor(H/32 + 31/32)
    >>> sympy.latex(FloorDiv(H + 31, 32))
    '\\left\\lfloor \\frac{H + 31}{32} \\right\\rfloor'
    """

    nargs = (2,)
    is_integer = True
    precedence = _PRECEDENCE["Add"]  # so that 2*(H//2) and -(H//2) keep their brackets

    @classmethod
    def eval(cls, num: sympy.Expr, den: sympy.Expr) -> sympy.Expr:
        try:
            return to_sympy(sz.floordiv(from_sympy(num), from_sympy(den)))
        except BadSpec:
            return _RealFloor(num / den)

    def _eval_subs(self, old: sympy.Expr, new: sympy.Expr) -> sympy.Expr | None:
        den = self.args[1]
        return sympy.zoo if not den.is_Number and den.subs(old, new) == 0 else None

    def __eq__(self, other: object) -> Any:
        """Python's ``(H + 1)//2`` on sympy expressions is sympy's floor: the same value."""
        if isinstance(other, sympy.floor):
            return bool(from_sympy(self) == from_sympy(other))
        return super().__eq__(other)

    __hash__ = sympy.Function.__hash__

    def _eval_is_nonnegative(self) -> bool | None:
        low = sz.lower(from_sympy(self))
        return True if low is not None and low >= 0 else None

    def _eval_is_positive(self) -> bool | None:
        low = sz.lower(from_sympy(self))
        return True if low is not None and low > 0 else None

    @classmethod
    def of(cls, expr: Number) -> sympy.Expr:
        """An expression with `FloorDiv` for sympy's ``floor``, ``ceiling`` and ``Mod``.

        >>> FloorDiv.of(sympy.floor(H / 32 + sympy.Rational(31, 32)) + sympy.ceiling(W / 2))
        (H + 31)//32 + (W + 1)//2
        """
        return to_sympy(from_sympy(expr))

    def _eval_rewrite_as_floor(self, num: Any, den: Any, **_: Any) -> Any:
        return sympy.floor(num / den)

    def _eval_rewrite_as_ceiling(self, num: Any, den: Any, **_: Any) -> Any:
        return sympy.ceiling((num - den + 1) / den)

    def _eval_rewrite_as_Mod(self, num: Any, den: Any, **_: Any) -> Any:  # noqa: N802
        return (num - sympy.Mod(num, den)) / den

    # Calculus is for functions of real numbers.

    def _eval_is_meromorphic(self, x: Any, a: Any) -> bool:
        """A step function: a limit goes by its leading term, and to what lies around it."""
        return not self.has(x)

    def _eval_derivative(self, variable: Any) -> Any:
        raise BadSpec(
            f"{self} steps: it has no derivative by {variable}",
            cure=f"the slope for large sizes: limit(expr/{variable}, {variable}, oo); "
            "equations: symcnn.solve",
        )

    def _eval_nseries(self, x: Any, n: Any, logx: Any, cdir: Any = 0) -> Any:
        raise BadSpec(f"{self} steps: it has no power series", cure="rewrite(floor) for sympy's")

    def _eval_aseries(self, n: Any, args0: Any, x: Any, logx: Any) -> Any:
        return self._eval_nseries(x, n, logx)

    def _eval_as_leading_term(self, x: Any, logx: Any = None, cdir: Any = 0) -> Any:
        return self.rewrite(sympy.floor).as_leading_term(x, logx=logx, cdir=cdir)

    # Code. One exact quotient is rounded down: ``H*(1/49)`` would be 0.999... at 49.

    def _sympystr(self, printer: Any) -> str:
        num, den = self.args
        read = sz.gathered(size := from_sympy(num))
        num = num if read is size else to_sympy(read)
        return (
            f"{printer.parenthesize(num, _PRECEDENCE['Mul'], strict=True)}"
            f"//{printer.parenthesize(den, _PRECEDENCE['Mul'])}"
        )

    def _code(self, printer: Any) -> str:
        num, den = (f"({printer._print(arg)})" for arg in self.args)
        return _FLOORS[printer.printmethod].format(num, den)

    def _mpmathcode(self, printer: Any) -> str:
        num, den = (f"({printer._print(arg)})" for arg in self.args)
        return f"({printer._module_format('mpmath.mpf')}({num} - {num} % {den})/{den})"

    def _pretty(self, printer: Any) -> Any:
        return printer._print(self.rewrite(sympy.floor))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        num, den = (printer._print(arg) for arg in self.args)
        text = rf"\left\lfloor \frac{{{num}}}{{{den}}} \right\rfloor"
        return f"{text}^{{{exp}}}" if exp else text


#: How languages round a quotient down, by the name that sympy gives its printers' methods.
_FLOORS = {
    "_ccode": "floor((double){}/{})",
    "_cxxcode": "std::floor((double){}/{})",
    "_fcode": "floor(dble{}/{})",
    "_glsl": "floor(float{}/float{})",
    "_javascript": "Math.floor({}/{})",
    "_julia": "fld({}, {})",
    "_maple": "floor({}/{})",
    "_mcode": "Floor[{}/{}]",
    "_numexprcode": "floor(1.0*{}/{})",
    "_octave": "floor({}./{})",
    "_rcode": "({} %/% {})",
    "_rust_code": "{}.div_euclid({})",
    "_tensorflowcode": "({}//{})",
    "_torchcode": "({}//{})",
}
for _method in _FLOORS:
    setattr(FloorDiv, _method, FloorDiv._code)
for _method in ("_pythoncode", "_numpycode", "_lambdacode", "_cmathcode"):
    setattr(FloorDiv, _method, FloorDiv._sympystr)


class _RealFloor(sympy.floor):  # type: ignore[misc]
    """sympy's floor, of real numbers: what limits make of a `FloorDiv`. Where leading terms cancel,
    as in ``H//2 - H/2``, what is left steps for ever, and sympy would answer minus infinity.
    """

    def _eval_nseries(self, x: Any, n: Any, logx: Any, cdir: Any = 0) -> Any:
        if self.args[0].limit(x, 0).is_finite:
            return super()._eval_nseries(x, n, logx, cdir)
        raise Undecidable(
            "beside terms that cancel a floor steps for ever: there is no limit",
            cure="bounds: floor(x) is in (x - 1, x]",
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, sympy.floor) and self.args == other.args

    __hash__ = sympy.floor.__hash__


_RealFloor.__name__ = "floor"  # as sympy prints and hashes it


class Trunc(sympy.Function):  # type: ignore[misc]
    """The whole part of ``double(x) * scale`` in IEEE double.

    That is the size `interpolate` gives for a float scale. A floor where a floor is right for
    every size up to `symcnn.algebra.size.SCALE_BOUND`.

    >>> Trunc(H, 0.5), Trunc(100, 0.29), Trunc(H, 0.29).subs(H, 100)
    (H//2, 28, 28)
    """

    nargs = (2,)
    is_integer = True

    @classmethod
    def eval(cls, x: sympy.Expr, scale: sympy.Expr) -> sympy.Expr:
        return to_sympy(sz.scaled(from_sympy(x), float(scale)))

    def _pythoncode(self, printer: Any) -> str:
        x, scale = self.args
        return f"(({printer._print(x)})*{float(scale)!r}//1)"

    _numpycode = _lambdacode = _pythoncode

    def _mpmathcode(self, printer: Any) -> str:
        x, scale = self.args
        number = printer._module_format("mpmath.mpf")
        return f"{number}(int(float({printer._print(x)})*{float(scale)!r}))"  # in double

    def _sympystr(self, printer: Any) -> str:
        x, scale = self.args
        return f"trunc({printer.parenthesize(x, _PRECEDENCE['Mul'])}*{float(scale)!r})"

    def _latex(self, printer: Any) -> str:
        x, scale = self.args
        body = rf"{printer.parenthesize(x, _PRECEDENCE['Mul'])} \cdot {float(scale)!r}"
        return rf"\operatorname{{trunc}}\left({body}\right)"


class Geometric(sympy.Function):  # type: ignore[misc]
    r"""The sum ``1 + r + ... + r**(n - 1)``, which is ``(r**n - 1)/(r - 1)``, and n for r = 1.

    >>> s, n = symbols("s n")
    >>> Geometric(s, n), Geometric(s, 3), Geometric(1, n), Geometric(3, n)
    (Geometric(s, n), s**2 + s + 1, n, 3**n/2 - 1/2)
    >>> sympy.latex(Geometric(s, n))
    '\\frac{s^{n} - 1}{s - 1}'
    """

    nargs = (2,)
    is_integer = True

    @classmethod
    def eval(cls, ratio: sympy.Expr, count: sympy.Expr) -> sympy.Expr:
        j = index("j_")
        return to_sympy(summation(from_sympy(ratio**j), "j_", from_sympy(count)))

    def _eval_rewrite_as_Mul(self, ratio: Any, count: Any, **_: Any) -> Any:  # noqa: N802
        return (ratio**count - 1) / (ratio - 1)

    def _pythoncode(self, printer: Any) -> str:
        ratio, count = map(printer._print, self.args)
        return f"sum([({ratio})**j_ for j_ in range(int({count}))], 0)"  # numpy: along axis 0

    _numpycode = _lambdacode = _mpmathcode = _pythoncode

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        ratio, count = self.args
        text = rf"\frac{{{printer._print(ratio**count)} - 1}}{{{printer._print(ratio - 1)}}}"
        return rf"\left({text}\right)^{{{exp}}}" if exp else text


def to_sympy(expr: Int) -> sympy.Expr:
    """A kernel expression as a sympy one (int stays a sympy Integer)."""
    return sympy.Integer(expr) if isinstance(expr, int) else _to_sympy(expr)


@lru_cache(maxsize=4096)
def _to_sympy(expr: Size) -> sympy.Expr:
    whole = sz.unfolded(expr)
    if isinstance(whole, int) or whole is not expr:
        return to_sympy(whole)
    terms = []
    for mono, coeff in expr.terms.items():
        factors = [_atom_to_sympy(a) ** p for a, p in mono]
        turned = coeff < 0 and [power for _, power in mono] == [1]
        for i, (atom, power) in enumerate(mono):
            shorter = turned or len(str(-atom.size())) < len(str(atom.size()))
            if isinstance(atom, sz.Max) and shorter:  # max(a, b) is -min(-a, -b)
                least = sympy.Min(*(to_sympy(-arg) for arg in atom.args))
                factors[i] = (-1) ** power * least**power
        terms.append(sympy.Mul(sympy.Rational(coeff.numerator, coeff.denominator), *factors))
    return sympy.Add(*terms)


@lru_cache(maxsize=4096)
def _atom_to_sympy(atom: sz.Atom) -> sympy.Expr:
    match atom:
        case sz.Symbol(payload=None):
            return symbols(atom.name) if atom.low else index(atom.name)
        case sz.Symbol():
            return atom.payload
        case sz.Part():
            return to_sympy(atom.shown)
        case sz.Power():
            return to_sympy(atom.base) ** to_sympy(atom.exponent)
        case sz.Sum():
            if atom.ratio is not None:
                return Geometric(to_sympy(atom.ratio), to_sympy(atom.count), evaluate=False)
            bounds = (index(atom.index), 0, to_sympy(atom.count) - 1)
            return sympy.Sum(to_sympy(atom.term), bounds)
        case sz.Floor():
            return FloorDiv(to_sympy(atom.num), to_sympy(atom.den), evaluate=False)
        case sz.Max():
            few = len(atom.args) < 4  # sympy compares every pair, which of many takes seconds
            return sympy.Max(*map(to_sympy, atom.args), evaluate=few)
        case sz.Scaled():
            return Trunc(to_sympy(atom.arg), sympy.Float(atom.scale), evaluate=False)
    raise TypeError(type(atom))  # pragma: no cover


def from_sympy(expr: Number | SupportsIndex) -> Int:
    """An int or sympy expression as a kernel expression, in floor normal form.

    Raises BadSpec for something that sympy does not know to be an integer.
    """
    if isinstance(expr, (int, Size)):
        return int(expr) if isinstance(expr, bool) else expr
    if isinstance(expr, sympy.Basic):
        return _from_sympy(expr)
    if hasattr(expr, "__index__"):  # numpy integers
        return int(expr.__index__())
    raise BadSpec(f"{expr!r} is not an integer or a sympy expression")


@lru_cache(maxsize=4096)
def _from_sympy(expr: sympy.Basic) -> Int:
    rule = _READ.get(expr.func)
    if rule is not None:
        return rule(expr)
    if expr.is_Integer:
        return int(expr)
    if expr.is_Rational:
        return Size({(): Fraction(int(expr.p), int(expr.q))})
    if isinstance(expr, Multiple):
        part = sz.Part(expr.name, collapsed(expr.of), low=1, payload=expr)
        return part.size() * expr.of
    if expr.is_Symbol and expr.is_odd:
        low = 0 if expr.is_positive else None
        return 2 * sz.Part(expr.name, 2, 1, low, payload=expr).size() + 1
    if expr.is_Symbol and expr.is_even:
        low = 1 if expr.is_positive else 0 if expr.is_nonnegative else None
        return 2 * sz.Part(expr.name, 2, 0, low, payload=expr).size()
    if expr.is_integer:  # a symbol with assumptions of its own, or a function we need not know
        name = str(expr)
        low = 1 if expr.is_positive else 0 if expr.is_nonnegative else None
        plain = expr.is_Symbol and expr in (symbols(name), index(name))
        return sz.Symbol(name, low, payload=None if plain else expr).size()
    if expr.is_Symbol:
        raise BadSpec(
            f"{expr} is not known to be an integer",
            cure=f'declare it: sympy.Symbol("{expr}", integer=True, positive=True)',
        )
    if expr.is_Float:
        raise BadSpec(
            f"{float(expr)!r} is a float, and sizes are whole numbers",
            cure=f"write the fraction: {Fraction(str(float(expr)))}",
        )
    raise BadSpec(
        f"{expr} is no formula of sizes",
        cure="those have +, -, *, //, %, min, max, floor, ceiling and whole powers",
    )


def _read_pow(expr: Any) -> Int:
    base, exponent = expr.args
    if exponent.is_Integer:
        power = from_sympy(base)
        count = abs(int(exponent))
        return sz.prod([power] * count) if exponent > 0 else _invert(sz.prod([power] * count))
    if exponent.is_integer:
        try:
            return sz.power(from_sympy(base), from_sympy(exponent))
        except ValueError as error:
            raise BadSpec(str(error)) from None
    low = 1 if expr.is_positive else None
    return sz.Symbol(str(expr), low, integer=expr.is_integer is True, payload=expr).size()


def _invert(expr: Int) -> Int:
    try:
        return sz.exact_or_fail(1, expr)
    except ValueError as error:
        raise BadSpec(str(error)) from None


def _read_sum(expr: Any) -> Int:
    term, (variable, first, last) = expr.args[0], expr.args[1]
    if first != 0 or len(expr.args) > 2:
        raise BadSpec(f"{expr} is not a sum from 0 over one index")
    return summation(from_sympy(term), variable.name, from_sympy(last) + 1)


def _read_ratio(expr: Any) -> tuple[Int, Int]:
    num, den = sympy.fraction(sympy.together(expr.args[0]))
    return from_sympy(num), from_sympy(den)


_READ: dict[Any, Callable[[Any], Int]] = {
    sympy.Add: lambda e: reduce(lambda a, b: a + b, map(from_sympy, e.args)),
    sympy.Mul: lambda e: sz.prod(map(from_sympy, e.args)),
    sympy.Pow: _read_pow,
    sympy.floor: lambda e: sz.floordiv(*_read_ratio(e)),
    sympy.ceiling: lambda e: sz.ceildiv(*_read_ratio(e)),
    sympy.Mod: lambda e: sz.mod(*map(from_sympy, e.args)),
    sympy.Max: lambda e: sz.maximum(*map(from_sympy, e.args)),
    sympy.Min: lambda e: sz.minimum(*map(from_sympy, e.args)),
    sympy.Abs: lambda e: sz.maximum(from_sympy(e.args[0]), from_sympy(-e.args[0])),
    FloorDiv: lambda e: sz.floordiv(*map(from_sympy, e.args)),
    Trunc: lambda e: sz.scaled(from_sympy(e.args[0]), float(e.args[1])),
    Geometric: lambda e: summation(
        from_sympy(e.args[0] ** index("j_")), "j_", from_sympy(e.args[1])
    ),
    sympy.Sum: _read_sum,
}
