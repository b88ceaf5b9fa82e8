"""What a network is, on half a page, and what a change to a network changes.

A report holds what every size has in common: the closed form of the output, the domain, the field,
parameters and work, module by module. Two reports differ where two formulas differ: formulas that
are written otherwise, and are equal at every size that both networks take, are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from symcnn.algebra.size import Int, Size
from symcnn.errors import SymcnnError
from symcnn.notation.markdown import code, folded, table
from symcnn.questions.inputs.domain import reasons
from symcnn.questions.summary import Figure, Row, or_refusal, said, summary
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.simplest import Simplest
from symcnn.shown import Shown, assignment
from symcnn.trace.trace import Trace, of_one_image

T = TypeVar("T")

#: Old and new stand on one line if they have at most so many letters together.
_LINE = 72

_COLUMNS = ("output", "params", "macs")
_HEADINGS = {"output": "output", "params": "parameters", "macs": "MACs"}


@dataclass(frozen=True)
class Part:
    """One branch of a network: the sizes that take it ("" for all), its output, its modules."""

    where: str
    output: tuple[Figure, ...]
    macs: Figure
    field: Figure
    modules: tuple[Row, ...]

    def facts(self) -> Iterator[tuple[str, str]]:
        """What is said of the whole of it, by name."""
        yield "output", ", ".join(map(said, self.output))
        yield "receptive field", said(self.field)
        yield "MACs", said(self.macs)


@dataclass(frozen=True)
class Report(Shown):
    """What a network is.

    Attributes:
        name: what it is called. inputs: the shapes of its inputs. domain: the inputs that it takes.
        reasons: the layers that ask for it. params: the number of its parameters.
        parts: output, MACs, receptive field and modules; one for each branch on sizes.
        sizes: where figures were asked for. at: output and MACs there, by name.
    """

    name: str
    inputs: tuple[Figure, ...]
    domain: str
    reasons: tuple[str, ...]
    params: Figure
    parts: tuple[Part, ...]
    sizes: Mapping[str, int]
    at: Mapping[str, Figure]

    def facts(self) -> Iterator[tuple[str, str]]:
        """What is said of the whole network, by name."""
        yield "input", ", ".join(map(said, self.inputs))
        yield "domain", self.domain
        yield "parameters", said(self.params)
        for part in self.parts:
            for name, value in part.facts():
                yield f"{name} for {part.where}" if part.where else name, value
        for name, figure in self.at.items():
            yield f"{name} at {assignment(self.sizes)}", _lists(figure)

    def __str__(self) -> str:
        from symcnn.notation.text import columns

        lines = [self.name, *columns(self.facts()), *(f"  {reason}" for reason in self.reasons)]
        for part in self.parts:
            lines += ["", *([f"for {part.where}:"] if part.where else [])]
            lines += columns([("module", *_HEADINGS.values()), *map(_cells, part.modules)])
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """A section for a pull request or a page: the facts, and the modules folded."""
        facts = [(name, code(value)) for name, value in self.facts()]
        blocks = [f"### {code(self.name)}" if self.name else "", table(("", ""), facts)]
        blocks += ["\n".join(f"- {code(reason)}" for reason in self.reasons)]
        for part in self.parts:
            rows = [tuple(map(code, _cells(row))) for row in part.modules]
            title = f"{_modules(len(rows))}{f', for {part.where}' if part.where else ''}"
            blocks.append(folded(title, table(("module", *_HEADINGS.values()), rows)))
        return "\n\n".join(filter(None, blocks)) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (row.name, *(said(row.cells[key] or None) for key in _COLUMNS))


def _modules(count: int) -> str:
    return f"{count or 'no'} module{'s' if count > 1 else ''}"


def report(
    net: Trace, *, name: str = "", depth: int | None = 1, at: Mapping[str, int] | None = None
) -> Report:
    """What a network is, see `Report`.

    Args:
        net: the network.
        name: what it is called.
        depth: one row per module down to this depth; None: one per operation.
        at: sizes, at which output and MACs are numbers, too.

    Returns:
        its inputs, outputs, domain, field and costs, with a row per module.

    Raises:
        InvalidInput: the sizes are not valid.

    >>> from symcnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()).trace("N 3 H W")
    >>> print(report(net, name="stem"))
    stem
    input            (N, 3, H, W)
    domain           H >= 3 and W >= 3
    parameters       224
    output           (N, 8, (H - 1)//2, (W - 1)//2)
    receptive field  (3, 3)
    MACs             216*N*((H - 1)//2)*((W - 1)//2)
      0: H >= 3  (the kernel must fit into the padded input)
      0: W >= 3  (the kernel must fit into the padded input)
    <BLANKLINE>
    module  output                          parameters  MACs
    0       (N, 8, (H - 1)//2, (W - 1)//2)  224         216*N*((H - 1)//2)*((W - 1)//2)
    1       (N, 8, (H - 1)//2, (W - 1)//2)
    """
    branches = net.branches
    parts = tuple(
        _part(b.network, b.where.describe() if len(branches) > 1 else "", depth) for b in branches
    )
    sizes = of_one_image(net, at) if at else {}
    figures = {}
    if sizes:
        totals = summary(net.branch_at(**sizes), at=sizes).totals
        figures = {"output": totals["output"], "MACs": totals["macs"]}
    return Report(
        name,
        tuple(tuple(t.dims) for t in net.input_tensors),
        or_refusal(lambda: net.valid_inputs().describe()),
        _or_none(lambda: tuple(map(str, reasons(net)))) or (),
        summary(branches[0].network).totals["params"],
        parts,
        sizes,
        figures,
    )


def _part(net: Trace, where: str, depth: int | None) -> Part:
    found = summary(net, depth=depth, columns=_COLUMNS)
    totals = found.totals
    return Part(where, totals["output"], totals["macs"], totals.get("field"), found.rows)


# What changes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change(Shown):
    """One figure, before and after; "" where there is none.

    Attributes:
        where: the branch, "" for all sizes. module: its place, "" for the whole network.
        what: which figure. old, new: as text. share: by how much of the old a number grew, or None.
    """

    where: str
    module: str
    what: str
    old: str
    new: str
    share: float | None = None

    def __str__(self) -> str:
        return f"{self.old or 'none'} -> {self.new or 'none'}{self.grown}"

    @property
    def short(self) -> bool:
        """Whether both fit on one line."""
        return len(self.old) + len(self.new) <= _LINE

    @property
    def grown(self) -> str:
        """By how much, in percent, in brackets; "" where there is no saying."""
        return f" ({100 * self.share:+.3g}%)" if self.share else ""


@dataclass(frozen=True)
class Diff(Shown):
    """What differs between two networks.

    Attributes:
        old, new: what they are called.
        changes: of the whole network, then of modules.
        gained, lost: the inputs that only the new one takes, and that only the old one takes; None
            where the domains are no exact sets.
        same: how many modules are the same in both.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    gained: InputSet | None
    lost: InputSet | None
    same: int

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes)

    def _domains(self) -> Iterator[tuple[str, str]]:
        for name, found in (
            ("only the new one takes", self.gained),
            ("only the old one takes", self.lost),
        ):
            if found:
                yield name, found.describe()

    def _whole(self) -> Iterator[tuple[str, Change]]:
        for one in self.changes:
            if not one.module:
                yield f"{one.what} for {one.where}" if one.where else one.what, one

    def _short(self) -> Iterator[tuple[str, str]]:
        return ((name, str(one)) for name, one in self._whole() if one.short)

    def _modules(self) -> Iterator[tuple[str, ...]]:
        """A row for each module that changes: its name, and each figure before and after."""
        found: dict[str, dict[str, Change]] = {}
        for one in self.changes:
            if one.module:
                name = f"{one.module} for {one.where}" if one.where else one.module
                found.setdefault(name, {})[one.what] = one
        for name, figures in found.items():
            yield (name, *(str(figures.get(key, "")) for key in _HEADINGS.values()))

    @property
    def _rest(self) -> str:
        return f"{_modules(self.same)} {'are' if self.same > 1 else 'is'} the same"

    def __str__(self) -> str:
        from symcnn.notation.text import columns

        if not self.changed:
            return f"nothing changed: {self._rest}"
        lines = columns([*self._short(), *self._domains()])
        for name, one in self._whole():
            if not one.short:
                lines += [f"{name}{one.grown}", f"  - {one.old}", f"  + {one.new}"]
        if modules := [*self._modules()]:
            lines += ["", *columns([("module", *_HEADINGS.values()), *modules])]
        return "\n".join([*lines, "", self._rest])

    def to_markdown(self) -> str:
        """A section for a pull request: the changes of the whole, and the modules folded."""
        title = f"### {code(self.old)} to {code(self.new)}"
        if not self.changed:
            return f"{title}\n\nNothing changed: {self._rest}.\n"
        rows = [(name, code(one.old), code(one.new) + one.grown) for name, one in self._whole()]
        rows += [(name, "", code(sizes)) for name, sizes in self._domains()]
        blocks = [title, table(("", "old", "new"), rows) if rows else ""]
        if modules := [*self._modules()]:
            cells = [tuple(map(code, row)) for row in modules]
            body = table(("module", *_HEADINGS.values()), cells)
            blocks.append(folded(f"{_modules(len(modules))} changed, {self._rest}", body))
        return "\n\n".join(filter(None, blocks)) + "\n"


def diff(
    a: Trace,
    b: Trace,
    *,
    names: tuple[str, str] = ("old", "new"),
    depth: int | None = None,
    at: Mapping[str, int] | None = None,
) -> Diff:
    """What differs between two networks at any size: inputs, output, domain, field, costs.

    Args:
        a: the old network.
        b: the new one.
        names: what they are called.
        depth: modules down to this depth; None: every operation.
        at: sizes, at which output and MACs are compared as numbers, too.

    Returns:
        the changes, and whether there are any.

    Raises:
        InvalidInput: the sizes are not valid in one of them.

    >>> from symcnn import nn
    >>> old = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3)).trace("N 3 H W")
    >>> new = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3, padding=1)).trace("N 3 H W")
    >>> found = diff(old, new)
    >>> found.changed, [str(change) for change in found.changes][:2]
    (True, ['224 -> 112 (-50%)', '(N, 8, H, W) -> (N, 4, H, W)'])
    """
    before, after = (report(net, depth=depth, at=at) for net in (a, b))
    old_domain, new_domain = (_or_none(net.valid_inputs) for net in (a, b))
    law = _Law(old_domain, new_domain)
    changes = [*_of_whole(before, after, law)]
    olds, news = ({part.where: part for part in one.parts} for one in (before, after))
    same = 0
    for where in {**olds, **news}:
        old, new = olds.get(where), news.get(where)
        if old is None or new is None:
            changes.append(Change("", "", "branch", where if old else "", where if new else ""))
            continue
        found = [*_of_part(old, new, law)]
        changes += found
        touched = {one.module for one in found}
        rows = {row.name for row in (*old.modules, *new.modules)}
        same += len(rows - touched)
    gained = lost = None
    if old_domain is not None and new_domain is not None:
        gained, lost = new_domain - old_domain, old_domain - new_domain
    changes.sort(key=lambda one: bool(one.module))
    return Diff(*names, tuple(changes), gained, lost, same)


def _of_whole(old: Report, new: Report, law: _Law) -> Iterator[Change]:
    yield from _differs("", "", "input", old.inputs, new.inputs, law=law)
    if not law.equal(old.domain, new.domain):
        yield Change("", "", "domain", old.domain, new.domain)
    yield from _differs("", "", "parameters", old.params, new.params, law=law)
    for what in old.at:
        title = f"{what} at {assignment(old.sizes)}"
        yield from _differs("", "", title, old.at[what], new.at[what], law=law)


def _of_part(old: Part, new: Part, law: _Law) -> Iterator[Change]:
    where = new.where
    yield from _differs(where, "", "output", old.output, new.output, law=law)
    yield from _differs(where, "", "receptive field", old.field, new.field, law=law)
    yield from _differs(where, "", "MACs", old.macs, new.macs, law=law)
    olds, news = ({row.name: row.cells for row in part.modules} for part in (old, new))
    for name in {**news, **olds}:
        for key in _COLUMNS:
            figures = (found.get(name, {}).get(key) for found in (olds, news))
            yield from _differs(where, name, _HEADINGS[key], *figures, law=law)


def _differs(
    where: str, module: str, what: str, old: Figure, new: Figure, *, law: _Law
) -> Iterator[Change]:
    if not law.same(old, new):
        share = None
        if isinstance(old, int) and isinstance(new, int) and old:
            share = (new - old) / old
        yield Change(where, module, what, _lists(old), _lists(new), share)


def _lists(figure: Figure) -> str:
    """As text, a tuple of shapes one after the other."""
    if isinstance(figure, tuple) and all(isinstance(one, tuple) for one in figure):
        return ", ".join(map(said, figure))
    return said(figure)


class _Law:
    """Whether two figures are the same wherever both networks run."""

    def __init__(self, a: InputSet | None, b: InputSet | None) -> None:
        both = None if a is None or b is None else _or_none(lambda: a & b)
        self.both = both if both else None
        self.domains = a, b
        self.simplest = Simplest(self.both)

    def equal(self, old: str, new: str) -> bool:
        """Whether the domains are equal, which these words describe."""
        a, b = self.domains
        return old == new if a is None or b is None else a == b

    def same(self, old: Figure, new: Figure) -> bool:
        """Whether they are equal: as written, or at every size that both take."""
        if isinstance(old, tuple) and isinstance(new, tuple):
            return len(old) == len(new) and all(map(self.same, old, new))
        if not isinstance(old, (int, Size)) or not isinstance(new, (int, Size)):
            return old == new
        difference: Int = self.simplest(old - new)
        if isinstance(difference, int) or self.both is None:
            return difference == 0
        both = self.both
        equal = _or_none(lambda: input_set(both.names, [Condition(difference, "==", 0)]))
        return equal is not None and bool(_or_none(lambda: both <= equal))


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except SymcnnError:
        return None
