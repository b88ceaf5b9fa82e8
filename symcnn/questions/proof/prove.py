"""Proofs: that the closed forms are what the layers, one after the other, make of a size.

The law is induction over the nodes. Let F(H, W) be the closed form of a size. For every node: if
its input sizes are x = F(H, W), then by the layer's definition its output sizes are the closed
forms that the network carries, for all integers in the domain. The definition is torch's
documentation where it has a formula (`_DOCUMENTED`: written as inequalities, so that no floor of
ours is in it), else the operation's rule, applied to sizes that are fresh symbols x, so that
nothing was simplified across layers. isl decides each step. That no size on the way is empty, and
that the domain is what the layers require one by one, is decided too.

What is outside linear integer arithmetic (symbolic kernels, products) is evaluated at many sizes,
and said to be tested. Nothing is left out: what could be neither is listed as open.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

from symcnn.algebra.factor import factors, text
from symcnn.algebra.size import Int, Scaled, Size, evaluate, lower, prod, symbols_of
from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.lazy import cached_property
from symcnn.ops.shape import on_coarsest_floors, reshaped
from symcnn.questions.cost.cost import total_macs
from symcnn.questions.inputs.domain import first_failure
from symcnn.questions.proof.documented import stated_in_documentation
from symcnn.questions.proof.layer import WAYS, Fresh, is_symbol, seen
from symcnn.questions.proof.smt import STEPS, Statement, ask
from symcnn.sets.condition import Condition, Requirement, decide_syntactically, substituted
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.isl import steps as steps_of_isl
from symcnn.sets.member import by_name
from symcnn.shown import Shown, assignment
from symcnn.trace.assume import Assumptions
from symcnn.trace.graph import Node, Result
from symcnn.trace.tape import Tape
from symcnn.trace.trace import Trace

_SAMPLES = 24  # sizes at which a claim is tested that cannot be proved
_NEAR = 300_000  # steps in which a valid size near to others is found
_MOST = (4, 12, 96, 1000)  # the largest size drawn, in turn


@dataclass(frozen=True, slots=True)
class Claim(Shown):
    """One statement about all sizes in the domain, and how it is known."""

    what: str  # of _WHAT
    where: str  # the node, "" for the network
    says: str
    verdict: str  # proved, tested, wrong or open
    how: str  # isl, z3, identity, normal form; at how many sizes; or why not
    statement: Statement | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, str]:
        """The words, as plain values."""
        return {name: getattr(self, name) for name in ("what", "where", "says", "verdict", "how")}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.says}  ({self.verdict}: {self.how})"


#: What is claimed, in the order of the report.
_WHAT = {
    "size": "sizes are what each layer makes of the sizes before it",
    "not empty": "no size on the way is below 1, or 0 where a map may be empty",
    "domain": "the domain is what the layers require, one by one",
    "macs": "MACs are those of each layer at the sizes it meets, and their sum",
    "branches": "every branch on sizes is followed",
}


@dataclass(frozen=True)
class Proof(Shown):
    """All claims about a network; true if none is wrong. `complete`: all are proved."""

    domain: str
    claims: tuple[Claim, ...]

    def __bool__(self) -> bool:
        return not self.wrong

    def _of(self, verdict: str) -> tuple[Claim, ...]:
        return tuple(c for c in self.claims if c.verdict == verdict)

    @cached_property
    def proved(self) -> tuple[Claim, ...]:
        """What holds for all integers in the domain."""
        return self._of("proved")

    @cached_property
    def tested(self) -> tuple[Claim, ...]:
        """What was only evaluated at many sizes."""
        return self._of("tested")

    @cached_property
    def wrong(self) -> tuple[Claim, ...]:
        """What does not hold, with a size at which it fails."""
        return self._of("wrong")

    @cached_property
    def open(self) -> tuple[Claim, ...]:
        """What could be neither proved nor tested, and why."""
        return self._of("open")

    @property
    def complete(self) -> bool:
        """Whether every claim is proved."""
        return len(self.proved) == len(self.claims)

    def __str__(self) -> str:
        lines = [f"for all integers in the domain, {self.domain}:"]
        for what, meaning in _WHAT.items():
            mine = [c for c in self.claims if c.what == what]
            counts = Counter(c.verdict for c in mine)
            if mine:
                told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
                lines.append(f"  {what}: {told}  ({meaning})")
        ways = Counter(c.how for c in self.proved)
        if ways:
            lines.append("proved by " + ", ".join(f"{way} {n}" for way, n in ways.most_common()))
        listed_ones = {"WRONG": self.wrong, "only tested": self.tested, "open": self.open}
        for title, claims in listed_ones.items():
            lines += [title] * bool(claims) + [f"  {claim}" for claim in claims]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain values, for JSON."""
        return {
            "holds": bool(self),
            "complete": self.complete,
            "domain": self.domain,
            "proved": len(self.proved),
            "tested": [c.to_dict() for c in self.tested],
            "wrong": [c.to_dict() for c in self.wrong],
            "open": [c.to_dict() for c in self.open],
            "claims": [c.to_dict() for c in self.claims],
        }

    def to_smtlib(self, folder: str | Path) -> tuple[Path, ...]:
        """Write each claim as an SMT-LIB 2 file, for any solver: ``unsat`` means that it holds.

        Args:
            folder: where the files go; it is made if it is not there.

        Returns the files, one per claim. A claim that SMT-LIB has no words for (a float scale, a
        layer whose rule takes no symbols) has none: `unstated` lists these.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        written = []
        for number, claim in enumerate(self.claims):
            text = _smtlib(claim)
            if text is not None:
                name = re.sub(r"[^A-Za-z0-9]+", "-", f"{claim.what} {claim.where}").strip("-")
                written.append(place / f"{number:04d}-{name}.smt2")
                written[-1].write_text(text, encoding="utf-8")
        return tuple(written)

    @cached_property
    def unstated(self) -> tuple[Claim, ...]:
        """The claims that `to_smtlib` has no words for."""
        return tuple(c for c in self.claims if _smtlib(c) is None)

    def summary(self) -> str:
        """What the proof rests on, in words; the page "Why to trust it" says more."""
        ways = Counter(c.how for c in self.proved)
        by = ", ".join(f"{n} by {way}" for way, n in ways.most_common())
        return "\n".join(
            [
                f"{len(self.claims)} claims for all integers with {self.domain}",
                f"  proved: {len(self.proved)}" + (f" ({by})" if by else ""),
                f"  tested at sizes only: {len(self.tested)}",
                f"  wrong: {len(self.wrong)}",
                f"  open: {len(self.open)}",
                "laws of windows, scatters, floors and repeats: for all integers, checked by Coq",
                "that torch follows the law that a rule names: tested against torch, not proved",
                "receptive fields, memory and places: tested against torch, not among the claims",
            ]
        )


def _smtlib(claim: Claim) -> str | None:
    if claim.statement is None:
        return None
    try:
        return claim.statement.smtlib(f"{claim.what}: {claim.where}", claim.says)
    except Undecidable:
        return None


def prove(net: Trace, by: str = "isl", steps: int = STEPS) -> Proof:
    """See `symcnn.Network.prove`."""
    if by not in ("isl", "z3", "both"):
        raise BadSpec(f"by={by!r} is no prover", cure="give isl, z3 or both")
    proving = _Proving(net)
    claims = [c for node in net.nodes for c in proving.node(node)]
    claims += [proving.not_empty(), proving.domain_claim(), proving.total()]
    if by != "isl":
        asked: dict[Statement, tuple[str, Any]] = {}
        claims = [_by_z3(claim, by == "z3", asked, steps) for claim in claims]
    return Proof(proving.told, (*claims, *not_followed(net)))


def not_followed(net: Trace) -> list[Claim]:
    """What is open of a network that does not describe all sizes: a claim per place in its code."""
    return list(
        dict.fromkeys(
            Claim("branches", str(u.where_in_code), f"{u.condition} is followed", "open", u.reason)
            for u in net.unfollowed
        )
    )


def _by_z3(claim: Claim, alone: bool, asked: dict[Statement, tuple[str, Any]], steps: int) -> Claim:
    """The claim with z3's verdict: in place of the other, or beside it."""
    statement = claim.statement
    found: Any
    if statement is None:
        verdict, found = "open", f"no statement for z3 ({claim.how})" if alone else "not stated"
    else:
        if statement not in asked:
            asked[statement] = ask(statement, steps)
        verdict, found = asked[statement]
    if verdict == "wrong":
        how = f"z3: not at {assignment(found)}"
        if not alone and claim.verdict == "proved":
            how = f"{claim.how} and z3 disagree; {how}"
        return replace(claim, verdict="wrong", how=how)
    if verdict == "open":
        if alone:
            return replace(claim, verdict="open", how=f"z3: {found}")
        return replace(claim, how=f"{claim.how}; z3: {found}")
    if alone or claim.verdict in ("tested", "open"):
        return replace(claim, verdict="proved", how="z3")
    return claim if claim.verdict == "wrong" else replace(claim, how=f"{claim.how} and z3")


class _Proving:
    """A network, its domain, and what has been decided already: equal layers are decided once."""

    def __init__(self, net: Trace) -> None:
        self.net = net
        names = net.symbols
        self.decidable = True
        try:
            self.domain = net.valid_inputs()
            self.told = self.domain.describe()
        except Undecidable as error:
            self.decidable = False
            self.domain = input_set(names, ())  # holds on more than the domain: holds on it
            self.told = f"no exact set ({error.cause})"
        self.domains: dict[tuple[str, ...], InputSet] = {}
        self.verdicts: dict[Any, tuple[str, str]] = {}
        #: What each layer requires by itself, over the network's sizes; None: not decidable.
        self.required: dict[Any, InputSet | None] = {}
        self.unknown: list[str] = []
        self.layers: dict[tuple[Requirement, tuple[tuple[str, Size], ...]], None] = {}

    # one node

    def node(self, node: Node) -> Iterator[Claim]:
        """The induction step of one node: with as little seen of its sizes as will do."""
        found: tuple[int, Fresh, Result, list[Claim]] | None = None
        reason = ""
        for parts, known in WAYS:
            if parts is seen and (node.call is None or node.call.rule is not reshaped):
                break
            fresh = Fresh(node, frozenset(self.net.symbols), parts)
            try:
                result = fresh.run(self._known_before(node, fresh) if known else None)
            except Exception as error:
                reason = _words(error)
                continue
            claims = [*self._sizes(node, fresh, result)]
            doubt = max((_DOUBT.index(claim.verdict) for claim in claims), default=0)
            if found is None or doubt < found[0]:
                found = doubt, fresh, result, claims
            if doubt == 0:
                break
        if found is None:
            self.unknown.append(f"{node.name}: {reason}")
            for number, axis, dim, says in _said(node):
                yield self._by_numbers(node, says, number, axis, dim, reason)
            return
        _, fresh, result, claims = found
        yield from claims
        for requirement in result.requires:
            self._require(requirement, fresh)
        if node.result.work != 0 or result.work != 0:
            yield self._macs(node, result, fresh)

    def _sizes(self, node: Node, fresh: Fresh, result: Result) -> Iterator[Claim]:
        """What the rule answers on fresh sizes against the closed forms."""
        documented = stated_in_documentation(node)
        for number, axis, dim, says in _said(node):
            meant = result.shapes[number][axis]
            same = fresh.back(meant) == dim
            where = documented.get(axis - node.outputs[0].ndim) if number == 0 else None
            named, asked = ({}, where) if where else fresh.in_factors(meant, dim)
            statement = self.stated(asked, named if where else fresh.means | named)
            if where is not None:
                verdict = self.decide(where, {})
                says = f"{says}, as torch's documentation says"
            elif same and fresh.seen:  # no more than the trace knew: the law of a view decides
                verdict = self._keeps_elements(node)
                says = f"{says}: as many elements as before"
            elif same and (isinstance(meant, int) or is_symbol(meant)):
                verdict = "proved", "identity"
            else:
                if same and _has_scale(meant):  # nothing is simplified through a float scale
                    verdict = "proved", "normal form"
                else:
                    verdict = self.decide([Condition(meant, "==", dim)], fresh.means)
                if same and verdict[0] == "tested":  # a product of sizes that are proved
                    verdict = "proved", "normal form"
                says = f"{says} = {text(meant)}{fresh.meanings(meant)}"
            yield Claim("size", node.name, says, *verdict, statement)

    def stated(self, wanted: Sequence[Requirement], means: Mapping[str, Size]) -> Statement:
        """A claim for another prover, on the domain as the layers require it."""
        used = frozenset[str]().union(*(w.symbols for w in wanted))
        kept = tuple((name, value) for name, value in means.items() if name in used)
        return Statement(self.net.requirements, kept, tuple(wanted))

    def _keeps_elements(self, node: Node) -> tuple[str, str]:
        """Whether a node makes as many elements as it takes, given what is required before it."""
        have, want = (prod(t.dims) for t in (node.inputs[0], node.outputs[0]))
        with Tape(assumptions=Assumptions(self.domain)).running():
            have, want = on_coarsest_floors(have, want)
        if have == want:
            return "proved", "isl"
        return self.decide([Condition(have, "==", want)], {})

    def _known_before(self, node: Node, fresh: Fresh) -> Tape:
        """What the layers before require: a rule may rest on it, as it did in the trace."""
        guards = [g for g in self.net.guards if g.after < self.net.position(node)]
        equal = [Condition(Size.symbol(n), "==", value) for n, value in fresh.means.items()]
        names = [*self.domain.names, *fresh.means]
        domain = input_set(names, [*(g.requirement for g in guards), *equal])
        for met in self.required.values():
            domain = domain if met is None else domain & met
        return Tape(assumptions=Assumptions(domain))

    def _macs(self, node: Node, result: Result, fresh: Fresh) -> Claim:
        says = f"MACs are {text(result.work)}{fresh.meanings(result.work)}"
        named, asked = fresh.in_factors(result.work, node.result.work)
        statement = self.stated(asked, fresh.means | named)
        if fresh.back(result.work) == node.result.work:
            return Claim("macs", node.name, says, "proved", "normal form", statement)
        return Claim("macs", node.name, says, *self.test(asked, fresh.means), statement)

    def _by_numbers(
        self, node: Node, says: str, number: int, axis: int, dim: Int, reason: str
    ) -> Claim:
        """A rule that takes no fresh symbols is asked at numbers."""
        for count, sizes in enumerate(self.samples):
            try:
                made = Fresh(node, frozenset(), seen, sizes).run().shapes[number][axis]
            except Exception as error:
                why = f"its rule takes neither symbols ({reason}) nor numbers ({_words(error)})"
                return Claim("size", node.name, says, "open", why)
            if made != evaluate(dim, sizes):
                told = f"at {assignment(sizes)} it is {made}"
                return Claim("size", node.name, says, "wrong", told)
            if count + 1 == _SAMPLES:
                break
        if not self.samples:
            return Claim("size", node.name, says, "open", "no valid size was found to try")
        return Claim("size", node.name, says, "tested", f"at {len(self.samples)} sizes; {reason}")

    # deciding

    def decide(self, wanted: Sequence[Requirement], means: Mapping[str, Size]) -> tuple[str, str]:
        """Whether all of `wanted` hold on the domain where the fresh sizes are what they mean."""
        used = frozenset[str]().union(*(w.symbols for w in wanted))
        means = {name: value for name, value in means.items() if name in used}
        key = tuple(wanted), tuple(means.items())
        if key not in self.verdicts:
            self.verdicts[key] = self._decided(wanted, means)
        return self.verdicts[key]

    def _decided(self, wanted: Sequence[Requirement], means: Mapping[str, Size]) -> tuple[str, str]:
        if all(map(_is_plain, wanted)):
            return "proved", "normal form"
        try:
            taken, names = self._taken(wanted, means)
            holds = input_set(names, wanted)
            if taken <= holds:
                return "proved", "isl"
            wrong = taken - holds
        except Undecidable:
            return self.test(wanted, means)
        if not self.decidable:  # beyond the domain it may fail
            return self.test(wanted, means)
        sizes = by_name(wrong.shown, wrong.smallest())
        return "wrong", f"not at {assignment({n: s for n, s in sizes.items() if n not in means})}"

    def _taken(
        self, wanted: Iterable[Requirement], means: Mapping[str, Size]
    ) -> tuple[InputSet, list[str]]:
        """The domain with the fresh sizes beside it, and the names that matter."""
        used = frozenset[str]().union(*(w.symbols for w in wanted), symbols_of(*means.values()))
        names = [n for n in self.domain.names if n in used]
        rest = sorted(used - set(names) - set(means))
        taken = self._domain_of(tuple(names))
        everything = [*names, *rest, *means]
        equal = [Condition(Size.symbol(n), "==", value) for n, value in means.items()]
        return taken & input_set(everything, equal), everything

    def _domain_of(self, names: tuple[str, ...]) -> InputSet:
        """The domain's projection on these sizes: on them it decides as the whole does."""
        if names not in self.domains:
            kept = self.domain.axis(*names) if names else input_set((), ())
            self.domains[names] = InputSet(kept.names, kept._sides)
        return self.domains[names]

    def test(self, wanted: Sequence[Requirement], means: Mapping[str, Size]) -> tuple[str, str]:
        """The same at many sizes."""
        for sizes in self.samples:
            values = sizes | {name: evaluate(value, sizes) for name, value in means.items()}
            if not all(w.holds(values) for w in wanted):
                return "wrong", f"not at {assignment(sizes)}"
        if not self.samples and self.decidable and not self.domain:
            return "proved", "isl"  # of no size, everything holds
        if not self.samples:
            return "open", "not linear in the sizes, and no valid size was found to try"
        return "tested", f"at {len(self.samples)} sizes; not linear in the sizes"

    @cached_property
    def samples(self) -> list[dict[str, int]]:
        """Valid sizes, small and large; for symbols that are declared odd or so, such numbers.

        Half of them are members near to sizes counted from the least: where that is far from 1,
        the nearest of small sizes would be one and the same.
        """
        draw, found = random.Random(0), dict[tuple[int, ...], dict[str, int]]()
        names = [*self.net.symbols, *sorted(self.net.free_symbols - set(self.net.symbols))]
        shown = self.domain.shown if self.decidable and self.domain else ()
        least: dict[str, int] = {}
        for number in range(60 * _SAMPLES):
            most = _MOST[number % len(_MOST)]
            sizes = {name: draw.randint(1, most) for name in names}
            if shown and number // 4 % 2:
                try:
                    with steps_of_isl(_NEAR):
                        least = least or by_name(shown, self.domain.smallest())
                        far = (sizes[n] + least[n] - 1 for n in shown)
                        sizes |= by_name(shown, self.domain.nearest(*far))
                except Undecidable:
                    shown = ()
            with suppress(SymcnnError, ValueError, ZeroDivisionError):
                if first_failure(self.net, sizes) is None:
                    found.setdefault(tuple(sizes.values()), sizes)
            if len(found) == _SAMPLES:
                break
        return [*found.values()]

    # the whole

    def _require(self, requirement: Requirement, fresh: Fresh) -> None:
        """Note where a layer's own requirement holds, as a set of the network's sizes."""
        if decide_syntactically(requirement):
            return
        used = {n: v for n, v in fresh.means.items() if n in requirement.symbols}
        key = requirement, tuple(used.items())
        self.layers.setdefault(key)
        if key in self.required:
            return
        names = sorted((requirement.symbols - set(used)) | symbols_of(*used.values()))
        equal = [Condition(Size.symbol(n), "==", value) for n, value in used.items()]
        try:
            met = input_set([*names, *used], [*equal, requirement])
            self.required[key] = met.axis(*names) if names else met
        except Undecidable:  # a product of sizes is no size that isl knows; of formulas it may be
            try:
                self.required[key] = input_set(names, [substituted(requirement, fresh.means)])
            except Undecidable:
                self.required[key] = None

    def domain_claim(self) -> Claim:
        """The domain against what the layers require by themselves."""
        says = f"the domain is {self.told}"
        guards = [g.requirement for g in self.net.guards]
        layers = (*((g, ()) for g in guards), *self.layers)
        statement = None
        if not self.unknown:
            statement = Statement(self.net.requirements, layers=layers)
        undecided = not self.decidable or None in self.required.values()
        if undecided or self.unknown:
            why = self.unknown[0] if self.unknown else "not linear in the sizes"
            return Claim("domain", "", says, "open", why, statement)
        parts = [input_set(sorted(g.symbols), [g]) for g in guards]
        parts += [one for one in self.required.values() if one is not None]
        have = self.domain
        try:
            met = reduce(and_, parts, input_set(have.names, ()))
            if met <= have and have <= met:
                return Claim("domain", "", says, "proved", "isl", statement)
        except Undecidable as error:
            return Claim("domain", "", says, "open", error.cause, statement)
        differ = (met - have) | (have - met)
        return Claim("domain", "", says, "wrong", f"not at {differ.smallest()}", statement)

    def not_empty(self) -> Claim:
        """Every size of every tensor is at least 1; at least 0 where a map may be empty."""
        dims: dict[Size, bool] = {}  # whether what makes tensors of it says that it may be 0
        for node in self.net.nodes:
            empties = node.result.empties
            for d in (d for t in node.outputs for d in t.dims if isinstance(d, Size)):
                dims[d] = dims.get(d, False) or d in empties
        least, verdicts = dict.fromkeys(dims, 1), {d: self._positive(d) for d in dims}
        for d in (d for d in dims if dims[d] and verdicts[d][0] != "proved"):
            if (found := self.decide([Condition(d, ">=", 0)], {}))[0] == "proved":
                least[d], verdicts[d] = 0, found
        says = f"each of {len(dims)} different sizes is at least 1"
        if none := [text(d) for d in dims if not least[d]]:
            says += f", or 0 as {', '.join(none)} may be"
        statement = self.stated([Condition(d, ">=", n) for d, n in least.items()], {})
        for verdict in ("wrong", "open", "tested"):
            for dim, (judged, how) in verdicts.items():
                if judged == verdict:
                    told = f"{text(dim)}: {how}"
                    return Claim("not empty", "", says, verdict, told, statement)
        return Claim("not empty", "", says, "proved", "isl", statement)

    def _positive(self, dim: Size) -> tuple[str, str]:
        """Whether a size is at least 1: by itself, or as a product of such sizes."""
        verdict = self.decide([Condition(dim, ">=", 1)], {})
        if verdict[0] == "tested":
            with suppress(ValueError):
                parts, content = factors(dim)
                one_each = [self.decide([Condition(f, ">=", 1)], {})[0] for f in parts]
                if content >= 1 and len(parts) > 1 and {*one_each} == {"proved"}:
                    return "proved", "isl"
        return verdict

    def total(self) -> Claim:
        """The network's MACs are the sum over its nodes."""
        from symcnn.algebra.expr import from_sympy

        try:
            total = from_sympy(total_macs(self.net))
        except SymcnnError as error:
            return Claim("macs", "", "the sum over all nodes", "open", error.cause)
        added: Int = sum((n.result.work for n in self.net.nodes), 0)
        says = f"MACs are {text(total)}, the sum over all nodes"
        same = Condition(added, "==", total)
        statement = self.stated([same], {})
        if added == total:
            return Claim("macs", "", says, "proved", "normal form", statement)
        if self.net.simplest(added) == total:  # isl decides the floors of both alike
            return Claim("macs", "", says, "proved", "isl", statement)
        return Claim("macs", "", says, *self.test([same], {}), statement)


def _is_plain(wanted: Requirement) -> bool:
    """Whether both sides are one formula, or no term of what is at least 0 is below 0."""
    if not isinstance(wanted, Condition):
        return False
    low = lower(wanted.lhs - wanted.rhs)
    return wanted.lhs == wanted.rhs or (wanted.relation == ">=" and low is not None and low >= 0)


def _said(node: Node) -> Iterator[tuple[int, int, Int, str]]:
    """Output, axis, closed form, and the statement of it, for every size that a node makes."""
    for number, output in enumerate(node.outputs):
        for axis, dim in enumerate(output.dims):
            which = f"[{axis}]" if len(node.outputs) == 1 else f"[{number}][{axis}]"
            yield number, axis, dim, f"size{which} is {text(dim)}"


_DOUBT = ("proved", "tested", "open", "wrong")


def _has_scale(dim: Int) -> bool:
    stack: list[Any] = [dim]
    while stack:
        expr = stack.pop()
        if isinstance(expr, Size):
            for atom in expr.atoms():
                if isinstance(atom, Scaled):
                    return True
                stack += atom.args
    return False


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
