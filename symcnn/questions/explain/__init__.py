"""Derivations: how a closed form comes about, layer by layer, each line checked.

A derivation is a list of steps; a step names its rule, the law behind it and where it is written,
and then a chain of equal lines: substitution, simplification, result. Lines are small expression
trees that keep the form in which they are written. That consecutive lines are equal *for all
sizes* is decided when the step is made (normal form, or isl), and besides they are evaluated in
plain python at many sizes: a derivation that could be wrong is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import singledispatch

from symcnn.algebra.size import symbols_of, whole_number
from symcnn.errors import BadSpec, SymcnnError
from symcnn.questions.explain.costs import derive_macs, derive_memory, derive_params, derive_peak
from symcnn.questions.explain.derivation import Derivation, Step
from symcnn.questions.explain.field import derive_field
from symcnn.questions.explain.lines import Line, Tree
from symcnn.questions.explain.places import derive_stream, derive_tiles
from symcnn.questions.explain.sets import derive_domain, derive_solution
from symcnn.questions.explain.size import derive_size
from symcnn.questions.field.spatial import spatial_axes
from symcnn.sets.grammar import Target, quantity_of, short
from symcnn.trace.graph import Shape
from symcnn.trace.trace import Trace

__all__ = ["Derivation", "Line", "Step", "Tree", "explain"]


#: Derivations of the network as a whole.
_WHOLE = {
    "params": derive_params,
    "macs": derive_macs,
    "memory": derive_memory,
    "peak": derive_peak,
    "domain": derive_domain,
}
_WHAT = ("size", "field", *_WHOLE, "solution", "stream", "tiles")


@singledispatch
def explain(
    net: Trace,
    what: str | None = None,
    *,
    axis: str | int | None = None,
    output: Target = None,
    tile: int | Sequence[int | None] | None = None,
    **sizes: int,
) -> Derivation:
    """The derivation of a closed form of `net`.

    what: ``"size"`` and ``"field"`` (of one axis), ``"params"``, ``"macs"``, ``"memory"``,
        ``"peak"``, ``"domain"``, ``"solution"`` (with ``output=(7, 7)``), ``"stream"`` (along one
        axis), ``"tiles"`` (with ``tile=256`` and sizes); None: size and field.
    axis: which axis, by number or by its symbol; by default the first along which a field is asked,
        and of the output the one that speaks of it.

    Raises BadSpec for an unknown question or axis; what the question itself raises.
    """
    if what is None:
        what = "solution" if output is not None else None
    if what is None:
        parts = [explain(net, "size", axis=axis)]
        with suppress(SymcnnError):  # no one window
            parts.append(explain(net, "field", axis=axis))
        return Derivation("", (), "; ".join(p.answer for p in parts), tuple(parts))
    if what not in _WHAT:
        what = quantity_of(what) or what
    if what not in _WHAT:
        raise BadSpec(f"what={short(str(what))!r}", cure=f"one of {', '.join(_WHAT)}")
    if what != "tiles" and (sizes or tile is not None):
        raise BadSpec(f"{what} is derived for all sizes", cure='sizes are for explain("tiles")')
    if what in _WHOLE:
        return _WHOLE[what](net)
    if what == "tiles":
        return derive_tiles(net, tile, sizes)
    if what == "stream":
        return derive_stream(net, net.symbols[axis] if isinstance(axis, int) else axis)
    if what == "solution":
        return derive_solution(net, output)
    if what == "size":
        return derive_size(net, _output_axis(net, axis))
    return derive_field(net, _axis(net, axis))


def _output_axis(net: Trace, axis: str | int | None) -> int:
    """The axis of the output: by number, or the first that speaks of the symbol of one of the input
    where that of the same number does not: maps become sequences.
    """
    number = _axis(net, axis)
    inputs, dims = net.input_tensors[0].dims, net.output_tensors[0].dims
    if isinstance(axis, int) or number >= len(inputs):
        return number
    told = list(map(symbols_of, dims))
    own = [i for i, names in enumerate(told) if names & symbols_of(inputs[number])]
    if axis is None and not own:
        own = [i for i, names in enumerate(told) if names - symbols_of(inputs[0])]
    return number if number in own or not own else own[0]


def _axis(net: Trace, axis: str | int | None) -> int:
    dims = net.input_tensors[0].dims
    if isinstance(axis, str):
        for number, dim in enumerate(dims):
            if str(dim) == axis:
                return number
        raise BadSpec(f"no axis is called {axis}", cure=f"the input is {Shape.of(dims)}")
    number = spatial_axes(net, net.input_tensors[0])[0] if axis is None else axis
    number = whole_number("axis", number)
    if not 0 <= number < len(dims):
        raise BadSpec(f"axis={axis} of {len(dims)}")
    return number
