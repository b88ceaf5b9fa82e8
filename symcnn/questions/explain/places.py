"""Streams and tiles: how far a network looks, node by node, and where its tiles start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from symcnn.algebra.axis import Window
from symcnn.questions.explain.derivation import Derivation, Step, distinct
from symcnn.questions.explain.lines import Ends, Line, Tree
from symcnn.questions.place.cut import Course, Moved, Read
from symcnn.questions.place.footprint import Footprint
from symcnn.questions.place.stream import looks, running, stream
from symcnn.questions.place.tiles import courses, halo, plans, tiles
from symcnn.trace.trace import Trace


def derive_stream(net: Trace, axis: str | None) -> Derivation:
    """How far outputs look back and ahead along an axis, and the hop."""
    found = stream(net, axis)
    _, course = running(net, axis)
    steps = [*_looks(course), _period(course)]
    answer = (
        f"the lookback is {found.lookback}, the lookahead {found.lookahead}, the hop {found.hop}"
    )
    return Derivation(f"Stream along {found.axis}", tuple(steps), answer)


def _looks(course: Course) -> Iterator[Step]:
    """The nodes that look further than what they read, and the joins of what looks differently."""
    footprint = Footprint(course)
    for out, reads in course.steps:
        assert out.node is not None
        before = [looks(footprint, read.tensor) for read in reads]
        back, ahead = looks(footprint, out)
        if set(before) == {(back, ahead)}:
            continue
        own = [_own(course, read, old) for read, old in zip(reads, before, strict=True)]
        made = Ends(Tree.of("min", *(b for b, _ in own)), Tree.of("max", *(a for _, a in own)))
        end = Ends(Tree.leaf(-back), Tree.leaf(ahead))
        if (made.first.normal(), made.last.normal()) != (-back, ahead):  # as the tables have it
            made = end
        lines = distinct([Line(made), Line(end)])
        yield Step(f"{out.node.name} ({out.node.op})", "i", "looks", lines)


def _own(course: Course, read: Read, old: tuple[int, int]) -> tuple[Tree, Tree]:
    """How far one tensor that is read lets a node look: from its own place to the input."""
    back, ahead = -old[0], old[1]
    moved = course.state[read.tensor]
    axis_map = read.axis_map.at(course.sizes) if read.views == (1, 1) else None
    if (
        not isinstance(axis_map, Window)
        or not isinstance(moved, Moved)
        or moved.rate.numerator != 1
    ):
        return Tree.leaf(back), Tree.leaf(ahead)
    stride, left = moved.rate.denominator, int(axis_map.left)
    further = int(axis_map.extent) - 1 - left
    return (
        Tree.of("sum", back, Tree.of("product", -left, stride) if left else 0),
        Tree.of("sum", ahead, Tree.of("product", further, stride) if further else 0),
    )


def _period(course: Course) -> Step:
    """By how much the input moves for all nodes to move by whole places."""
    rates = (m.rate for m in course.state.values() if isinstance(m, Moved))
    strides = sorted({(1 / rate).numerator for rate in rates})
    told = f"strides {', '.join(map(str, strides))}" if lcm(*strides) == course.period else ""
    line = Line(Tree.leaf(course.period), told)
    return Step("the network", "p", "period", (line,))


def derive_tiles(
    net: Trace, tile: int | Sequence[int | None] | None, sizes: Mapping[str, int]
) -> Derivation:
    """Where the tiles of an image start, and how much more is run."""
    found = tiles(net, tile=tile, sizes=sizes)
    whole, along = courses(net, None, sizes)
    steps: list[Step] = []
    for course, plan in zip(along, plans(net, tile, whole, along), strict=True):
        steps += [_period(course), _halo(course), *_starts(course, plan)]
        widths = [cut.stop - cut.start for cut, _, _ in plan]
        lines = distinct([Line(Tree.of("sum", *_counted(widths))), Line(Tree.leaf(sum(widths)))])
        note = f"of {course.sizes[course.name]} along {course.name}"
        steps.append(Step("all tiles", "rows", "sum", lines, premises=(note,)))
    once = {(s.where, s.about, s.lines, s.premises): s for s in steps}  # axes may have one stride
    return Derivation("Tiles", tuple(once.values()), str(found).splitlines()[0])


def _counted(widths: Sequence[int]) -> list[Tree]:
    kinds = dict.fromkeys(widths)
    return [Tree.of("product", widths.count(width), width) for width in kinds]


def _halo(course: Course) -> Step:
    left, right = halo(course)
    first, last = Footprint(course).ends[course.home(course.output)]
    least, most = int(first.min()), int(last.max())
    ends = Ends(
        Tree.of("max", Tree.leaf(-least), 0),
        Tree.of("max", Tree.of("sum", most, -course.period, 1), 0),
    )
    told = f"the outputs of one period read {least} .. {most}"
    end = Ends(Tree.leaf(left), Tree.leaf(right))
    lines = distinct([Line(ends, "rows needed on the left .. on the right"), Line(end)])
    return Step(f"a part along {course.name}", "halo", "reads", lines, premises=(told,))


def _starts(course: Course, plan: Sequence[Any]) -> Iterator[Step]:
    """The second tile and the last, and where they start."""
    end = course.end
    assert isinstance(end, Moved)
    inner = plan[1][0] if len(plan) > 2 else None
    p, x = course.period, course.sizes[course.name]
    for k in dict.fromkeys((1, len(plan) - 1)) if len(plan) > 1 else ():
        cut, covered, _ = plan[k]
        exact = (inner or cut).exact[0] - (inner or cut).place
        place = int(Fraction(covered - exact) / end.rate)
        tree = Tree.of("product", p, Tree.of("floor", place, p))
        lines = [
            Line(
                tree,
                f"outputs up to {covered} are there; the first {exact} of a tile are not exact",
            )
        ]
        last = -(-(x - (cut.stop - cut.start)) // p) * p
        if tree.normal() != cut.start:
            tree = Tree.of("min", tree, last)
            lines = [Line(tree, "the last tile ends with the input")]
        if tree.normal() != cut.start:
            lines = []
        name = f"tile {k + 1} of {len(plan)} along {course.name}"
        yield Step(name, "start", "tile", distinct([*lines, Line(Tree.leaf(cut.start))]))
