"""Closed forms as functions of other languages: python, NumPy, C, JavaScript.

Written from the kernel expression, so floors stay integer divisions and nothing is rounded. A
polynomial with fractions, ``n**2/2 - n/2``, becomes one exact division, ``(n*n - n)/2``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from keyword import iskeyword

from symcnn.algebra.expr import Number, from_sympy
from symcnn.algebra.factor import shifted
from symcnn.algebra.size import (
    Atom,
    Coeff,
    Floor,
    Int,
    Max,
    Part,
    Power,
    Scaled,
    Size,
    Sum,
    Symbol,
    denominator,
    gathered,
    symbols_of,
)
from symcnn.errors import BadSpec
from symcnn.lazy import sympy


@dataclass(frozen=True, slots=True)
class Language:
    """How a language writes whole numbers and their functions."""

    literal: str
    floor: str
    maximum: str
    power: str
    scaled: str
    function: Callable[[str, Sequence[str], str], str]
    total: str
    choice: tuple[str, str]  # a case, and what ends them; of all cases at once in NumPy
    joined: tuple[str, str]
    prelude: str = ""
    reserved: frozenset[str] = frozenset()


def _python(name: str, arguments: Sequence[str], body: str) -> str:
    return f"def {name}({', '.join(arguments)}):\n    return {body}\n"


def _c(name: str, arguments: Sequence[str], body: str) -> str:
    typed = ", ".join(f"int64_t {a}" for a in arguments) or "void"
    arrays = "".join(f"const int64_t *{a}, " for a in arguments)
    values = ", ".join(f"{a}[symcnn_i]" for a in arguments)
    return (
        f"int64_t {name}({typed}) {{\n    return {body};\n}}\n"
        f"void {name}_each({arrays}int64_t *symcnn_to, int64_t symcnn_n) {{\n"
        f"    for (int64_t symcnn_i = 0; symcnn_i < symcnn_n; symcnn_i++)\n"
        f"        symcnn_to[symcnn_i] = {name}({values});\n}}\n"
    )


def _javascript(name: str, arguments: Sequence[str], body: str) -> str:
    big = "".join(f"  {a} = BigInt({a});\n" for a in arguments)
    head = f"export function {name}({', '.join(arguments)})"
    return f"{head} {{\n{big}  return symcnnPlain({body});\n}}\n"


_C_PRELUDE = """#include <stdint.h>

static inline int64_t symcnn_floordiv(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
static inline int64_t symcnn_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t symcnn_pow(int64_t base, int64_t exponent) {
    int64_t result = 1;
    while (exponent-- > 0) result *= base;
    return result;
}
"""

_JAVASCRIPT_PRELUDE = """function symcnnFloordiv(a, b) {
  const q = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? q - 1n : q;
}
function symcnnMax(a, b) { return a > b ? a : b; }
function symcnnSum(count, term) {
  let total = 0n;
  for (let i = 0n; i < count; i++) total += term(i);
  return total;
}
function symcnnPlain(value) {
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value;
}
"""

_C_WORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register return short signed sizeof static struct switch typedef union "
    "unsigned void volatile while".split()
)
_JAVASCRIPT_WORDS = frozenset(
    "await break case catch class const continue debugger default delete do else enum export "
    "extends false finally for function if import in instanceof let new null return super switch "
    "this throw true try typeof var void while with yield".split()
)

_PYTHON_SUM = "sum({term} for {index} in range({count}))"

#: Every language by name.
LANGUAGES = {
    "python": Language(
        "{}",
        "({} // {})",
        "max({}, {})",
        "{}**{}",
        "int({} * {!r})",
        _python,
        _PYTHON_SUM,
        ("{body} if {where} else ", "None"),
        (" and ", " or "),
    ),
    "numpy": Language(
        "{}",
        "({} // {})",
        "np.maximum({}, {})",
        "{}**{}",
        "np.trunc({} * {!r}).astype(np.int64)",
        _python,
        _PYTHON_SUM,
        ("", "np.select([{wheres}], [{bodies}], -1)"),
        (" & ", " | "),
        "import numpy as np\n",
    ),
    "c": Language(
        "INT64_C({})",
        "symcnn_floordiv({}, {})",
        "symcnn_max({}, {})",
        "symcnn_pow({}, {})",
        "(int64_t)((double)({}) * {!r})",
        _c,
        "",
        ("{where} ? {body} : ", "INT64_C(-1)"),
        (" && ", " || "),
        _C_PRELUDE,
        _C_WORDS,
    ),
    "javascript": Language(
        "{}n",
        "symcnnFloordiv({}, {})",
        "symcnnMax({}, {})",
        "{} ** {}",
        "BigInt(Math.trunc(Number({}) * {!r}))",
        _javascript,
        "symcnnSum({count}, ({index}) => {term})",
        ("{where} ? {body} : ", "undefined"),
        (" && ", " || "),
        _JAVASCRIPT_PRELUDE,
        _JAVASCRIPT_WORDS,
    ),
}


def to_code(
    formulas: Mapping[str, Number], language: str = "python", arguments: Sequence[str] | None = None
) -> str:
    """Source code with one function per formula, exact for all sizes.

    formulas: function names and ints or expressions; of a Piecewise what holds nowhere is None, in
        C and NumPy -1.
    language: ``"python"``, ``"numpy"`` (takes arrays), ``"c"`` (``int64_t``; exact while no
        product passes 2**63; beside ``f(H)`` stands ``f_each(H, to, n)`` for arrays of n sizes),
        ``"javascript"`` (an ES module; BigInt inside, plain numbers out where they are exact).
    arguments: the parameters of every function; by default each takes its own symbols, sorted.

    Raises BadSpec for an unknown language, a name that is none in it, or a symbol without a place.

    >>> from symcnn import H
    >>> print(to_code({"height": (H + 31) // 32 * 2 - 1}))
    def height(H):
        return 2*((H + 31) // 32) - 1
    <BLANKLINE>
    """
    if language not in LANGUAGES:
        raise BadSpec(f"language={language!r}", cure=f"one of {', '.join(LANGUAGES)}")
    writer = _Writer(LANGUAGES[language], language)
    functions = []
    for name, formula in formulas.items():
        if isinstance(formula, sympy.Piecewise):
            needs, write = sorted(map(str, formula.free_symbols)), partial(writer.cases, formula)
        else:
            expr = from_sympy(formula)
            needs, write = sorted(symbols_of(expr)), partial(writer.size, shifted(expr))
        takes = needs if arguments is None else list(arguments)
        for word in (name, *takes):
            if not word.isidentifier() or iskeyword(word) or word in writer.language.reserved:
                raise BadSpec(f"{word!r} is not a name in {language}")
        missing = sorted(set(needs) - set(takes))
        if missing:
            raise BadSpec(f"{name} needs {', '.join(missing)}, which are not among its arguments")
        body = write()
        functions += writer.helpers
        writer.helpers.clear()
        functions.append(writer.language.function(name, takes, body))
    prelude = [writer.language.prelude] if writer.language.prelude else []
    return "\n".join([*prelude, *functions])


def expression(expr: Int, language: str, names: Mapping[str, str]) -> str:
    """One closed form as an expression of a language, its symbols by other names.

    Args:
        expr: a kernel expression, or a number.
        language: ``"python"``, ``"numpy"`` or ``"javascript"``.
        names: what a symbol is called there.

    >>> print(expression((Size.symbol("H") + 31) // 32, "javascript", {"H": "h"}))
    symcnnFloordiv((h + 31n), 32n)
    """
    return _Writer(LANGUAGES[language], language, names).size(expr)


@dataclass
class _Writer:
    language: Language
    name: str
    names: Mapping[str, str] = field(default_factory=dict)  # of symbols, where not their own
    helpers: list[str] = field(default_factory=list)
    count: int = 0

    def called(self, symbol: str) -> str:
        return self.names.get(symbol, symbol)

    def size(self, expr: Int) -> str:
        """An expression; fractions and negative powers as one exact division."""
        if isinstance(expr, int):
            return self.literal(expr)
        scale = denominator(expr)
        below: dict[Atom, int] = {}
        for mono in expr.terms:
            for atom, power in mono:
                below[atom] = max(below.get(atom, 0), -power)
        below = {atom: power for atom, power in below.items() if power > 0}
        if scale == 1 and not below:
            return self.polynomial(expr)
        powers = tuple(sorted(below.items(), key=lambda ap: ap[0].key))
        den: Int = Size({powers: scale}) if powers else scale
        num = expr * den
        return self.language.floor.format(self.bracketed(num), self.bracketed(den))

    def cases(self, choice: sympy.Piecewise) -> str:
        """The first piece whose condition holds."""
        case, end = self.language.choice
        bodies = [f"({self.size(from_sympy(e))})" for e, _ in choice.args]
        wheres = [self.condition(c) for _, c in choice.args]
        pairs = zip(bodies, wheres, strict=True)
        cases = "".join(case.format(body=body, where=where) for body, where in pairs)
        return cases + end.format(bodies=", ".join(bodies), wheres=", ".join(wheres))

    def condition(self, holds: sympy.Basic) -> str:
        """A condition on sizes, in brackets."""
        if isinstance(holds, (sympy.And, sympy.Or)):
            word = self.language.joined[isinstance(holds, sympy.Or)]
            return f"({word.join(map(self.condition, holds.args))})"
        if holds in (sympy.true, sympy.false):
            holds = sympy.Eq(0, int(bool(holds)) - 1, evaluate=False)
        left, right = (self.size(from_sympy(side)) for side in holds.args)
        return f"({left} {holds.rel_op} {right})"

    def polynomial(self, expr: Size) -> str:
        pieces: list[str] = []
        for mono, coeff in expr.ordered():
            factors = [self.power(atom, power) for atom, power in mono]
            if abs(coeff) != 1 or not factors:
                factors.insert(0, self.literal(max(coeff, -coeff)))
            sign = ("-" if coeff < 0 else "+") if pieces else ("-" if coeff < 0 else "")
            body = "*".join(factors)
            pieces.append(f"{sign} {body}" if pieces else f"{sign}{body}")
        return " ".join(pieces)

    def bracketed(self, expr: Int) -> str:
        text = self.size(expr)
        return text if text.isidentifier() or isinstance(expr, int) else f"({text})"

    def literal(self, value: Coeff) -> str:
        text: str = self.language.literal.format(abs(value))
        return f"(-{text})" if value < 0 else text

    def power(self, atom: Atom, power: int) -> str:
        text = self.atom(atom)
        return "*".join([text] * power)

    def atom(self, atom: Atom) -> str:
        language = self.language
        match atom:
            case Symbol():
                return self.called(atom.name)
            case Part():
                return self.part(atom)
            case Floor():
                num, den = self.bracketed(gathered(atom.num)), self.bracketed(atom.den)
                return language.floor.format(num, den)
            case Max():
                text, *others = (self.size(arg) for arg in atom.args)
                for other in others:
                    text = language.maximum.format(text, other)
                return text
            case Power():
                base, exponent = self.bracketed(atom.base), self.bracketed(atom.exponent)
                text = language.power.format(base, exponent)
                return f"({text})" if "**" in text else text
            case Scaled():
                return language.scaled.format(self.bracketed(atom.arg), atom.scale)
            case Sum():
                return self.total(atom)
        raise TypeError(type(atom))  # pragma: no cover

    def part(self, atom: Part) -> str:
        if atom.of.denominator != 1:
            raise BadSpec(
                f"{atom.name} is a fraction, which no integer function takes",
                cure="substitute a value first",
            )
        name = self.called(atom.name)
        num = f"({name} - {self.literal(atom.rest)})" if atom.rest else name
        return self.language.floor.format(num, self.literal(atom.of))

    def total(self, atom: Sum) -> str:
        term, count = self.size(atom.term), self.size(atom.count)
        if self.name != "c":
            index = self.called(atom.index)
            return self.language.total.format(term=term, index=index, count=count)
        self.count += 1  # C has no sum in an expression: a function of its own
        name = f"symcnn_sum{self.count}"
        names = sorted(symbols_of(atom.size()))
        typed = ", ".join(f"int64_t {a}" for a in names)
        self.helpers.append(
            f"static int64_t {name}({typed}) {{\n"
            f"    int64_t total = 0;\n"
            f"    for (int64_t {atom.index} = 0; {atom.index} < {count}; {atom.index}++)\n"
            f"        total += {term};\n    return total;\n}}\n"
        )
        return f"{name}({', '.join(names)})"
