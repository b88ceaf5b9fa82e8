"""A traced tensor has the dtype that torch would give it: torch is the judge."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from tests.corpus.forwards import Function

from .fuzz.torch_dtypes import check_dtypes, check_refused, operations

#: torch's own samples of these mix floats of several widths in ways of their own.
ODD_MIXTURES = frozenset(
    "nn.functional.binary_cross_entropy_with_logits nn.functional.triplet_margin_loss"
    " nn.functional.cosine_embedding_loss nn.functional.poisson_nll_loss normal"
    " nn.functional.pad.circular".split()
)


def test_every_operation_that_torch_declares_has_torchs_dtypes() -> None:
    compared = 0
    for op, name in [*operations()][::4]:
        if op.full_name not in ODD_MIXTURES:
            verdict = check_dtypes(op, name, count=1)
            assert verdict.differ == []
            compared += verdict.compared
    assert compared > 1000


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_a_hinge_embedding_loss_has_the_dtype_of_its_input_alone(dtype: torch.dtype) -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        target = torch.ones(5, dtype=torch.float64)
        return F.hinge_embedding_loss(x.to(dtype), target, reduction="none")

    net = symcnn.from_torch(Function(loss), "5")
    assert net.output_tensors[0].dtype == str(loss(torch.zeros(5)).dtype).removeprefix("torch.")


#: torch casts the bias of "same" padding in 3-d and whole numbers among biases of attention;
#: no processor draws complex numbers for this dropout, and no declaration says so.
ODD_REFUSALS = frozenset(
    "nn.functional.conv3d nn.functional.multi_head_attention_forward"
    " nn.functional.feature_alpha_dropout.with_train".split()
)


def test_where_torch_takes_a_dtype_so_do_we_and_where_it_refuses_we_refuse() -> None:
    compared = 0
    for op, name in [*operations()][1::15]:
        if op.full_name not in ODD_REFUSALS:
            verdict = check_refused(op, name)
            assert verdict.differ == []
            compared += verdict.compared
    assert compared > 150


def test_python_s_operators_on_tensors_are_bitwise() -> None:
    module = Function(lambda x: (~x.long() & 1 | 2 ^ x.long()) << 1)
    answer = symcnn.from_torch(module, "2 3 4 6").outputs
    tensor: Any = symcnn.from_torch(module, "2 3 4 6").nodes[-1].made
    assert tensor.dtype == "int64"
    assert answer == (2, 3, 4, 6)


#: What torch refuses for a dtype, and what it takes in its place.
CASTS = {
    "one less a mask": (lambda x: 1 - (x > 0), lambda x: 1 - (x > 0).float()),
    "a mask less a mask": (lambda x: (x > 0) - (x > 1), lambda x: (x > 0).int() - (x > 1).int()),
    "floats joined by and": (lambda x: x & x, lambda x: x.long() & x.long()),
    "floats turned round": (lambda x: ~x, lambda x: ~x.bool()),
    "a mask of whole numbers": (
        lambda x: x.masked_fill(x.long(), 0),
        lambda x: x.masked_fill(x.bool(), 0),
    ),
    "a condition of whole numbers": (
        lambda x: torch.where(x.long(), x, 0),
        lambda x: torch.where(x.bool(), x, 0),
    ),
    "nearest of whole numbers": (
        lambda x: F.interpolate(x.long(), scale_factor=2),
        lambda x: F.interpolate(x.byte(), scale_factor=2),
    ),
    "pooled whole numbers": (
        lambda x: F.adaptive_avg_pool2d(x.long(), 2),
        lambda x: F.max_pool2d(x.long(), 2),
    ),
    "norms of two widths": (
        lambda x: F.layer_norm(x, (6,), torch.ones(6, dtype=torch.double)),
        lambda x: F.layer_norm(x.bfloat16(), (6,), torch.ones(6)),
    ),
    "attention of two widths": (
        lambda x: F.scaled_dot_product_attention(x, x, x.double()),
        lambda x: F.scaled_dot_product_attention(x, x, x.double().float()),
    ),
    "written by an index": (
        lambda x: x[0].index_put((x[0, :, 0, 0].argsort(),), x[0].double()),
        lambda x: x[0].index_put((x[0, :, 0, 0].argsort(),), x[0].double().float()),
    ),
    "scattered": (
        lambda x: x.scatter(1, x.argsort(1), x.double()),
        lambda x: x.scatter(1, x.argsort(1), x.double().float()),
    ),
    "interpolated between": (
        lambda x: torch.lerp(x, x.double(), 0.5),
        lambda x: torch.lerp(x.double(), x.double(), 0.5),
    ),
    "complex numbers in order": (lambda x: torch.fft.fft(x) > 0, lambda x: torch.fft.fft(x) != 0),
    "a pair of widths": (lambda x: torch.polar(x, x.double()), lambda x: torch.polar(x, x)),
    "classes of 32 bits": (
        lambda x: F.cross_entropy(x, x.argmax(1).int()),
        lambda x: F.cross_entropy(x, x.argmax(1).int().long()),
    ),
    "probabilities of whole numbers": (
        lambda x: F.cross_entropy(x, x.long()),
        lambda x: F.cross_entropy(x, x),
    ),
    "dropped whole numbers": (
        lambda x: F.dropout(x.long(), 0.5),
        lambda x: F.dropout(x.long(), 0.5, training=False),
    ),
    "rounded masks": (
        lambda x: torch.div(x > 0, x > 0, rounding_mode="floor"),
        lambda x: torch.div(x > 0, 2, rounding_mode="floor"),
    ),
    "distances of 16 bits": (
        lambda x: torch.pdist(x[0, 0].bfloat16()),
        lambda x: torch.pdist(x[0, 0]),
    ),
    "a determinant of 16 bits": (
        lambda x: torch.det(x[..., :4].bfloat16()),
        lambda x: torch.det(x[..., :4].double()),
    ),
    "frames of 16 bits": (
        lambda x: torch.stft(x[0, 0, 0].bfloat16(), 4, return_complex=True),
        lambda x: torch.stft(x[0, 0, 0].bfloat16(), 4, window=torch.ones(4), return_complex=True),
    ),
    "half of a spectrum": (
        lambda x: torch.fft.rfft(torch.fft.fft(x)),
        lambda x: torch.fft.rfft(torch.fft.fft(x).real),
    ),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_dtype_that_torch_refuses_is_refused_and_what_it_takes_is_taken(name: str) -> None:
    wrong, right = CASTS[name]
    x = torch.randn(2, 3, 4, 6)
    with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
        wrong(x)
    with pytest.raises(symcnn.ShapeMismatch) as caught:
        symcnn.from_torch(Function(wrong), "2 3 4 6")
    assert caught.value.cure
    net = symcnn.from_torch(Function(right), "2 3 4 6")
    assert net.output_shape == tuple(right(x).shape)


def test_a_mask_that_is_an_input_is_truth_values() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return x.masked_fill(mask, 0.0)

    net = symcnn.from_torch(Masked(), "N L", "N L")
    assert net.nodes[0].inputs[1].dtype == "bool"


class Asks(nn.Module):
    """Tells what it is answered about what `make` makes."""

    def __init__(self, make: Any, ask: Any, tell: Any) -> None:
        super().__init__()
        self.make, self.ask, self.tell = make, ask, tell
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.tell(self.ask(self.make(self, x)))
        return x


MADE = {
    "itself": lambda m, x: x,
    "a comparison": lambda m, x: x > 0,
    "a mask of a mask": lambda m, x: (x > 0) & (x < 1),
    "a mask turned round": lambda m, x: ~(x > 0),
    "indices": lambda m, x: x.argmax(1),
    "indices of a maximum": lambda m, x: x.max(1).indices,
    "the maximum": lambda m, x: x.max(1)[0],
    "pool indices": lambda m, x: m.pool(x)[1],
    "sorted places": lambda m, x: x.sort(-1)[1],
    "half": lambda m, x: x.half(),
    "double": lambda m, x: x.double(),
    "bfloat16 and float32": lambda m, x: x.bfloat16() + x,
    "half and bfloat16": lambda m, x: x.half() * x.bfloat16(),
    "half and a number": lambda m, x: x.half() * 2.5,
    "integers and a number": lambda m, x: x.long() * 2.5,
    "integers and a whole number": lambda m, x: x.int() * 2,
    "a quotient of integers": lambda m, x: x.long() / 2,
    "a whole quotient": lambda m, x: x.long() // 2,
    "divided downwards": lambda m, x: torch.div(x.long(), 2, rounding_mode="floor"),
    "a sum of a mask": lambda m, x: (x > 0).sum(1),
    "a mean of half": lambda m, x: x.half().mean((2, 3)),
    "a mean in another dtype": lambda m, x: x.long().mean(1, dtype=torch.float64),
    "a softmax in float32": lambda m, x: x.half().softmax(1, dtype=torch.float32),
    "a softmax in a dtype by place": lambda m, x: x.softmax(1, torch.float64),
    "a log_softmax of integers": lambda m, x: torch.log_softmax(x.long(), 1, torch.float64),
    "to": lambda m, x: x.to(torch.float16),
    "to by name": lambda m, x: x.to(dtype=torch.int32),
    "to another": lambda m, x: x.to(x.argmax(1)),
    "to a device": lambda m, x: x.half().to(x.device),
    "type_as": lambda m, x: x.type_as(x > 0),
    "type of a name": lambda m, x: x.type("torch.HalfTensor"),
    "where": lambda m, x: torch.where(x > 0, x.half(), 0.0),
    "concatenated": lambda m, x: torch.cat([x.half(), x.long()], 1),
    "zeros_like": lambda m, x: torch.zeros_like(x > 0),
    "ones_like in half": lambda m, x: torch.ones_like(x, dtype=torch.half),
    "new zeros": lambda m, x: x.half().new_zeros(x.shape),
    "zeros of its size": lambda m, x: torch.zeros(x.shape),
    "arange": lambda m, x: torch.arange(x.shape[2]),
    "arange in floats": lambda m, x: torch.arange(0.0, x.shape[2]),
    "full of a truth": lambda m, x: torch.full(x.shape, True),
    "one-hot": lambda m, x: F.one_hot(x.argmax(1), 3),
    "a spectrum": lambda m, x: torch.fft.rfft2(x),
    "the size of a spectrum": lambda m, x: torch.fft.rfft2(x).abs(),
    "written into": lambda m, x: x.half().add_(x),
    "0-d and with axes": lambda m, x: x.half() + torch.tensor(1.0),
    "nonzero": lambda m, x: x.isnan().any(),
}

ASKED = {
    "dtype": lambda t: t.dtype,
    "is_floating_point": lambda t: (t.is_floating_point(), torch.is_floating_point(t)),
    "is_complex": lambda t: (t.is_complex(), torch.is_complex(t)),
    "element_size": lambda t: t.element_size(),
    "type": lambda t: t.type(),
    "legacy": lambda t: (isinstance(t, torch.HalfTensor), isinstance(t, torch.LongTensor)),
    "result_type": lambda t: (torch.result_type(t, 1), torch.result_type(t, 1.5)),
    "itemsize": lambda t: t.itemsize,
    "is_signed": lambda t: t.is_signed(),
}


@pytest.mark.parametrize("ask", ASKED)
def test_questions_about_dtypes_are_answered_as_torch_answers_them(ask: str) -> None:
    for name, make in MADE.items():
        answers: list[Any] = []
        module = Asks(make, ASKED[ask], answers.append)
        module(torch.randn(2, 3, 8, 8))
        symcnn.from_torch(module, "N 3 H W")
        theirs, *ours = answers
        assert ours, name
        assert {*ours} == {theirs}, name


def test_an_input_that_is_an_index_is_whole() -> None:
    answers: list[Any] = []
    tell = answers.append

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(10, 4), nn.Linear(4, 3)

        def forward(self, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            tell((ids.dtype, x.dtype, (ids + 1).dtype))
            return self.head(self.table(ids + 1)) + x

    net = symcnn.from_torch(Model(), "N L", "N L 3")
    assert answers[-1] == (torch.int64, torch.float32, torch.int64)
    assert [t.dtype for t in net.input_tensors] == ["int64", "float32"]


def test_an_input_computes_in_the_dtype_of_most_parameters_whichever_comes_first() -> None:
    class Bands(nn.Module):
        """A filter bank of double frequencies; the layers after it are single."""

        def __init__(self) -> None:
            super().__init__()
            self.frequencies = nn.Parameter(torch.linspace(0, 1, 8, dtype=torch.float64))
            self.conv, self.norm = nn.Conv1d(8, 4, 3), nn.BatchNorm1d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            filters = torch.zeros(8, 1, 5)
            for i in range(8):
                filters[i, 0] = self.frequencies[i] * torch.arange(5)
            return self.norm(self.conv(F.conv1d(x, filters)))

    assert Bands()(torch.zeros(2, 1, 50)).shape == (2, 4, 44)
    assert symcnn.from_torch(Bands(), "N 1 L").shape_at(N=2, L=50) == (2, 4, 44)


def test_an_index_of_floats_is_refused() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.table(ids.float())

    with pytest.raises(
        symcnn.ShapeMismatch, match="embedding of float32, its input: torch takes int32 or int64"
    ):
        symcnn.from_torch(Model(), "N L")


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (lambda x: x.long().mean(), "mean of int64"),
        (lambda x: (x > 0).softmax(1), "softmax of bool"),
        (lambda x: F.conv2d(x.half(), torch.ones(4, 3, 1, 1)), "conv2d: float16 and float32"),
        (lambda x: x.double() @ x, "matmul: float64 and float32"),
        (lambda x: x.long().add_(0.5), "float32 cannot be written into a tensor of int64"),
    ],
)
def test_what_torch_refuses_for_its_dtype_is_refused(
    forward: Callable[..., Any], says: str
) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(x)

    with pytest.raises(RuntimeError):
        Model()(torch.zeros(2, 3, 4, 4))
    with pytest.raises(symcnn.ShapeMismatch, match=says):
        symcnn.from_torch(Model(), "N 3 4 4")


def test_autocast_is_seen() -> None:
    answers: list[Any] = []
    tell = answers.append

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = self.conv(x)
                z = F.layer_norm(y.mean((2, 3)), (4,))
                loss = F.mse_loss(self.head(z), torch.zeros(2, 5))
                tell((y.dtype, z.dtype, (y + 1.5).dtype, loss.dtype))
            tell((self.conv(x).dtype, y.dtype))
            return x

    module = Model()
    module(torch.zeros(2, 3, 8, 8))
    want = answers[:2]
    del answers[:]
    symcnn.from_torch(module, "2 3 H W")
    assert answers[-2:] == want


LOW = torch.bfloat16
WIDE = torch.ones(6, 2, dtype=torch.complex64)
WEIGHT = torch.tensor(0.5)

MIXED = {
    "a learned slope": lambda x: F.prelu(x, torch.ones(1)),
    "a spectrum": lambda x: torch.view_as_real(torch.fft.fft(x)),
    "a product of spectra": lambda x: torch.fft.fft(x) @ WIDE,
    "an outer product of numbers": lambda x: torch.einsum("nchw,w->nchw", x.long(), torch.ones(6)),
    "a complex number of 16 bits": lambda x: (x.to(LOW) * 1j) @ WIDE,
    "an outer product": lambda x: torch.einsum("nchw,w->nchw", x, torch.ones(6)),
    "an equation": lambda x: torch.einsum("nchw,wd->nchd", x, torch.ones(6, 2)),
    "a matrix and a vector": lambda x: torch.mv(x[0, 0], torch.ones(6)),
    "a reflected image": lambda x: F.pad(x.to(LOW), (1, 1, 1, 1), mode="reflect"),
    "a repeated border": lambda x: F.pad(x.to(LOW), (1, 1, 1, 1), mode="replicate"),
    "a reflected volume": lambda x: F.pad(x.to(LOW)[None], (1,) * 6, mode="reflect"),
    "an image padded with zeros": lambda x: F.pad(x.to(LOW), (1, 1)),
    "a pooled volume": lambda x: F.max_pool3d(x.to(LOW), 2),
    "places in a volume": lambda x: F.max_pool3d(x.to(LOW), 2, return_indices=True)[1] + 1,
    "an unpooled row": lambda x: F.max_unpool1d(x[0].to(LOW), x[0].long() * 0, 1),  # type: ignore[arg-type]
    "a volume by area": lambda x: F.interpolate(x.to(LOW)[None], size=2, mode="area"),
    "a norm over images": lambda x: F.local_response_norm(x.to(LOW)[0], 2),
    "a mix by a learned number": lambda x: torch.lerp(x.to(LOW), x.to(LOW), WEIGHT),
}


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", MIXED)
def test_what_torch_promotes_or_casts_is_taken_under_autocast_too(
    name: str, autocast: bool
) -> None:
    """Counterexamples of a review: prelu, spectra and numbers in low precision were refused."""

    def forward(x: Any) -> Any:
        with torch.autocast("cpu", dtype=LOW, enabled=autocast):
            return MIXED[name](x)

    net = symcnn.from_torch(Function(forward), "2 3 4 6")
    want = forward(torch.randn(2, 3, 4, 6))
    assert net.output_shape == tuple(want.shape)
    assert f"torch.{net.nodes[-1].outputs[0].dtype}" == str(want.dtype)


FILLS: dict[str, Callable[[torch.Tensor, Any], torch.Tensor]] = {
    "full_like": lambda x, v: torch.full_like(x, v),
    "new_full": lambda x, v: x.new_full((2,), v),
    "fill_": lambda x, v: x.fill_(v),
    "masked_fill": lambda x, v: x.masked_fill(x == 0, v),
    "index_fill": lambda x, v: x.index_fill(0, torch.tensor([0]), v),
    "scatter": lambda x, v: x.scatter(0, torch.zeros(1, 1, 1, 1).long(), v),
    "pad": lambda x, v: F.pad(x, (1, 1), value=v),
    "constant_pad_nd": lambda x, v: torch.constant_pad_nd(x, (1, 1), v),
    "setitem": lambda x, v: _written(x, v),
}


def _written(x: torch.Tensor, value: Any) -> torch.Tensor:
    x[:1] = value
    return x


NUMBERS = (0, -1, -0.5, 127, 128, -129, 255.5, 256, 65504, 65520, -1e9, 3.4e38, 2.0**63, 1e39)
EDGES = (float("inf"), float("-inf"), float("nan"), True)


@pytest.mark.parametrize("dtype", "bool uint8 int8 int64 float16 bfloat16 float32".split())
@pytest.mark.parametrize("name", FILLS)
def test_a_number_that_fills_a_tensor_is_one_of_its_dtype(name: str, dtype: str) -> None:
    """An attention mask of -1e9 in float16, a pad of infinity in places: torch refuses both."""
    for number in (*NUMBERS, *EDGES):

        def forward(x: torch.Tensor, number: Any = number) -> torch.Tensor:
            return FILLS[name](x.to(getattr(torch, dtype)), number)

        refused = [True, True]
        with suppress(RuntimeError, TypeError):
            forward(torch.zeros(2, 3, 4, 6))
            refused[0] = False
        with suppress(symcnn.ShapeMismatch):
            symcnn.from_torch(Function(forward), "2 3 4 6")
            refused[1] = False
        assert refused[0] == refused[1], number


@pytest.mark.parametrize("name", ["full_like", "new_full", "fill_", "masked_fill", "pad"])
def test_a_tensor_with_axes_fills_none(name: str) -> None:
    module = Function(lambda x: FILLS[name](x, x.mean((0, 1, 2))))
    with pytest.raises((RuntimeError, TypeError)):
        module(torch.zeros(2, 3, 4, 6))
    with pytest.raises(symcnn.ShapeMismatch, match="takes one value"):
        symcnn.from_torch(module, "2 3 4 6")


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.to(int),
        lambda x: x.to(dtype=float),
        lambda x: x.sum(dtype=bool),
        lambda x: x.softmax(-1, dtype=float),
        lambda x: torch.zeros(x.shape[2], dtype=int),  # type: ignore[call-overload]
        lambda x: torch.zeros(x.shape[2], dtype=complex),  # type: ignore[call-overload]
        lambda x: torch.full((x.shape[2],), 2, dtype=bool),  # type: ignore[call-overload]
        lambda x: torch.tensor(x.shape, dtype=int),  # type: ignore[arg-type]
        lambda x: x.new_ones(x.shape, dtype=int),
    ],
)
def test_a_type_of_python_is_the_dtype_that_torch_takes_it_for(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    net = symcnn.from_torch(Function(forward), "2 3 H W")
    assert net.output_tensors[0].dtype == str(forward(torch.zeros(2, 3, 4, 6)).dtype)[6:]


@pytest.mark.parametrize(
    ("channels", "layer"),
    [
        (1, nn.Conv1d(1, 2, 4, stride=2, dtype=torch.complex128)),
        (2, nn.Conv1d(2, 2, 2, padding="same", dtype=torch.complex64)),
        (4, nn.Conv1d(4, 4, 3, padding="same", groups=2, bias=False, dtype=torch.complex64)),
        (4, nn.ConvTranspose1d(4, 2, 2, stride=2, dtype=torch.complex64)),
    ],
)
def test_a_complex_network_is_validated_by_complex_inputs(channels: int, layer: nn.Module) -> None:
    """Also what autograd keeps: of both parts' sums, as torch runs three products of real ones."""
    given = symcnn.tensor(f"N {channels} L", dtype=str(layer.weight.dtype)[6:])
    report = symcnn.from_torch(layer, given).validate(layer, "cpu", samples=4)
    assert report, str(report)
    assert "saved" in {check.what for check in report.passed}


def test_no_other_number_cures_a_dtype() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(7, 5, dtype=torch.float64))
    with pytest.raises(symcnn.ShapeMismatch, match="cast one of them") as refusal:
        symcnn.from_torch(model, "N 3 9 9")
    assert "model[1] =" not in str(refusal.value)


@pytest.mark.parametrize("exponent", [-1, 0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16, torch.float32])
def test_a_power_takes_what_its_products_take(exponent: int, dtype: torch.dtype) -> None:
    def power(x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.matrix_power(torch.eye(x.shape[2]).to(dtype), exponent)

    try:
        shape = tuple(power(torch.zeros(1, 3, 4, 4)).shape)
    except RuntimeError:
        with pytest.raises(symcnn.ShapeMismatch, match="matrix_power"):
            symcnn.from_torch(Function(power), "N 3 H W")
    else:
        assert symcnn.from_torch(Function(power), "N 3 H W").shape_at(N=1, H=4, W=4) == shape
