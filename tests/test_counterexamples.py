"""Cases that a random search once found wrong, each kept by name: torch refuses, and so do we."""

import pytest

from symcnn.errors import SymcnnError
from symcnn.graph import OPS, Tape, tensor

torch = pytest.importorskip("torch")
F = torch.nn.functional


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


def arguments(values, make):
    return [make(v) if isinstance(v, str) and "->" not in v and v != "mean" else v for v in values]


def symbolic(spec):
    sizes = spec.removesuffix(" long").split()
    found = tensor(" ".join(sizes) or "1")
    found.dims = tuple(map(int, sizes))
    return found


def real(spec):
    sizes = list(map(int, spec.removesuffix(" long").split()))
    return torch.zeros(sizes, dtype=torch.int64 if spec.endswith("long") else torch.float32)


@pytest.mark.parametrize("name", CASES)
def test_regression(name):
    rule, function, values = CASES[name]
    with pytest.raises((RuntimeError, ValueError, AssertionError, IndexError)):
        function(*arguments(values, real))
    with Tape().running(), pytest.raises(SymcnnError):
        OPS[rule](*arguments(values, symbolic))


def test_attention_whose_weight_is_not_for_query_key_and_value():
    weights = (2, 2), (2,)
    real_ones = [torch.zeros(5, 2), *map(torch.zeros, weights)]
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        F.multi_head_attention_forward(*attention_args(*real_ones))
    ours = [symbolic("5 2"), symbolic("2 2"), symbolic("2")]
    with Tape().running(), pytest.raises(SymcnnError):
        OPS["multi_head_attention_forward"](*attention_args(*ours))


def attention_args(query, weight, bias):
    """Two features, two heads; torch wants a weight of 6 x 2."""
    return query, query, query, 2, 2, weight, bias, None, None, False, 0.0, weight, bias
