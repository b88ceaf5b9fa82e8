"""The torch front end: a forward with branches on sizes is a union of forwards without any.

The module's own forward runs on tensors that have a shape and no values. One run takes one side of
each comparison that the sizes leave open, the side of a point, and records a guard: so it describes
every size that meets its guards. The law (see `symcnn.trace.branches`): *the sizes that a run does
not describe are, for each of its guards, those that meet all before and not this one.* These sets
are disjoint; a point of each is where the forward runs next, until none is left. An exception of
the model is a run too: its sizes are refused, and its message is the reason.

There is no graph capture, and nothing of torch is changed: a copy of the module runs, and tells
what it calls.
"""

from __future__ import annotations

import linecache
from collections import deque
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import suppress
from copy import copy as copied
from dataclasses import dataclass, replace
from functools import reduce
from os.path import dirname
from pickle import dumps
from typing import Any

import torch

from symcnn.algebra.size import Size, symbols_of, with_values
from symcnn.errors import (
    BadSpec,
    DataDependent,
    InvalidInput,
    SymcnnError,
    Undecidable,
    UnsupportedOperation,
    without_frames,
)
from symcnn.frontends.torch.arguments import NAMES
from symcnn.frontends.torch.branches import (
    Choice,
    Comparison,
    Decisions,
    Diverged,
    Nowhere,
    Refused,
    without_idle_guards,
)
from symcnn.frontends.torch.failed import forward_failed, line_of, no_result, too_long
from symcnn.frontends.torch.forms import require_keywords
from symcnn.frontends.torch.observe import Stage, modes, observed, set_stage
from symcnn.frontends.torch.orders import in_any_order
from symcnn.frontends.torch.reached import Ran
from symcnn.frontends.torch.tensors import Masked
from symcnn.frontends.torch.tracer import Tracer
from symcnn.frontends.torch.where import frames
from symcnn.interrupts import Held
from symcnn.lazy import uncollected
from symcnn.network import Network
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.fewer import strictest_of
from symcnn.sets.grammar import check_sizes
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.isl import Purse, allowed_nodes, shared
from symcnn.shown import assignment
from symcnn.trace.assume import sizes_of, where_met
from symcnn.trace.branches import Refusal, Unfollowed, negation, said, with_rest
from symcnn.trace.graph import SymbolicTensor, tensor, tensors_in, tree_map
from symcnn.trace.tape import Endless, Guard, Tape, of_no_size

#: A size that python needs as a number is followed through as many values.
_VALUES = 8

#: So many branches are followed, unless they have more than so many nodes together.
_BRANCHES, _NODES = 64, 50_000

#: So many runs per branch may end in a refusal.
_REFUSALS = 4

#: Beyond a run at a larger size than this none is looked for: a loop halves a size without end.
_FAR = 1 << 28

_OURS = dirname(dirname(dirname(__file__)))


@dataclass
class _Region:
    """Sizes that no run describes yet: they meet `guards`, up to a guard of another run."""

    guards: tuple[Guard, ...] = ()
    sizes: InputSet | None = None  # None: all
    before: tuple[_Run, int] | None = None  # the run, and which of its guards they do not meet


@dataclass
class _Run:
    """One run of the forward: a network, or a refusal."""

    tracer: Tracer
    region: _Region
    outputs: Any = None
    refusal: SymcnnError | None = None
    all_guards: Sequence[Guard] = ()  # its guards, those that make no difference among them

    @property
    def tape(self) -> Tape:
        """What happened."""
        return self.tracer.tape

    @property
    def guards(self) -> list[Guard]:
        return self.tape.guards

    @property
    def path(self) -> tuple[Guard, ...]:
        """Of which sizes it is."""
        return *self.region.guards, *self.guards

    @property
    def network(self) -> bool:
        """Whether it is one, and no refusal."""
        return self.refusal is None and self.outputs is not None

    def close(self) -> None:
        """Nobody runs after it, or raises its refusal."""
        self.tracer.close()
        if self.refusal is not None:
            self.refusal = without_frames(self.refusal)
            for scope in self.tape.calls:
                scope.output = None  # with sizes of the run


def trace(
    module: object,
    specs: Sequence[str | SymbolicTensor],
    named: Mapping[str, str | SymbolicTensor],
    example: Mapping[str, int] | None = None,
    branches: int | None = None,
) -> Network:
    """See `symcnn.from_torch`."""
    if not isinstance(module, torch.nn.Module):
        raise BadSpec(f"{module!r} is not a torch.nn.Module", cure="give an instance of one")
    if not specs and not named:
        raise BadSpec("no shape spec", cure='give one per input, for example "N 3 H W"')
    require_keywords(module, named)
    if not (branches is None or (isinstance(branches, int) and branches >= 1)):
        raise BadSpec(f"branches={branches!r}: at least one branch is followed")
    inputs = [tensor(s) for s in specs]
    keywords = {n: tensor(s, n) for n, s in named.items()}
    if not isinstance(example, Mapping | None):
        raise BadSpec(f"example={example!r} has no names", cure='for example example={"H": 224}')
    names = frozenset(map(str, example or ()))
    wanted = check_sizes(example or {}, names, from_zero=names)
    for attempt in range(_ATTEMPTS):
        front = _Front(module, inputs, keywords, wanted, branches)
        with uncollected(), shared(f"the branches of {type(module).__name__}") as front.purse:
            try:
                net = front.network()
            except SymcnnError as error:
                if front.ran.something_new() and attempt + 1 < _ATTEMPTS:
                    continue
                if error.tracer is not None:
                    from symcnn.questions.blame import blamed

                    partial = front.until(error.tracer, error.position)
                    blamed(error, partial, module, front.again)
                raise
        if not front.ran.something_new():
            break
    return net


_ATTEMPTS = 4  # a forward that runs what it does not name is traced again, by what it ran


class _Front:
    """A module and its symbolic inputs: what all runs of its forward share."""

    purse: Purse  # of steps
    lost = ""  # why a copy has no module
    stage: Stage  # while they run

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Sequence[SymbolicTensor],
        keywords: Mapping[str, SymbolicTensor],
        example: Mapping[str, int],
        limit: int | None,
    ) -> None:
        self.module, self.example, self.limit = module, example, limit
        self.asked = frozenset(example)
        self.given = inputs, keywords
        self.inputs = *inputs, *keywords.values()
        dims = [d for t in self.inputs for d in t.dims]
        self.names = tuple(dict.fromkeys(n for d in dims for n in sorted(symbols_of(d))))
        self.all = input_set(self.names, ())
        self.ran = Ran(type(module))

    def __getstate__(self) -> object:
        """What runs the module at numbers; not the module where that does not pickle."""
        kept = ("module", "example", "limit", "given", "names", "lost")
        state = {name: getattr(self, name) for name in kept}
        try:
            dumps(self.module)
        except Exception as error:  # it is pickle's, or of the code of an attribute
            state |= {"module": None, "lost": str(error)}
        return state

    def __deepcopy__(self, memo: object) -> _Front:
        return self  # what runs is a copy

    def network(self) -> Network:
        """The union of the networks of all runs. Raises the first refusal if there is none."""
        with Held() as held, set_stage(self.module) as self.stage, held.work():
            for x in self.inputs:
                x.dtype = x.dtype or NAMES[self.stage.parts.dtype]
            with self.ran.among(found.places for found in self.stage.reached):
                runs = in_any_order(self._runs, self._left, self.inputs)
        del self.stage
        for run in runs:
            _tell_refusal(run)
        followed = [run for run in runs if run.network]
        if not followed:
            refusals = (run.refusal for run in runs if run.refusal is not None)
            raise self.given_up or with_rest(next(refusals), self.unfollowed)  # ours first
        nets = [self._network(run) for run in followed]
        for run in runs:
            run.close()
            if not run.network:
                said = "" if run.refusal is None else run.refusal.cause
                self.refusals.append(Refusal(run.path, said))
        if len(nets) == 1 and not self.unfollowed:
            return nets[0]
        from symcnn.branched import union

        return union(nets, self.names, self.refusals, tuple(self.unfollowed), self._there)

    def _runs(self) -> list[_Run]:
        """A run for each region, as far as they may be many."""
        self.unfollowed: list[Unfollowed] = []
        self.refusals: list[Refusal] = []
        self.given_up: SymcnnError | None = None  # the first of ours
        self.matters: set[Requirement] = set()
        self.refusing: set[str] = set()  # lines of which a run that took the other side was refused
        self.work, self.later = deque([_Region()]), deque[_Region]()
        runs: list[_Run] = []
        branches, nodes, limit = 0, 0, self.limit or _BRANCHES
        while self.work or self.later:
            region = (self.work or self.later).popleft()
            if region.before and self.purse.left <= 0:
                self._leave(region, "no steps are left: allow more with symcnn.steps(...)")
                continue
            if branches >= limit or len(runs) >= _REFUSALS * limit:
                self._leave(region, f"more than {limit} branches: raise `branches=`")
                continue
            if self.limit is None and nodes > _NODES:
                self._leave(region, f"branches of more than {_NODES:,} nodes: give `branches=`")
                continue
            run = self._refused(region) or self._run(region)
            if run is not None and run.refusal is not None and region.before is not None:
                before, i = region.before
                self.refusing.add(before.guards[i].where)
            if run is not None and self._is_told(run):
                if run.network:
                    branches += 1
                    nodes += len(run.tracer.tape.nodes)
                runs.append(run)
                self._open(run)
        return runs

    def _left(self) -> list[str]:
        return [left.condition for left in self.unfollowed]

    def until(self, tracer: Tracer, most: int | None = None) -> Network:
        """The network up to where a run failed, after so many nodes."""
        nodes = tracer.tape.nodes[:most]
        outputs = nodes[-1].made if nodes else self.inputs
        (tape := copied(tracer.tape)).nodes = nodes
        return Network(self.inputs, outputs, tape=tape, parameters=tracer.parameters)

    def again(self, module: torch.nn.Module) -> tuple[SymcnnError | None, int]:
        """How far a run of another module comes, and why no further."""
        try:
            with Held() as held, set_stage(module) as stage, held.work():
                tracer = Tracer(stage.parts, Tape(), self.example)
                _call(module, *self.given, tracer, stage)
        except SymcnnError as error:
            return error, len(tracer.tape.nodes)
        with suppress(Undecidable):
            if tracer.tape.guards and (failed := of_no_size(tracer.tape)):
                return failed, failed.position
        return None, len(tracer.tape.nodes)

    def _network(self, run: _Run) -> Network:
        tracer = run.tracer
        return Network(
            self.inputs,
            run.outputs,
            tape=tracer.tape,
            parameters=tracer.parameters,
            buffers=tracer.buffer_leaves,
        )

    # runs

    def _run(self, region: _Region, fixed: Mapping[str, str] | None = None) -> _Run | None:
        """The forward at a point of the region; None if it cannot be followed there.

        fixed: names of sizes that are numbers from the start, and the lines that need them.
        """
        tracer = Tracer(self.stage.parts, Tape(), self.example, region.sizes, fixed)
        run = _Run(tracer, region)
        before = [x.dtype for x in self.inputs]
        try:
            run.outputs = _call(self.module, *self.given, tracer, self.stage)
            if run.outputs is None or isinstance(run.outputs, (Generator, Coroutine)):
                run.refusal = no_result(self.module, run.outputs)
                return run
            if all(before) and before != [x.dtype for x in self.inputs]:
                return self._run(region, fixed)  # an input turned out to be an index
        except Nowhere:
            return run  # a requirement refuses every size that is left
        except (UnsupportedOperation, DataDependent, Undecidable) as error:
            if len(tracer.tape.nodes) >= tracer.tape.most and self._shortens(tracer):
                return self._run(region, fixed)
            error.tracer = tracer
            return self._with_numbers(run, error, line_of(error))
        except SymcnnError as error:
            error.tracer = tracer
            ours = self._ours(error, tracer)
            if ours is not None:
                if not isinstance(ours, SymcnnError):
                    raise ours from None
                ours.tracer = tracer
                return self._with_numbers(run, ours, line_of(error))
            run.refusal, run.all_guards = error, run.guards
            return run
        finally:
            self.ran.note(tracer.askers, tracer.tape.nodes)
        tape, run.all_guards = tracer.tape, tracer.tape.guards
        tape.guards = without_idle_guards(
            tape.guards, tracer.choices, lambda choices: self._rerun(run, choices), self.matters
        )
        tape.guards += self._beyond(run)
        try:
            run.refusal = of_no_size(tape) if tape.guards else run.refusal
        except Undecidable as error:  # no steps are left
            self._give_up(region, error)
            return None
        if run.refusal is not None:
            run.refusal.tracer = tracer
        return run

    def _refused(self, region: _Region) -> _Run | None:
        """The run at a point of the region where it ends in a refusal, as runs nearby did. It is
        told what the run before was told; nodes of a network are its own, so a network is none.
        """
        if region.before is None or region.sizes is None:
            return None
        before, i = region.before
        if before.refusal is None and before.guards[i].where not in self.refusing:
            return None
        tracer = before.tracer.elsewhere(region.sizes, self.example, before.all_guards)
        if tracer is None:
            return None
        run = _Run(tracer, region)
        try:
            _call(self.module, *self.given, tracer, self.stage)
        except Nowhere:
            return run
        except (Diverged, UnsupportedOperation, DataDependent, Undecidable):
            tracer.close()
            return None
        except SymcnnError as error:
            error.tracer = tracer
            run.refusal, run.all_guards = error, run.guards
            return run if self._ours(error, tracer) is None else None
        return None

    def _with_numbers(self, run: _Run, error: SymcnnError, line: str) -> _Run | None:
        """The run again, with numbers for as few sizes as let it go on; it is given up if none do.

        Only of the sizes that were asked for: what others meet there is said.
        """
        tracer, region = run.tracer, run.region
        first = region.before is None and not tracer.fixed
        if first and self.names and not isinstance(error, Undecidable):
            fixed = dict.fromkeys(self.names, line)
            found = self._goes_on(region, fixed)
            for name in self.names if found else ():
                fewer = {n: line for n, line in fixed.items() if n != name}
                if fewer and (other := self._goes_on(region, fewer)):
                    found, fixed = other, fewer
            if found:
                return found
        self._give_up(region, error)
        return None

    def _shortens(self, tracer: Tracer) -> bool:
        """Whether a loop as long as an example can be shorter: then the example is from now on."""
        point = tracer.point(self.names)
        guards = [g for g in tracer.tape.guards if g.fixes]
        loops = set[str]().union(*(g.requirement.symbols for g in guards)) - self.asked
        shorter = {n: max(1, point[n] // 16) for n in loops if n in point}
        changes = any(point[n] != size for n, size in shorter.items())
        self.example = {**self.example, **shorter}
        return changes

    def _goes_on(self, region: _Region, fixed: Mapping[str, str]) -> _Run | None:
        with suppress(SymcnnError):
            run = self._run(region, fixed)
            return run if run and run.network else None
        return None

    def _beyond(self, run: _Run) -> list[Guard]:
        """The guards of the region, where those of the run leave it: branches are disjoint."""
        own = [g.requirement for g in run.guards]
        region = [g for g in run.region.guards if g.requirement not in own]
        if not region:
            return []
        with suppress(Undecidable):
            wanted = input_set(self.names, [g.requirement for g in region])
            if input_set(self.names, own) <= wanted:
                return []
        return region

    def _rerun(self, run: _Run, choices: Sequence[Choice]) -> Decisions | None:
        """What a run with other choices asks, if it makes the same network."""
        same = Comparison(run.tracer.tape, Tape(), self.inputs)
        again = run.tracer.again(choices, same)
        try:
            same.whole(run.outputs, _call(self.module, *self.given, again, self.stage))
        except (Diverged, Nowhere, SymcnnError):
            return None
        finally:
            again.close()
        return None if _is_far(again) else (same.now.guards, again.choices)

    def _ours(self, error: SymcnnError, tracer: Tracer) -> Exception | None:
        """What to raise for an error that the forward does not raise at numbers: it is ours.

        What a layer requires is of the numbers what it is of the sizes; python is asked by a run.
        """
        try:
            point, required = tracer.point(self.names), error.requirement
            told = required is not None and required.symbols <= {*point}
            if told and not required.holds(point):
                return None
            self._at(point, self.stage)
        except (UnsupportedOperation, DataDependent) as numeric:
            return numeric
        except (SymcnnError, Nowhere):
            return None
        cause = error.__cause__
        if not isinstance(cause, Exception):
            return error
        *_, frame = frames(cause)
        if frame.f_code.co_filename.startswith(_OURS):
            return cause
        return UnsupportedOperation(
            f"python asks of a size what only a number can answer: {error.cause}",
            cure="give numbers for the sizes, or change the line",
        )

    def _at(self, sizes: Mapping[str, int], stage: Stage) -> Network:
        """The network for these numbers: the forward runs once more, and leaves nothing open."""
        inputs, keywords = self.given
        numbers = [_at_numbers(t, sizes) for t in inputs]
        named = {name: _at_numbers(t, sizes) for name, t in keywords.items()}
        tracer = Tracer(stage.parts, Tape(), {})
        outputs = _call(self.module, numbers, named, tracer, stage)
        return Network(
            (*numbers, *named.values()),
            outputs,
            tape=tracer.tape,
            parameters=tracer.parameters,
            buffers=tracer.buffer_leaves,
        )

    def _there(self, sizes: Mapping[str, int]) -> Network:
        """The same, of all branches where sizes are left open; what the forward refuses at these
        numbers are sizes that it does not take.
        """
        inputs, keywords = self.given
        if self.lost:
            raise Undecidable(
                f"no branch that was followed takes these sizes, and the module that would say it "
                f"is not in the pickle: {self.lost}",
                cure="ask the network that was traced, or trace again",
            )
        try:
            if {*self.names} <= {*sizes}:
                with Held() as held, set_stage(self.module) as stage, held.work():
                    return self._at(sizes, stage)
            numbers = [_at_numbers(t, sizes) for t in inputs]
            named = {name: _at_numbers(t, sizes) for name, t in keywords.items()}
            front = _Front(self.module, numbers, named, self.example, self.limit)
            with uncollected(), shared(f"the branches of {type(self.module).__name__}") as purse:
                front.purse = purse
                return front.network()
        except (UnsupportedOperation, DataDependent):
            raise
        except SymcnnError as error:
            refused = f"the model refuses {assignment(sizes)}: {error.cause}"
            raise InvalidInput(refused, cure=error.cure) from error

    # regions

    def _is_told(self, run: _Run) -> bool:
        """Whether there is an exact set of the run's sizes; else nothing is known of its region.

        The first run is that of the sizes that were asked for.
        """
        own = [g.requirement for g in run.guards]
        try:
            for requirement in own if run.network and run.region.before else ():
                sizes_of(requirement)
        except Undecidable:
            region = [g.requirement for g in run.region.guards]
            try:
                input_set(self.names, [*region, *own])
            except Undecidable as error:
                self._leave(run.region, f"no exact set: {error.cause}")
                return False
        return True

    def _open(self, run: _Run) -> None:
        """The sizes that `run` does not describe, as regions to run the forward in.

        Behind a run at larger sizes than the example they are followed last: they may have no end.
        """
        guards, nodes = run.guards, run.tracer.tape.nodes
        if not guards:
            return
        alive = self.all if run.region.sizes is None else run.region.sizes
        passed = 0
        for i, guard in enumerate(guards):
            required = (r for n in nodes[passed : guard.after + 1] for r in n.result.requires)
            alive = reduce(_narrowed, (r for r, _ in strictest_of(required)), alive)
            passed = max(passed, guard.after + 1)
            others = negation(guard.requirement)
            path = *run.region.guards, *guards[:i]
            beyond = tuple(replace(guard, requirement=r, fixes="") for r in others)
            region = _Region((*path, *beyond), None, (run, i))
            try:
                region.sizes = reduce(_met, others, alive)
                nowhere = not region.sizes
            except Undecidable as error:
                self._leave(region, guard.fixes or f"no exact set: {error.cause}")
            else:
                if nowhere:  # a layer refuses them before the branch
                    self.refusals.append(Refusal(region.guards, ""))
                elif _is_far(run.tracer):
                    self._leave(region, f"sizes above {_FAR:,}")
                elif guard.fixes and not self._few(region.sizes, guard):
                    self._leave(region, guard.fixes)
                else:
                    (self.later if run.tracer.is_beyond else self.work).append(region)
            alive = _narrowed(alive, guard.requirement)

    def _few(self, sizes: InputSet, guard: Guard) -> bool:
        """Whether the size that the guard fixes takes few values among `sizes`."""
        requirement = guard.requirement
        if not isinstance(requirement, Condition) or requirement.relation != "==":
            return False
        value = Condition(requirement.lhs + 1, "==", Size.symbol("value"))
        try:
            values = (sizes & input_set((*self.names, "value"), [value])).axis("value")
        except Undecidable:
            return False
        return values.bounded and (values.count() or 0) <= _VALUES

    def _leave(self, region: _Region, reason: str) -> None:
        """Say that nothing is known of a region."""
        run, i = region.before or (None, 0)
        if run is None:
            return
        guard = run.guards[i]
        turned = " and ".join(map(said, negation(guard.requirement)))
        file, _, line = guard.where.rpartition(":")
        code = linecache.getline(file, int(line)).strip() if guard.fixes else ""
        reason = f"{reason}: {code}" if code else reason
        self.unfollowed.append(Unfollowed(guard.where, turned, reason, said(guard.requirement)))

    def _give_up(self, region: _Region, error: SymcnnError) -> None:
        if region.before is None:  # the sizes that were asked for
            raise error
        self.given_up = self.given_up or error
        self._leave(region, error.cause)


def _is_far(tracer: Tracer) -> bool:
    """Whether a run is at sizes so large that no loop over sizes is followed beyond."""
    return max(tracer.last.values(), default=0) > _FAR


def _tell_refusal(run: _Run) -> None:
    """The guard between a network and a refusal says what the model raises on its other side."""
    if run.refusal is not None and run.region.before is not None:
        other, i = run.region.before
        other.guards[i] = replace(other.guards[i], otherwise=run.refusal.cause)
    region = run.region
    while region.before is not None:
        other, i = region.before
        if other.refusal is not None:
            turned = negation(other.guards[i].requirement)
            for j, guard in enumerate(run.guards):
                if guard.requirement in turned and not guard.otherwise:
                    run.guards[j] = replace(guard, otherwise=other.refusal.cause)
        region = other.region


def _at_numbers(t: SymbolicTensor, sizes: Mapping[str, int]) -> SymbolicTensor:
    dims = tuple(with_values(d, sizes) for d in t.dims)
    return SymbolicTensor(dims, name=t.name, dtype=t.dtype)


def _met(sizes: InputSet, requirement: Requirement) -> InputSet:
    """The sizes that meet a requirement."""
    return sizes & where_met(sizes, requirement)


def _narrowed(sizes: InputSet, requirement: Requirement) -> InputSet:
    """The same where that is decidable, else all of them."""
    with suppress(Undecidable):
        return _met(sizes, requirement)
    return sizes


def _call(
    module: torch.nn.Module,
    inputs: Sequence[SymbolicTensor],
    keywords: Mapping[str, SymbolicTensor],
    tracer: Tracer,
    stage: Stage,
) -> Any:
    """One run of the forward: its outputs."""
    tape = tracer.tape
    tape.most, refused = allowed_nodes(), None
    with (
        Held() as held,
        tape.running(),
        observed(module, tracer, stage) as copy,
        modes(tracer),
        held.work(),
    ):
        tracer.fix_sizes()
        try:
            raw = copy(*tracer.wrap(inputs), **tracer.wrap(keywords))
            if tracer.wrote:
                tree_map(tracer.reread, raw)
        except Endless as error:
            raise too_long(module, tape, error) from None
        except Exception as error:
            if tracer.left is not None:
                raise tracer.left from tracer.left.__cause__
            if not isinstance(error, SymcnnError):
                raise forward_failed(module, len(inputs) + len(keywords), error, tracer) from error
            if not isinstance(error, Refused):
                raise
            refused = error.error
        if refused is not None:  # here, because there each would hold the other
            try:
                raise refused from refused.__cause__
            finally:
                del refused  # which holds this frame
        if tracer.left is not None:  # the forward caught it: what it did then says nothing
            raise tracer.left
    del copy  # and what its modules hold
    tracer.release()
    for scope in tape.calls:
        if not isinstance(scope.output, SymbolicTensor):
            scope.output = tracer.result(scope.output)
    result = tracer.result(raw)
    for t in tensors_in(result, *(scope.output for scope in tape.calls)):
        if type(t) is Masked:
            raise t.refuse()
    return result
