"""Views to fixed numbers that run axes together: accepted, and seldom meant.

A view keeps the order of all elements and nothing else. Written with numbers, ``view(1, 9, 244,
204)``, it takes every image of 244*204 pixels; at 204 x 244 its rows are then pieces of two rows.
The law: *at given sizes, both shapes fall into the shortest runs of axes with equal products. A
view keeps its axes apart iff no run has several axes on both sides; a size of the input that is
split into numbers was meant to be an axis of its own.*
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from symcnn.algebra.size import Int, Size, evaluate
from symcnn.sets.condition import KeepsBatch
from symcnn.sets.member import by_name
from symcnn.trace.graph import Node
from symcnn.trace.trace import Trace

#: So many valid sizes are looked at.
_MEMBERS = 4096


def run_together(node: Node, sizes: Mapping[str, int]) -> str:
    """What a view mixes at these sizes, in words; "" if it keeps its axes apart."""
    if node.op not in ("view", "reshape") or not node.activations:
        return ""
    t, out = node.activations[0], node.outputs[0]
    free = [i for i, d in enumerate(t.dims) if isinstance(d, Size) and d not in out.dims]
    if len(free) < 2 or any(isinstance(r, KeepsBatch) for r in node.result.requires):
        return ""
    before = [evaluate(d, sizes) for d in t.dims]
    after = [evaluate(d, sizes) for d in out.dims]
    for left, right in _groups(before, after):
        baked = all(isinstance(out.dims[i], int) for i in right)
        if baked and len(right) > 1 and any(i in free for i in left):
            have = "x".join(str(before[i]) for i in left)
            want = "x".join(str(after[i]) for i in right)
            return f"{have} is read as {want}: its lines are run together"
    return ""


def _groups(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The shortest runs of axes with equal products; axes of one element aside."""
    left, right = ([i for i, n in enumerate(dims) if n != 1] for dims in (before, after))
    a = b = 0
    while a < len(left) and b < len(right):
        first, second = a, b
        have, want = before[left[a]], after[right[b]]
        while have != want and (a + 1 < len(left) or b + 1 < len(right)):
            if (have < want and a + 1 < len(left)) or b + 1 >= len(right):
                a += 1
                have *= before[left[a]]
            else:
                b += 1
                want *= after[right[b]]
        a, b = a + 1, b + 1
        yield left[first:a], right[second:b]


def scrambled(net: Trace) -> list[tuple[Int, ...]]:
    """The valid sizes, where they are few, at which a view of the network runs axes together."""
    every = [node for branch in net.branches for node in branch.network.nodes]
    views = [n for n in every if n.op in ("view", "reshape") and n.result.requires]
    domain = net.valid_inputs()
    if not views or not domain.bounded or not domain:
        return []
    names = domain.shown
    found: list[tuple[Int, ...]] = []
    for member in islice(domain, _MEMBERS):
        sizes = {**dict.fromkeys(net.symbols, 1), **by_name(names, member)}
        if any(run_together(node, sizes) for node in views):
            found.append(tuple(sizes[n] for n in names))
    return found
