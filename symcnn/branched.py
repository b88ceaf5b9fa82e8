"""`Branched`: a network with branches on sizes, the disjoint union of networks without any.

The law: *every question distributes over the union.* The domain is the union of the domains, a
solution the union of the solutions; a figure at a size is that of the branch that the size takes. A
formula is one where one closed form holds on all branches, which isl decides, and else a case for
each: `Cases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from operator import attrgetter, methodcaller, or_
from typing import Any

from symcnn.algebra.expr import Expr, Number, from_sympy
from symcnn.algebra.mathml import math
from symcnn.algebra.size import Floor, Int, every_atom, whole_numbers
from symcnn.errors import BadSpec, InvalidInput, NoSolution, ShapeMismatch, SymcnnError, Undecidable
from symcnn.lazy import cached_property, sympy
from symcnn.network import Network
from symcnn.questions.cases import Cases, as_expr, merged, plain
from symcnn.questions.cost.cost import measure, total_flops, total_macs
from symcnn.questions.cost.laid import LaidFormula, laid
from symcnn.questions.explain import explain
from symcnn.questions.explain.derivation import Derivation
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.diagnose import Diagnosis, at_branch, refused
from symcnn.questions.inputs.domain import Reason, nearest_in, reasons, taken_at
from symcnn.questions.inputs.refit import joined, refits
from symcnn.questions.inputs.solve import in_range, solve
from symcnn.questions.place.pools import PlainPool
from symcnn.questions.place.shards import Shards
from symcnn.questions.place.stream import Stream, runs_on
from symcnn.questions.place.tiles import Tiling, filled
from symcnn.questions.proof.prove import Claim, Proof, not_followed
from symcnn.questions.summary import summary
from symcnn.sets.condition import Requirement, subexpressions
from symcnn.sets.grammar import Target
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.pieces import either, in_fewer_parts
from symcnn.sets.relation import Relation
from symcnn.sets.simplest import Simplest
from symcnn.shown import Rows, Several, Text, assignment, by_x
from symcnn.trace.branches import At, Branch, Part, Refusal, Then, Unfollowed, negation
from symcnn.trace.coverage import elsewhere, further, leave
from symcnn.trace.graph import Shape, leaves, tree_map
from symcnn.trace.rerun import AnotherBranch, Replay, check_values
from symcnn.trace.trace import Trace, of_one_image
from symcnn.words.paper import to_latex


def union(
    nets: Sequence[Network],
    names: Sequence[str],
    refusals: Sequence[Refusal],
    unfollowed: tuple[Unfollowed, ...],
    at: Callable[[Mapping[str, int]], Network],
) -> Network:
    """The network of all branches: the only one, or a `Branched`.

    Args:
        nets: a network for each branch; their guards say which sizes take it.
        names: the sizes of the inputs.
        refusals: the paths on which the model raises.
        unfollowed: what no branch describes.
        at: the network for numbers, for sizes that no branch describes.
    """
    net = nets[0] if len(nets) == 1 else Branched(nets, names, refusals)
    leave(net, unfollowed, [*(net.guards for net in nets), *(r.path for r in refusals)], at)
    return net


class Branched(Network):
    """A network whose python branches on sizes: `branches` lists the paths.

    Records (`nodes`, `calls`, `guards`) are those of the first branch, the one that the example
    size takes; every question is answered over all branches.

    >>> import symcnn, torch
    >>> class Padded(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.nn.functional.pad(x, (0, 1)) if x.shape[-1] % 2 else x * 2
    >>> net = symcnn.from_torch(Padded(), "N 3 L")
    >>> len(net.branches), net.complete, net.output_shape
    (2, True, (N, 3, 2*((L + 1)//2)))
    """

    def __init__(
        self, nets: Sequence[Network], names: Sequence[str], refusals: Sequence[Refusal] = ()
    ) -> None:
        first = nets[0]
        self.__dict__.update({k: v for k, v in vars(first).items() if k not in _COMPUTED})
        self.memory = {}
        self.checks = tuple(dict.fromkeys(line for net in nets for line in net.checks))
        self.nets = tuple(nets)
        self.sizes = tuple(names)
        self.refusals = tuple(refusals)

    # branches

    @cached_property
    def branches(self) -> tuple[Branch[Network], ...]:  # type: ignore[override]
        """The paths through the forward: disjoint sets of sizes, and a network for each."""
        return Several(branch for net in self.nets for branch in net.branches)

    def branch_at(self, **sizes: int) -> Network:  # type: ignore[override]
        """The network of the branch that these sizes take.

        Raises InvalidInput where the model raises, or no branch was followed; BadSpec where a
        branch hangs on a size that is not given.
        """
        values = whole_numbers(sizes)
        try:
            for net in self.nets:
                if all(g.requirement.holds(values) for g in net.guards):
                    return net
        except KeyError as error:
            raise BadSpec(f"no value for {error.args[0]}", cure="give every size") from None
        refusal = next((r for r in self.refusals if r.takes(values)), None)
        if refusal is None and self._at is not None:
            branch: Network = self._at(values)
            return branch
        raise self._refused(values, refusal)

    def _refused(self, values: Mapping[str, Any], refusal: Refusal | None) -> InvalidInput:
        where = f" at {refusal.path[-1].where}: {refusal.said}" if refusal and refusal.said else ""
        return InvalidInput(
            f"the model refuses {assignment(values)}{where}",
            cure=lambda: nearest_in(self.valid_inputs, values),
        )

    def _each(self, ask: Callable[[Network], Any]) -> Any:
        """The answer of each branch, as one where one is right on all branches."""
        pieces = [(self._part(b), ask(b.network.general)) for b in self.branches]
        return merged(pieces, self.simplest)

    def _figure(self, ask: Callable[[Network], Expr]) -> Expr:
        """The same as one expression."""
        whole = self._each(ask)
        found: Expr = whole.expr if isinstance(whole, Cases) else whole
        return found

    @cached_property
    def _parts(self) -> dict[int, InputSet]:
        return {}

    def _part(self, branch: Branch[Network]) -> InputSet:
        """The valid sizes of a branch, as far as there is an exact set of them."""
        key = id(branch.network)
        if key not in self._parts:
            try:
                self._parts[key] = branch.network.valid_inputs()
            except Undecidable:
                self._parts[key] = branch.where
        return self._parts[key]

    # shapes

    @cached_property
    def outputs(self) -> Any:
        """Output shapes, nested as the module returns them; a Piecewise where branches differ."""
        found = [net.general.outputs for net in self.nets]
        kinds = {str(tree_map(lambda s: len(s) if isinstance(s, Shape) else s, o)) for o in found}
        if len(kinds) > 1:
            whole = self._each(lambda net: net.outputs)
            return whole.expr if isinstance(whole, Cases) else whole
        flat = [leaves(o) for o in found]
        joined = iter([self._joined(shapes) for shapes in zip(*flat, strict=True)])
        return tree_map(lambda _: next(joined), found[0])

    def _joined(self, shapes: Sequence[Any]) -> Any:
        if not isinstance(shapes[0], Shape):
            return shapes[0]
        parts = [self._part(b) for b in self.branches]
        sizes = (
            merged([*zip(parts, each, strict=True)], self.simplest)
            for each in zip(*shapes, strict=True)
        )
        return Shape(map(plain, sizes))

    @cached_property
    def simplest(self) -> Simplest:
        """See `Network.simplest`: on the union of the domains."""
        return Simplest(lambda: _or_none(lambda: self._valid))

    @property
    def output_dims(self) -> tuple[Int, ...]:
        """The sizes of the (first) output, where one closed form holds on all branches."""
        shape = self._first_shape()
        if shape is None or any(isinstance(d, sympy.Piecewise) for d in shape):
            raise BadSpec(
                "the branches of the network have outputs of different forms",
                cure="ask a branch: net.branches[0].network",
            )
        return tuple(from_sympy(d) for d in shape)

    def describe_output(self) -> str:
        """The first output shape as text."""
        shape = self._first_shape()
        return str(self.outputs if shape is None else shape)

    def _first_shape(self) -> Shape | None:
        return next((s for s in leaves(self.outputs) if isinstance(s, Shape)), None)

    @cached_property
    def free_symbols(self) -> frozenset[str]:
        """The symbols of inputs, outputs and requirements."""
        return frozenset[str]().union(*(net.free_symbols for net in self.nets))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The names of the sizes, in the order in which the inputs list them."""
        return self.nets[0].symbols

    # parts

    def _again(self, nets: Iterable[Network], ask: Callable[[Any], Any]) -> Network:
        """What is asked of all branches, and, where none was followed, of the trace at numbers."""
        found = [*nets]
        at = _nowhere if self._at is None else Part(self._at, ask)
        net = union(found, self.sizes, self.refusals, self.unfollowed, at)
        net.name = found[0].name
        return net

    def at(self, name: str) -> Network:  # type: ignore[override]
        """See `Network.at`: the branches in which there is such a node."""
        ask = methodcaller("at", name)
        return self._again(self._those(ask, BadSpec), ask)

    def given(self, **values: Number) -> Network:  # type: ignore[override]
        """See `Network.given`: the branches that the values leave."""
        found, refusals = check_values(self.symbol_atoms, values), []
        first: Refusal | None = None  # that the values leave
        for refusal in self.refusals:
            with suppress(AnotherBranch):
                refusals.append(Refusal(Replay((), found, refusal.path).guards, refusal.said))
                first = first or refusal
        try:
            nets = self._those(lambda net: net.given(**values), InvalidInput, ShapeMismatch)
        except (InvalidInput, ShapeMismatch) as error:
            if self._at is not None:
                return elsewhere(self, values)
            if isinstance(error, AnotherBranch):  # of them all
                raise self._refused(values, first) from None
            raise
        at = _nowhere if self._at is None else At(self._at, found)
        names = [n for n in self.sizes if n not in values]
        return further(self, union(nets, names, refusals, self.unfollowed, at), values)

    def last_map(self, n: int) -> Network:  # type: ignore[override]
        """See `Network.last_map`."""
        ask = methodcaller("last_map", n)
        return self._again(map(ask, self.nets), ask)

    def before_flatten(self) -> Network:  # type: ignore[override]
        """See `Network.before_flatten`."""
        ask = methodcaller("before_flatten")
        return self._again(map(ask, self.nets), ask)

    def _those(self, ask: Callable[[Any], Any], *refused: type[SymcnnError]) -> list[Any]:
        """The answers of the branches that have one. Raises if none has: the refusal of a branch
        that is taken, if there is such, else the first.
        """
        found: list[Any] = []
        errors: list[SymcnnError] = []
        for net in self.nets:
            try:
                found.append(ask(net))
            except refused as error:
                errors.append(error)
        if not found:
            raise next((e for e in errors if not isinstance(e, AnotherBranch)), errors[0])
        return found

    # cost

    @cached_property
    def params(self) -> Expr:
        """The number of parameters; lazy ones may depend on the branch."""
        return self._figure(lambda net: net.params)

    @cached_property
    def macs(self) -> Expr:
        """Multiply-accumulates; a Piecewise where branches differ."""
        return self._figure(lambda net: net.macs)

    @cached_property
    def flops(self) -> Expr:
        """Two per MAC; a Piecewise where branches differ."""
        return self._figure(lambda net: net.flops)

    def cost(self, convention: str = "macs", **options: Any) -> Any:
        """See `Network.cost`: an answer of the same names, with `Cases` where branches differ."""
        return Distributed(self, methodcaller("cost", convention, **options))

    # sets

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """What every branch requires."""
        first, *others = (net.requirements for net in self.nets)
        return tuple(r for r in first if all(r in other for other in others))

    @cached_property
    def _valid(self) -> InputSet:
        """The union of the branches' domains: by what no branch takes, which mostly is little.

        A condition that divides by a size asks for sizes at which that is not 0: the branches
        after it do not share out all sizes.
        """
        sides = [
            side for net in self.nets for g in net.guards for side in subexpressions(g.requirement)
        ]
        divides = any(
            isinstance(a, Floor) and not isinstance(a.den, int) for a in every_atom(*sides)
        )
        if divides or not self.complete or self.name:
            return in_fewer_parts(reduce(or_, (net.valid_inputs() for net in self.nets)))
        found = self.sizes_that_meet([])
        for branch in self.branches:
            valid = branch.network.valid_inputs()
            if not branch.where <= valid:
                found -= branch.where - valid
        for refusal in self.refusals:
            found -= self.sizes_that_meet([g.requirement for g in refusal.path])
        return found

    def reasons(self) -> list[Reason]:
        """See `Network.reasons`: those of each branch, and where the model raises."""
        valid = self.valid_inputs()
        found: dict[str, Reason] = {}
        for net in self.nets:
            for reason in net.reasons():
                branch = any(g.where == reason.node for g in net.guards)
                others = input_set(valid.names, [reason.requirement])
                if not branch or valid <= others:
                    found.setdefault(str(reason), reason)
        return Rows(found.values())

    def solve(self, output: Any = None, **wishes: Any) -> Any:
        """See `Network.solve`: the solutions of all branches."""
        try:
            found = self._those(lambda net: net.solve(output, **wishes), NoSolution)
        except NoSolution as error:
            raise self._no_solution(error, output, wishes) from None
        if len(found) == 1:
            return found[0]
        if isinstance(found[0], Relation):
            members = reduce(or_, (InputSet(f.names, f._sides, batch=f.optional) for f in found))
            return Relation(found[0].parameters, members)
        if not isinstance(found[0], InputSet):  # choices of hyperparameters, each with its inputs
            return type(found[0])([s for f in found for s in f])
        return either(found)

    def _no_solution(self, first: NoSolution, output: Any, wishes: dict[str, Any]) -> NoSolution:
        """What there is to say where no branch has a solution: of those that the sizes meet."""
        sizes = {n: v for n, v in wishes.items() if n in self.symbols and v is not None}
        meant = self.sizes_that_meet([r for n, v in sizes.items() for r in in_range(n, v)])
        valid = _or_none(self.valid_inputs)
        if valid is None:
            return first
        if not valid & meant:
            return NoSolution(
                f"no valid input has {assignment(sizes)}",
                cure=f"valid inputs are {valid.words()}; the smallest is {by_x(valid.smallest())}",
            )
        said: dict[tuple[str, str], list[InputSet]] = {}
        for branch in self.branches:
            if branch.where & meant:
                try:
                    branch.network.solve(output, **wishes)
                except NoSolution as error:
                    said.setdefault((error.cause, error.cure), []).append(branch.where)
        if len(said) == 1:
            ((cause, cure),) = said
            return NoSolution(cause, cure=cure)
        where = [reduce(or_, parts).describe() for parts in said.values()]
        causes, cures = (
            "; ".join(f"for {w}: {text}" for w, text in zip(where, texts, strict=True) if text)
            for texts in zip(*said, strict=True)
        )
        return NoSolution(causes if len({c for c, _ in said}) > 1 else first.cause, cure=cures)

    def diagnose(self, **sizes: int) -> Diagnosis:
        """See `Network.diagnose`: in the branch that the sizes take."""
        values = self.complete_sizes(of_one_image(self, sizes))
        try:
            net = self.branch_at(**values)
        except InvalidInput as error:
            refusal = next((r for r in self.refusals if r.takes(values)), None)
            if refusal is not None:
                *_, last = refusal.path
                needs = [r for r in negation(last.requirement) if not r.holds(values)]
                why = refusal.said or error.cause
                return at_branch(self, replace(last, requirement=needs[0], otherwise=why), values)
            return refused(self, values, error)
        return net.diagnose(**values)

    def fix(self, output: Target = None, **sizes: int) -> list[Any]:
        """See `Network.fix`: in all branches, or in the one that the sizes take."""
        if output is not None:
            return Rows(joined(self._those(lambda net: refits(net, output), NoSolution)))
        if sizes:
            whole = self.complete_sizes(of_one_image(self, sizes))
            return self.branch_at(**whole).fix(**sizes)
        found = {str(fix): fix for net in self.nets for fix in net.fix()}
        return Rows(found.values())

    # places

    def tiles(self, *args: object, **options: object) -> Tiling:
        """See `Network.tiles`: in the branch that the whole takes, and so do all tiles."""
        net = self._taken(options)
        try:
            found: Tiling = net.tiles(*args, **options)
        except InvalidInput as error:
            if not self.complete:
                raise
            sizes = net.branches[0].where.describe()
            raise InvalidInput(error.cause, cure=f"tiles, as the whole, need {sizes}") from None
        return found

    def shards(self, *args: object, **options: object) -> Shards:
        """See `Network.shards`: in the branch that the whole takes."""
        found: Shards = self._taken(options).shards(*args, **options)
        return found

    def _taken(self, options: Mapping[str, object]) -> Any:
        known: dict[str, Any] = {n: v for n, v in options.items() if n in self.symbols}
        net = self.branch_at(**(values := filled(self, known)))
        if net in self.nets:
            return net
        raise InvalidInput(
            f"no branch that was followed takes {assignment(values)}: answers hold {self.scope}",
            cure=f"trace again with example={values}",
        )

    def stream(self, axis: str | None = None, *, at: str | None = None, **options: bool) -> Stream:
        """See `Network.stream`: of the branches that run on. Raises Undecidable where these run
        otherwise.
        """
        on = self._those(lambda net: (net, runs_on(net, axis, at)), BadSpec)
        nets = [net for net, runs in on if runs]
        found: list[Stream] = []
        for net in nets or [net for net, _ in on]:
            try:
                found.append(net.stream(axis, at=at, **options))
            except NoSolution:
                if len(nets) < 2:
                    raise
        if any(stream != found[0] for stream in found) or len(found) < len(nets):
            raise Undecidable(
                "the branches of the network run otherwise along the axis",
                cure="ask a branch: net.branches[0].network.stream()",
            )
        if len(found) == len(self.nets):
            return found[0]
        where = reduce(or_, (branch.where for net in nets for branch in net.branches))
        note = f"at {where.describe()}; shorter inputs run otherwise"
        return replace(found[0], note="; ".join(filter(None, (found[0].note, note))))

    def plain_pools(self) -> tuple[PlainPool, ...]:
        """See `Network.plain_pools`: those of every branch."""
        return Several(pool for net in self.nets for pool in net.plain_pools())

    # fields, proofs, words

    def receptive_field(self, *args: Any, **options: Any) -> Any:
        """See `Network.receptive_field`: one answer with `Cases` where branches differ."""
        self._those(lambda net: net.receptive_field(*args, **options), BadSpec)
        return Distributed(self, methodcaller("receptive_field", *args, **options))

    def prove(self, by: str = "isl", steps: int = 2_000_000) -> Proof:
        """See `Network.prove`: the claims of every branch, each on the sizes of the branch; open is
        what was not followed.
        """
        claims: list[Claim] = []
        for branch in self.branches:
            where = f"where {branch.where.describe()}"
            found = branch.network.prove(by, steps).claims
            claims += [replace(claim, says=f"{claim.says}, {where}") for claim in found]
        claims += not_followed(self)
        return Proof(self.valid_inputs().words(), tuple(claims))

    def explain(self, what: str | None = None, **options: Any) -> Derivation:
        """See `Network.explain`: a derivation per branch, or that of the branch at sizes."""
        if any(name in self.symbols for name in options):
            at: Derivation = self._taken(options).explain(what, **options)
            return at
        found = self._those(lambda net: (net, net.explain(what, **options)), NoSolution)
        if len(found) == len(self.nets) and len({str(answer) for _, answer in found}) == 1:
            one: Derivation = found[0][1]
            return one
        sizes = {id(b.network): b.where.describe() for b in self.branches}
        parts = [
            replace(part, where=sizes[id(net)])
            for net, answer in found
            for part in answer.parts or (answer,)
        ]
        said = "; ".join(f"{part.answer} for {part.where}" for part in parts)
        return Derivation("", (), said, tuple(parts))

    def summary(self, at: Mapping[str, int] | None = None, **options: Any) -> Any:
        """See `Network.summary`: one table for each branch, or that of the branch at sizes."""
        if at is not None:
            taken, left = taken_at(self, self.complete_sizes(of_one_image(self, at)))
            return summary(taken, at=left, **options)
        parts = tuple((b.where, b.network.summary(**options)) for b in self.branches)
        tables = _Tables(self.within_scope(_said([(where, str(one)) for where, one in parts])))
        tables.parts = parts
        return tables

    def to_code(self, language: str = "python") -> str:
        """See `Network.to_code`: where the forms of branches differ, that of the sizes."""
        from symcnn.words.code import to_code

        shape = self._first_shape()
        if shape is None:
            return super().to_code(language)
        formulas = {f"size{axis}": dim for axis, dim in enumerate(shape)}
        names = [*self.symbols, *sorted(self.free_symbols - {*self.symbols})]
        formulas |= {"params": self.params, "macs": self.macs}
        return to_code(self._where_they_hold(formulas), language, names)

    def to_latex(self, what: str = "table", **options: object) -> str:
        """See `Network.to_latex`: for each branch, under a comment with its sizes."""
        texts = [(b.where, b.network.to_latex(what, **options)) for b in self.branches]
        return _said(texts, "% for ")

    def _repr_html_(self) -> str:
        return "".join(
            f"<div>for {math(b.where)}:</div>{b.network._repr_html_()}" for b in self.branches
        )

    def _repr_latex_(self) -> str:
        return f"${sympy.latex(as_expr(self.outputs))}$"

    def __repr__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        scope = f", {self.scope}" if self.scope else ""
        return f"Network({inputs} -> {self.describe_output()}, {len(self.nets)} branches{scope})"


#: What a network computes for itself from what it is made of.
_COMPUTED = frozenset(k for k in dir(Network) if isinstance(getattr(Network, k), cached_property))

#: The questions, as other questions ask them.
measure.register(Branched, Branched.cost)
reasons.register(Branched, Branched.reasons)
solve.register(Branched, Branched.solve)
receptive_field.register(Branched, Branched.receptive_field)
explain.register(Branched, Branched.explain)
summary.register(Branched, Branched.summary)
to_latex.register(Branched, Branched.to_latex)
total_macs.register(Branched, lambda net: net.macs)
total_flops.register(Branched, lambda net: net.flops)


class _Tables(Text):
    """The tables of all branches as text, with the table of each."""

    parts: tuple[tuple[InputSet, Any], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For JSON: the table of each branch, with the sizes that take it."""
        return _by_branch(self.parts)


def _said(found: Sequence[tuple[InputSet, str]], title: str = "for ") -> Text:
    """The texts of the branches under their sizes; one where all say the same."""
    if len({text for _, text in found}) == 1:
        return Text(found[0][1])
    return Text("\n\n".join(f"{title}{where.describe()}:\n{text}" for where, text in found))


def _by_branch(
    parts: Iterable[tuple[InputSet, Any]], *args: object, **options: object
) -> dict[str, object]:
    """The answers of the branches for JSON, as the command line writes them."""
    told = ({"where": str(where), **answer.to_dict(*args, **options)} for where, answer in parts)
    return {"branches": [*told]}


class Distributed:
    """An answer of a network with branches: each figure one value, or `Cases`.

    Attributes are those of the answer of one branch. `at` gives the answer of the branch that sizes
    take, and `parts` that of each.
    """

    def __init__(self, net: Branched, ask: Callable[[Network], Any]) -> None:
        self._net, self._ask = net, ask

    @cached_property
    def parts(self) -> tuple[tuple[InputSet, object], ...]:
        """The answer of each branch, with the sizes that take it."""
        return tuple((self._net._part(b), self._ask(b.network)) for b in self._net.branches)

    def at(self, **sizes: int) -> object:
        """The answer at sizes: that of the branch that they take."""
        values = self._net.complete_sizes(of_one_image(self._net, sizes))
        taken = self._net.branch_at(**values)
        known = taken.accepted_symbols(sizes)  # none, where the forward ran at these sizes alone
        return self._ask(taken).at(**{name: v for name, v in sizes.items() if name in known})

    @property
    def net(self) -> Branched:
        """The network that was asked."""
        return self._net

    def of(self, net: Trace) -> object:
        """The same of another network."""
        ask: Callable[[Any], object] = self._ask
        return ask(net)

    def plot(self, *args: object, **options: object) -> object:
        """The figure in the branch that takes its sizes; without sizes, in the first."""
        refused: list[InvalidInput] = []
        for branch in self._net.branches:
            try:
                return self._ask(branch.network).plot(*args, **options)
            except InvalidInput as error:
                refused.append(error)
        raise refused[0]

    def to_dict(self, *args: object, **options: object) -> dict[str, object]:
        """For JSON: the answer of each branch, with the sizes that take it."""
        return _by_branch(self.parts, *args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        values = [getattr(answer, name) for _, answer in self._general]
        if all(map(callable, values)):
            return lambda *args, **options: self._of(
                methodcaller(name, *args, **options),
                [value(*args, **options) for value in values],
            )
        figure = self._of(attrgetter(name), values)
        return laid(figure, self, name) if isinstance(values[0], LaidFormula) else figure

    def _of(self, ask: Callable[[Any], Any], values: Sequence[Any]) -> Any:
        """What each answer says, in one: a value, cases, or an answer with figures again."""
        found = [(where, value) for (where, _), value in zip(self._general, values, strict=True)]
        if all(type(v).__module__.startswith("symcnn.questions.field") for _, v in found):
            return Distributed(self._net, Then(self._ask, ask))
        return merged(found, self._net.simplest)

    @cached_property
    def _general(self) -> tuple[tuple[InputSet, Any], ...]:
        return tuple((self._net._part(b), self._ask(b.network.general)) for b in self._net.branches)

    def __str__(self) -> str:
        return self._net.within_scope(_said([(where, str(one)) for where, one in self.parts]))

    def __repr__(self) -> str:
        first, *others = self._net.branches
        where, one = self._net._part(first), self._ask(first.network)
        return self._net.within_scope(
            f"<for {where.describe()}: {one!r} (+{len(others)} more branches)>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distributed):
            return NotImplemented
        return self is other or self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def _repr_html_(self) -> str:
        parts: Sequence[tuple[InputSet, Any]] = self.parts
        pages = [(where, answer._repr_html_()) for where, answer in parts]
        if len({page for _, page in pages}) == 1:
            return str(pages[0][1])
        return "".join(f"<div>for {math(where)}:</div>{page}" for where, page in pages)


def _or_none(ask: Callable[[], InputSet]) -> InputSet | None:
    try:
        return ask()
    except Undecidable:
        return None


def _nowhere(_: Mapping[str, int]) -> Network:
    raise BadSpec("a part of a network with branches cannot be traced again")
