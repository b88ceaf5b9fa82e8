"""Hypothesis strategies for the inputs of a network: sizes it takes, sizes it refuses, shapes.

The domain decides exactly which is which, so nothing is drawn in vain: a size outside is moved to
the nearest inside. Examples shrink to small sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from symcnn.algebra.size import Int, evaluate, symbols_of
from symcnn.errors import NoSolution
from symcnn.questions.inputs.domain import first_failure
from symcnn.sets.grammar import parse_shape
from symcnn.sets.inputset import input_set
from symcnn.sets.member import by_name

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from symcnn.network import Network
    from symcnn.sets.inputset import InputSet


@st.composite
def valid_inputs(draw: DrawFn, net: Network, *, most: int = 256) -> dict[str, int]:
    """Sizes that the network takes, by name, mostly up to `most` each.

    Raises NoSolution if it takes none, Undecidable if its domain is no exact set.
    """
    domain = net.valid_inputs()
    if not domain:
        raise NoSolution("no input of any size is valid", cure="net.reasons() says why")
    sizes = _drawn(draw, net, most)
    for part in (domain, None):
        part = part or domain.given(**{name: sizes[name] for name in domain.shown})
        sizes |= _nearest(part, sizes)
    return sizes


@st.composite
def invalid_inputs(draw: DrawFn, net: Network, *, most: int = 256) -> dict[str, int]:
    """Sizes that the network refuses, by name, mostly up to `most` each.

    Raises NoSolution if it refuses none, Undecidable if its domain is no exact set.
    """
    domain = net.valid_inputs()
    outside = input_set(domain.names, ()) - domain
    if not outside:
        raise NoSolution("every input is valid", cure="there is nothing to refuse")
    sizes = _drawn(draw, net, most)
    if first_failure(net, sizes) is None:
        sizes |= _nearest(outside, sizes)
    return sizes


@st.composite
def shapes(draw: DrawFn, spec: str, *, most: int = 64) -> tuple[int, ...]:
    """Shapes of the form `spec`, such as ``"N 3 H W"``: equal names are equal sizes, up to `most`.

    Raises BadSpec for malformed text.
    """
    dims = parse_shape(spec)
    values = _numbers(draw, dims, most)
    return tuple(evaluate(d, values) for d in dims)


def _drawn(draw: DrawFn, net: Network, most: int) -> dict[str, int]:
    batch = {name: draw(st.integers(1, 3)) for name in net.symbols if name in net.batch}
    sizes = {name: draw(st.integers(1, most)) for name in net.symbols if name not in batch}
    return {name: {**batch, **sizes}[name] for name in net.symbols}


def _numbers(draw: DrawFn, dims: tuple[Int, ...], most: int) -> dict[str, int]:
    names = dict.fromkeys(name for d in dims for name in sorted(symbols_of(d)))
    return {name: draw(st.integers(1, most)) for name in names}


def _nearest(domain: InputSet, sizes: Mapping[str, int]) -> dict[str, int]:
    if not domain.shown:
        return {}
    return by_name(domain.shown, domain.nearest(*(sizes[name] for name in domain.shown)))
