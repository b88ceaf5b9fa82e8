"""Operations that draw: dropout, and tensors filled with random numbers.

What is drawn depends on no place of the input, so none of them works point by point.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from symcnn.algebra.axis import Axes, Whole
from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch
from symcnn.ops import work
from symcnn.ops.operation import torch_rule as any_rule
from symcnn.ops.operation import torch_rules as any_rules
from symcnn.ops.pointwise import broadcast, like
from symcnn.ops.registry import at_least, elementwise, leading_axes, over, require_rank
from symcnn.ops.storage import pointwise as points
from symcnn.ops.takes import meant, not_taken
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Result, SymbolicTensor

#: What torch draws from on the CPU.
_DOUBLES = "float32 float64"

#: From so many places torch draws.
_MOST = 1 << 24

rule = partial(any_rule, other=work.made, slides=False)
rules = partial(any_rules, other=work.made, slides=False)


def _drawn(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    return elementwise(input)


rules("random", other=work.nothing, saves=points.keeps_nothing)(_drawn)
rules("rand_like randn_like", other=work.nothing, saves=points.clone, takes="float complex")(like)
rules("randint_like", other=work.nothing, saves=points.clone, takes="int float")(like)


@rule("bernoulli", other=work.nothing, gradient=False, saves=points.keeps_nothing)
def bernoulli(input: SymbolicTensor, p: float | None = None, **kwargs: object) -> Result:
    """Zeros and ones, by the chances in a tensor or by one for all."""
    if p is None and input.dtype not in meant("float"):
        raise not_taken(f"bernoulli of {input.dtype}, chances", "float")
    return elementwise(input)


_anew = partial(rules, other=work.nothing, saves="")
_anew("poisson", takes="float")(_drawn)
_anew("_standard_gamma", saves="input output", takes=_DOUBLES)(_drawn)
_filled = partial(rules, other=work.nothing, saves=points.keeps_nothing)


def _spread(name: str) -> Callable[..., Result]:
    def drawn(
        input: SymbolicTensor, centre: float = 0, spread: float = 1, **kwargs: float
    ) -> Result:
        if not kwargs.get("sigma", kwargs.get("std", spread)) > 0:
            raise ShapeMismatch(f"{name}: numbers that do not spread", cure="spread them by over 0")
        return elementwise(input)

    return drawn


for _name in "cauchy log_normal".split():
    _filled(_name, takes="float")(_spread(_name))


@rule("geometric", other=work.nothing, saves=points.keeps_nothing, takes="int float")
def geometric(input: SymbolicTensor, p: float, **kwargs: object) -> Result:
    """How many trials it takes, each with the same chance."""
    if not 0 < p < 1:
        raise ShapeMismatch(f"geometric: p={p}", cure="a chance lies between 0 and 1")
    return elementwise(input)


@rule("_sample_dirichlet", other=work.nothing, saves="", takes=_DOUBLES)
def sample_dirichlet(input: SymbolicTensor, generator: object = None) -> Result:
    """Shares of a whole, along the last axis."""
    return over(input, range(input.ndim)[-1:])


@rule("binomial", other=work.nothing, saves="", takes=_DOUBLES, same_dtype="count prob")
def binomial(count: SymbolicTensor, prob: SymbolicTensor, generator: object = None) -> Result:
    """How many of so many draws succeed."""
    return broadcast(count, prob)


@rule("multinomial", other=work.nothing, gradient=False, saves="", dtype="int64", takes="float")
def multinomial(
    input: SymbolicTensor, num_samples: Int, replacement: bool = False, **kwargs: object
) -> Result:
    """Places of a row, or of each of several, by the chances in it."""
    require_rank(input, (1, 2), "multinomial")
    *batch, places = input.dims
    needs = at_least("num_samples", (num_samples,), 1)
    needs.append(Condition(_MOST, ">=", places, "multinomial: so many places may be drawn from"))
    if not replacement:
        why = "multinomial: without replacement no place is drawn twice"
        needs.append(Condition(places, ">=", num_samples, why))
    axes: Axes = (*leading_axes(len(batch)), (None, Whole(num_samples)))
    return Result(((*batch, num_samples),), axes, requires=tuple(needs))


def check_probability(p: float) -> None:
    """Raises ShapeMismatch unless `p` is a probability."""
    if not 0 <= p <= 1:
        raise ShapeMismatch(f"dropout: p={p}", cure="a probability lies between 0 and 1")


def _dropout(
    input: SymbolicTensor, p: float = 0.5, training: bool = True, *args: object, **kwargs: object
) -> Result:
    check_probability(p)
    if kwargs.get("train", training) and 0 < p < 1 and input.dtype not in meant("float complex"):
        raise not_taken(f"dropout of {input.dtype}, which it scales", "float complex")
    return elementwise(input)


def _alpha_dropout(
    input: SymbolicTensor, p: float = 0.5, training: bool = False, *args: object, **kwargs: object
) -> Result:
    return _dropout(input, p, bool(kwargs.get("train", training)))


def _of_channels(drop: Callable[..., Result], training: bool) -> Callable[..., Result]:
    """Dropout of whole channels, of which there must be an axis where any are dropped."""

    def operation(
        input: SymbolicTensor, p: float = 0.5, training: bool = training, *args: object, **k: object
    ) -> Result:
        if k.get("train", training) and 0 < p < 1 and input.ndim < 2:
            raise ShapeMismatch("dropout of channels takes two axes or more")
        return drop(input, p, training, *args, **k)

    return operation


_drops = partial(rules, saves=points.dropout)
_drops("dropout2d dropout3d feature_dropout")(_of_channels(_dropout, training=True))
_drops("alpha_dropout")(_alpha_dropout)
_drops("feature_alpha_dropout")(_of_channels(_alpha_dropout, training=False))
_drops("dropout", shows="every")(_dropout)


@rule("dropout1d", saves=points.dropout)
def dropout1d(
    input: SymbolicTensor, p: float = 0.5, training: bool = True, *args: object, **kwargs: object
) -> Result:
    """Dropout of whole channels, of a batch or of one sequence."""
    require_rank(input, (2, 3), "dropout1d")
    return _dropout(input, p, training)


@rule("uniform", other=work.nothing, saves=points.keeps_nothing, takes="float complex")
def uniform(input: SymbolicTensor, *interval: float, **kwargs: float) -> Result:
    """Filled with numbers drawn from an interval."""
    start, end = (*interval, 0.0, 1.0)[:2] if len(interval) != 1 else (interval[0], 1.0)
    if kwargs.get("from", start) > kwargs.get("to", end):
        raise ShapeMismatch(f"uniform: from {start} to {end} is no interval")
    return elementwise(input)


@rule("Tensor.normal_", saves=points.keeps_nothing, takes="float complex")
def normal_(
    input: SymbolicTensor, mean: float = 0.0, std: float = 1.0, *, generator: object = None
) -> Result:
    """Filled with numbers of a normal distribution."""
    if std < 0:
        raise ShapeMismatch(f"normal_: std={std}", cure="a spread is not negative")
    return elementwise(input)


@rule("exponential", other=work.nothing, saves=points.keeps_nothing, takes="float")
def exponential(input: SymbolicTensor, lambd: float = 1.0, **kwargs: object) -> Result:
    """Filled with numbers of an exponential distribution."""
    if lambd <= 0:
        raise ShapeMismatch(f"exponential: lambd={lambd}", cure="lambd is positive")
    return elementwise(input)


@rule("rrelu", saves=points.random_leaky, takes="float")
def rrelu(
    input: SymbolicTensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *args: object,
    **kwargs: object,
) -> Result:
    """Leaky ReLU with a random slope between the bounds."""
    if lower > upper:
        raise ShapeMismatch(f"rrelu: lower={lower} is above upper={upper}")
    return elementwise(input)
