"""Hyperparameters that make the output as large as the input (or as any other target).

Layer by layer there is one right value, which the forms of the sizes give:

* a transposed convolution makes ``s*x + c`` with ``c = r - s - 2*p + o``: exactly s times as much
  where ``o = s + 2*p - r``, or ``p = (r - s + o)/2``;
* a window makes ``x/s`` of a multiple of s iff ``0 <= 2*p - r + s < s``: where
  ``p = ceil((r - s)/2)``, or, rounding up, where ``-s < 2*p - r + s <= 0``.

So the layers that are off are those to change. They are changed together, and what need not change
is put back; the trace is then made again by the layers' own rules, and the inputs at which it comes
out right are an exact set.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symcnn.algebra.axis import AxisMap, Scatter, Window
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, evaluate, symbols_of
from symcnn.errors import BadSpec, NoSolution, SymcnnError, suggested
from symcnn.lazy import sympy
from symcnn.ops.registry import one_or_each
from symcnn.questions.inputs.solve import parsed_target, target_axes
from symcnn.sets.condition import Condition, Requirement, decide_syntactically
from symcnn.sets.grammar import Target
from symcnn.sets.inputset import InputSet, input_set
from symcnn.shown import Rows, Shown, assignment
from symcnn.trace.call import Call
from symcnn.trace.graph import Node, public, signature_of, tensors_in
from symcnn.trace.rerun import Replay
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Refit(Shown):
    """Hyperparameters that reach a target.

    Attributes:
        changes: per node, what its layer's hyperparameters should be, by torch's names; empty if
            nothing needs to change.
        where: the inputs at which the output is then as wanted, exactly.
        size: the sizes of the output's axes that are wanted, after the change, in sympy.
        crop: rows to crop on the right of the output (negative: to pad), per axis; 0 if none.
        behind: how many axes of the output stand behind those: 1 where channels do.
    """

    changes: Mapping[str, Mapping[str, Any]]
    where: InputSet
    size: tuple[Any, ...]
    crop: tuple[int, ...] = ()
    behind: int = 0

    def __str__(self) -> str:
        lines = [f"{node}: {assignment(values)}" for node, values in self.changes.items()]
        if any(self.crop):
            crops = (*self.crop, *(0,) * self.behind)
            pads = ", ".join(f"0, {-c}" for c in reversed(crops))
            lines.append(f"F.pad(output, ({pads}))")
        shown = " x ".join(text(_kernel(s)) for s in self.size)
        return f"{'; '.join(lines) or 'as it is'}: {shown}, right where {self.where.describe()}"


def _kernel(value: Any) -> Int:
    from symcnn.algebra.expr import from_sympy

    return from_sympy(value)


def refits(net: Trace, output: Target) -> list[Refit]:
    """Ways to reach a target at the output, the fewest changes first; see `Network.fix`.

    Raises NoSolution if no hyperparameter of padding does.
    """
    wanted = parsed_target(output)
    unknown = sorted(symbols_of(*(w for w in wanted if isinstance(w, Size))) - net.free_symbols)
    if unknown:
        raise BadSpec(
            f"no size is called {', '.join(unknown)}",
            cure=suggested(unknown[0], [*net.symbols, *sorted(net.free_symbols)]),
        )
    question = _Question(net, wanted)
    found: list[Refit] = []
    as_it_is = question.ask({})
    if as_it_is is not None:
        found.append(as_it_is)
    off = [(node, options) for node in net.nodes if (options := list(_options(node)))]
    scatters = {node: options[0] for node, options in off if node.op.startswith("conv_transpose")}
    for changes in (
        scatters,
        {node: options[0] for node, options in off},
        {node: options[-1] for node, options in off},
        {node: options[0] for node, options in off if node not in scatters},
    ):
        if changes and (best := question.least(changes)) and _is_new(best, found):
            found.append(best)
    if (cropped := question.cropped()) is not None and _is_new(cropped, found):
        found.append(cropped)
    if not found:
        shape, instead = net.describe_output(), "(H, W)"
        if len(wanted) < len(net.output_dims):
            instead = question.multiples()
        raise NoSolution(
            f"no padding, output_padding or ceil_mode makes {shape} what is wanted",
            cure=f"a target is what it makes of multiples of its strides, such as output={instead}",
        )
    return Rows(found)


def _is_new(one: Refit, found: Sequence[Refit]) -> bool:
    """Whether it is another way, and reaches the target where the network as it is does not."""
    return not any(
        (one.changes, one.crop) == (other.changes, other.crop)
        or (not other.changes and not any(other.crop) and one.where <= other.where)
        for other in found
    )


def joined(found: Iterable[list[Refit]]) -> list[Refit]:
    """The ways of several branches: what is changed alike is one way, right where any of it is."""
    ways: dict[str, Refit] = {}
    for one in (refit for branch in found for refit in branch):
        key = str((one.changes, one.crop))
        known = ways.get(key)
        ways[key] = one if known is None else replace(known, where=known.where | one.where)
    return [*ways.values()]


# One layer --------------------------------------------------------------------------------------


def _options(node: Node) -> Iterator[dict[str, Any]]:
    """The values that make a layer scale by its stride exactly; none if it does, or cannot."""
    maps = [m for _, m in node.result.axes or () if _scales(m)]
    arguments = node.arguments
    if not maps or "padding" not in arguments or isinstance(arguments["padding"], str):
        return
    if any(m.hyperparameters() for m in maps):
        return
    yield from _of_scatter([m for m in maps if isinstance(m, Scatter)])
    yield from _of_window([m for m in maps if isinstance(m, Window)], arguments)


def _scales(axis_map: AxisMap) -> bool:
    """Whether it is the map of a kernel."""
    kernel = isinstance(axis_map, Window) and (axis_map.extent, axis_map.stride) != (1, 1)
    return kernel or isinstance(axis_map, Scatter)


def _of_scatter(maps: Sequence[Scatter]) -> Iterator[dict[str, Any]]:
    over = [m.extent - m.stride - 2 * m.padding + m.output_padding for m in maps]
    if not any(over):
        return
    more = [m.output_padding - c for m, c in zip(maps, over, strict=True)]
    if all(0 <= o < max(m.stride, m.dilation) for o, m in zip(more, maps, strict=True)):
        yield {"output_padding": one_or_each(more)}
    for add in (0, 1):  # to output_padding, where that makes an even pad
        twice = [m.extent - m.stride + m.output_padding + add for m in maps]
        fits = all(m.output_padding + add < max(m.stride, m.dilation) for m in maps)
        if fits and all(t >= 0 and t % 2 == 0 for t in twice):
            pads = [t // 2 for t in twice]
            if pads != [m.padding for m in maps]:
                yield {"padding": one_or_each(pads)} | (
                    {"output_padding": one_or_each([m.output_padding + 1 for m in maps])}
                    if add
                    else {}
                )
            return


def _of_window(maps: Sequence[Window], arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    up = bool(arguments.get("ceil_mode"))
    if not maps:
        return
    slack = [2 * m.left - m.extent + m.stride for m in maps]
    if up:
        if all(-m.stride < c <= 0 for c, m in zip(slack, maps, strict=True)):
            return
    elif all(0 <= c < m.stride for c, m in zip(slack, maps, strict=True)):
        return
    elif "ceil_mode" in arguments and all(
        -m.stride < c <= 0 for c, m in zip(slack, maps, strict=True)
    ):
        yield {"ceil_mode": True}
    pads = [-(-max(m.extent - m.stride, 0) // 2) for m in maps]
    if all(0 <= 2 * p - m.extent + m.stride < m.stride for p, m in zip(pads, maps, strict=True)):
        yield {"padding": one_or_each(pads)} | ({"ceil_mode": False} if up else {})


# The network again ------------------------------------------------------------------------------


class _Changed(Replay):
    """The trace again, with other hyperparameters at some nodes."""

    def __init__(self, net: Trace, changes: Mapping[Node, Mapping[str, object]]) -> None:
        self.changes = changes
        super().__init__(net.nodes, {}, net.guards)

    def _again(self, node: Node) -> None:
        changes = self.changes.get(node)
        if changes is None or node.call is None:
            super()._again(node)
            return
        bound = signature_of(node.call.rule).bind(*node.call.args, **node.call.kwargs)
        bound.arguments.update(changes)
        other = copy.copy(node)
        other.call = Call(node.call.operation, bound.args, bound.kwargs, node.call.costed)
        super()._again(other)
        self._remember(node, self._twins[id(other)])


class _Question:
    """A network and a target for its space, or its last axes."""

    def __init__(self, net: Trace, wanted: Sequence[Any]) -> None:
        self.net, self.wanted = net, wanted
        self.axes = target_axes(net, wanted)
        self.behind = len(net.output_dims) - self.axes.stop

    def ask(self, changes: Mapping[Node, Mapping[str, object]]) -> Refit | None:
        """What comes of changes; None if the target is reached nowhere."""
        net = self.net
        try:
            replay = _Changed(net, changes)
        except SymcnnError:  # layers that do not fit any more
            return None
        output = next(iter(tensors_in(replay(net.output_tensors))), None)
        if output is None or output.ndim <= len(self.wanted):
            return None
        dims = [output.dims[axis] for axis in self.axes]
        known: dict[Requirement, None] = dict.fromkeys(
            r for node in replay.nodes for r in node.result.requires
        )
        known.update(dict.fromkeys(g.requirement for g in replay.guards))
        where = self._where(dims, known, (0,) * len(dims))
        if where is None:
            return None
        named = {node.name: dict(values) for node, values in changes.items()}
        return Refit(named, where, tuple(map(public, dims)), behind=self.behind)

    def _where(
        self, dims: Sequence[Int], known: Iterable[Requirement], crop: Sequence[int]
    ) -> InputSet | None:
        goals = [
            Condition(dim - c, "==", goal)
            for dim, goal, c in zip(dims, self.wanted, crop, strict=True)
            if goal is not None
        ]
        if any(decide_syntactically(goal) is False for goal in goals):
            return None
        requirements = [*known, *goals]
        spoken = frozenset[str]().union(*(r.symbols for r in requirements))
        net = self.net
        names = [n for n in net.symbols if n not in net.batch or n in spoken]
        try:
            found = input_set(names, requirements, batch=tuple(net.batch & set(names)))
        except SymcnnError:
            return None
        return found if found else None

    def least(self, changes: Mapping[Node, Mapping[str, object]]) -> Refit | None:
        """As few of the changes as reach the target at as many inputs as all of them."""
        best = self.ask(changes)
        if best is None:
            return None
        left = dict(changes)
        alike: dict[str, list[Node]] = {}
        for node, values in changes.items():
            alike.setdefault(repr((node.result.axes, values)), []).append(node)
        groups = list(alike.values())
        if len(left) <= 32:
            groups += [[node] for node in left]
        for group in groups:
            rest = {node: values for node, values in left.items() if node not in group}
            if rest and len(rest) < len(left):
                other = self.ask(rest)
                if other is not None and best.where <= other.where:
                    best, left = other, rest
        return best

    def multiples(self) -> str:
        """How large the output is at multiples of all strides, to ask for."""
        sizes = []
        for axis in self.axes:
            dim = self.net.output_dims[axis]
            terms = []
            for name in sorted(symbols_of(dim)):
                at = dict.fromkeys(symbols_of(dim), _MULTIPLE)
                more = evaluate(dim, {**at, name: 2 * _MULTIPLE}) - evaluate(dim, at)
                terms.append(str(sympy.Rational(more, _MULTIPLE) * sympy.Symbol(name)))
            sizes.append(" + ".join(terms) or str(dim))
        return f"({', '.join(map(repr, sizes))})" if len(sizes) > 1 else repr(*sizes)

    def cropped(self) -> Refit | None:
        """The rows that multiples of all strides are off by, cropped or padded at the end: as many
        at each of them.
        """
        net, count = self.net, len(self.wanted)
        if len(net.output_dims) <= count or not all(isinstance(g, Size) for g in self.wanted):
            return None
        dims = [net.output_dims[axis] for axis in self.axes]
        names = symbols_of(*dims, *self.wanted)
        crop, again = (
            [
                int(evaluate(dim, at) - evaluate(goal, at))
                for dim, goal in zip(dims, self.wanted, strict=True)
            ]
            for at in (dict.fromkeys(names, _MULTIPLE), dict.fromkeys(names, 2 * _MULTIPLE))
        )
        if not any(crop) or crop != again:
            return None
        where = self._where(dims, net.requirements, crop)
        size = tuple(map(public, dims))
        return None if where is None else Refit({}, where, size, tuple(crop), self.behind)


#: A multiple of every stride.
_MULTIPLE = 720720 << 8
