"""Cases that a random search once found wrong, each kept by name: torch refuses, and so do we."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F

import symcnn
from symcnn.algebra.expr import from_sympy, to_sympy
from symcnn.algebra.size import lower
from symcnn.errors import InvalidInput, SymcnnError
from symcnn.testing import In, Index, Layer
from symcnn.trace.graph import OPS, tensor
from symcnn.trace.tape import Tape

CASES = {
    "diff: a part of another width": ("diff", torch.diff, ("3 3 2", 1, 1, "3 1 3")),
    "index_add: five indices into a number": (
        "index_add",
        torch.index_add,
        ("", 0, "5 long", ""),
    ),
    "index_reduce: five indices into a number": (
        "index_reduce",
        torch.index_reduce,
        ("", 0, "5 long", "", "mean"),
    ),
    "soft_margin_loss: a target wider than the input": (
        "soft_margin_loss",
        F.soft_margin_loss,
        ("1", "9"),
    ),
    "gaussian_nll_loss: a variance wider than the input": (
        "gaussian_nll_loss",
        F.gaussian_nll_loss,
        ("1", "1", "3"),
    ),
    "ctc_loss: lengths of another batch": (
        "ctc_loss",
        F.ctc_loss,
        ("5 6 8", "6 9", (5, 5, 5), (9, 9, 9)),
    ),
    "embedding: a padding index past the table": ("embedding", F.embedding, ("4 long", "2 2", 2)),
    "einsum: a diagonal of a rectangle": ("einsum", torch.einsum, ("iji->j", "1 2 7")),
}


def arguments(values: Any, make: Callable[..., Any]) -> list[Any]:
    return [make(v) if isinstance(v, str) and "->" not in v and v != "mean" else v for v in values]


def symbolic(spec: str) -> Any:
    sizes = spec.removesuffix(" long").split()
    found = tensor(" ".join(sizes) or "1")
    found.dims = tuple(map(int, sizes))
    return found


def real(spec: str) -> torch.Tensor:
    sizes = list(map(int, spec.removesuffix(" long").split()))
    return torch.zeros(sizes, dtype=torch.int64 if spec.endswith("long") else torch.float32)


@pytest.mark.parametrize("name", CASES)
def test_regression(name: str) -> None:
    function: Any
    rule, function, values = CASES[name]
    with pytest.raises((RuntimeError, ValueError, AssertionError, IndexError)):
        function(*arguments(values, real))
    with Tape().running(), pytest.raises(SymcnnError):
        OPS[rule](*arguments(values, symbolic))


def test_attention_whose_weight_is_not_for_query_key_and_value() -> None:
    weights = (2, 2), (2,)
    real_ones = [torch.zeros(5, 2), *map(torch.zeros, weights)]
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        F.multi_head_attention_forward(*attention_args(*real_ones))
    ours = [symbolic("5 2"), symbolic("2 2"), symbolic("2")]
    with Tape().running(), pytest.raises(SymcnnError):
        OPS["multi_head_attention_forward"](*attention_args(*ours))


def attention_args(query: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    """Two features, two heads; torch wants a weight of 6 x 2."""
    return query, query, query, 2, 2, weight, bias, None, None, False, 0.0, weight, bias


LAYERS = {
    "fold and unfold take a tuple of one for no pair": (
        Layer("Fold", ((4, 6), 1), {"dilation": (1,), "padding": 1}, "5 C L"),
        {"C": 3, "L": 48},
    ),
    "max_unpool3d wants positive strides": (
        Layer("MaxUnpool3d", (2,), {"stride": (1, 0, -1)}, "2 5 6 7", more=(Index("2 5 6 7"),)),
        {},
    ),
    "max_unpool with an output size has whole kernels too": (
        Layer("MaxUnpool3d", (None,), {"stride": 1}, "2 3 4 5", more=(Index("2 3 4 5"),)),
        {},
    ),
    "fractional_max_pool2d may fill the input": (
        Layer("FractionalMaxPool2d", (3,), {"output_size": 2}, "C H W"),
        {"C": 2, "H": 4, "W": 4},
    ),
    "fractional_max_pool3d wants one place to spare": (
        Layer("FractionalMaxPool3d", (3,), {"output_size": 1}, "C D H W"),
        {"C": 9, "D": 13, "H": 3, "W": 14},
    ),
    "fractional_max_pool2d does not look at its kernel": (
        Layer("FractionalMaxPool2d", ((1, -1),), {"output_ratio": 1 / 3}, "C H W"),
        {"C": 5, "H": 17, "W": 6},
    ),
    "cross_entropy does not smooth below zero": (
        Layer("CrossEntropyLoss", (), {"label_smoothing": -0.1}, "N C", more=(Index("N"),)),
        {"N": 2, "C": 9},
    ),
    "cosine_embedding_loss of two vectors takes one number": (
        Layer("CosineEmbeddingLoss", (), {}, "C", more=(In("C"), In("1"))),
        {"C": 15},
    ),
    "margin_ranking_loss wants equal ranks": (
        Layer("MarginRankingLoss", (), {}, "5 C H", more=(In("C H"), In("1 1 H"))),
        {"C": 7, "H": 10},
    ),
    "ctc_loss: as many targets as their lengths say": (
        Layer("CTCLoss", (), {}, "5 C", more=(Index("2"), (5,), (1,))),
        {"C": 2},
    ),
    "gaussian_nll_loss: a variance per element whose size is a number": (
        Layer("GaussianNLLLoss", (), {}, "N C", more=(In("N C"), In("3 C"))),
        {"N": 3, "C": 14},
    ),
    "gaussian_nll_loss: one axis shared, one whose size is a number": (
        Layer("GaussianNLLLoss", (), {}, "N C H", more=(In("N C H"), In("N 2 1"))),
        {"N": 1, "C": 2, "H": 4},
    ),
    "gaussian_nll_loss: two axes shared": (
        Layer("GaussianNLLLoss", (), {}, "N C H", more=(In("N C H"), In("N 1 1"))),
        {"N": 3, "C": 2, "H": 4},
    ),
    "multilabel_soft_margin_loss sums over the input's last axis": (
        Layer("MultiLabelSoftMarginLoss", (), {"reduction": "none"}, "3 C", more=(In("3 3 C"),)),
        {"C": 14},
    ),
    "gaussian_nll_loss: a variance per sample whose size is a number": (
        Layer("GaussianNLLLoss", (), {}, "N 2", more=(In("N"), In("2"))),
        {"N": 2},
    ),
    "triplet_margin_loss: positive and negative meet the anchor, not each other": (
        Layer("TripletMarginLoss", (), {}, "N", more=(In("2"), In("3"))),
        {"N": 1},
    ),
    "triplet_margin_loss: to swap, positive and negative must meet": (
        Layer("TripletMarginLoss", (), {"swap": True}, "N", more=(In("2"), In("3"))),
        {"N": 1},
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_regression_of_a_layer(name: str) -> None:
    layer, at = LAYERS[name]
    assert layer.symcnn_shape(at) == layer.torch_shape(at)


def test_an_error_that_is_only_caught_finds_out_no_cure() -> None:
    asked = []
    error = InvalidInput("the cause", cure=lambda: asked.append("once") or "the cure")  # type: ignore[func-returns-value]
    assert error.cause == "the cause"
    assert not asked
    assert str(error) == "the cause\n  the cure"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert asked == ["once"]


def test_odd_symbols_of_one_name_and_other_assumptions_are_told_apart() -> None:
    plain, positive = sympy.Symbol("k", odd=True), symcnn.odd("k")
    assert to_sympy(from_sympy(plain)) == plain
    assert to_sympy(from_sympy(positive)) == positive != plain
    assert lower(from_sympy(positive)) == 1
    assert lower(from_sympy(plain)) is None
