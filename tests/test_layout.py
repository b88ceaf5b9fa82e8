"""How a traced tensor lies in memory: torch is the judge, or the answer is refused by name."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn.trace.rerun import Replay

torch.set_num_threads(1)

SIZES = {"N": 2, "H": 8, "W": 12}

MADE = {
    "itself": lambda m, x: x,
    "permute": lambda m, x: x.permute(0, 2, 3, 1),
    "permute, contiguous": lambda m, x: x.permute(0, 2, 3, 1).contiguous(),
    "permute, doubled": lambda m, x: x.permute(0, 2, 3, 1) * 2,
    "permute, clone": lambda m, x: x.permute(0, 2, 3, 1).clone(),
    "permute and back": lambda m, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2),
    "transpose": lambda m, x: x.transpose(1, 2),
    "tokens": lambda m, x: x.flatten(2).transpose(1, 2),
    "tokens, normed": lambda m, x: F.layer_norm(x.flatten(2).transpose(1, 2), (3,)),
    "tokens, linear": lambda m, x: m.linear(x.flatten(2).transpose(1, 2)),
    "image of tokens": lambda m, x: x.flatten(2).transpose(1, 2).mT.view(x.shape),
    "a part of the channels": lambda m, x: x[:, 1:],
    "a part of the rows": lambda m, x: x[:, :, 1:-1],
    "every second": lambda m, x: x[..., ::2],
    "a part, doubled": lambda m, x: x[:, 1:] * 2,
    "one channel": lambda m, x: x[:, 1],
    "one channel, alone": lambda m, x: x[:, 1:2],
    "the last row": lambda m, x: x[:, :, -1],
    "a new axis": lambda m, x: x[:, None],
    "select": lambda m, x: x.select(1, 2),
    "select, from the end": lambda m, x: x.select(2, -1),
    "narrow": lambda m, x: x.narrow(1, 1, 2),
    "narrow, from the end": lambda m, x: x.narrow(2, -3, 2),
    "chunk": lambda m, x: x.chunk(3, 1)[2],
    "split": lambda m, x: x.split(2, 1)[0],
    "unbind": lambda m, x: x.unbind(1)[1],
    "expand": lambda m, x: x[:, :1].expand(-1, 5, -1, -1),
    "unsqueeze": lambda m, x: x.unsqueeze(2),
    "squeeze": lambda m, x: x.unsqueeze(2).squeeze(2),
    "flatten": lambda m, x: x.flatten(1),
    "reshape": lambda m, x: x.reshape(x.shape[0], -1, x.shape[3]),
    "reshape of a permuted": lambda m, x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 3),
    "windows": lambda m, x: x.view(-1, 3, x.shape[2] // 4, 4, x.shape[3] // 4, 4).transpose(3, 4),
    "unfold": lambda m, x: x.unfold(2, 4, 4),
    "conv": lambda m, x: m.conv(x),
    "conv of a permuted": lambda m, x: m.conv(x.transpose(2, 3)),
    "channels last": lambda m, x: x.contiguous(memory_format=torch.channels_last),
    "to channels last": lambda m, x: x.to(memory_format=torch.channels_last),
    "conv of channels last": lambda m, x: m.conv(x.to(memory_format=torch.channels_last)),
    "weights with channels last": lambda m, x: m.last(x),
    "normed channels last": lambda m, x: m.norm(x.to(memory_format=torch.channels_last)),
    "pooled channels last": lambda m, x: F.max_pool2d(m.last(x), 2),
    "relu of channels last": lambda m, x: m.last(x).relu(),
    "sum with channels last": lambda m, x: m.last(x) + m.conv(x),
    "joined with channels last": lambda m, x: torch.cat([m.last(x), m.last(x)], 1),
    "resized channels last": lambda m, x: F.interpolate(m.last(x), scale_factor=2),
    "padded": lambda m, x: F.pad(x, (1, 1)),
    "joined": lambda m, x: torch.cat([x, x], 1),
    "stacked": lambda m, x: torch.stack([x, x], 1),
    "mean": lambda m, x: x.mean((2, 3)),
    "argmax": lambda m, x: x.argmax(1),
    "half of a permuted": lambda m, x: x.permute(0, 2, 3, 1).half(),
    "zeros_like of a permuted": lambda m, x: torch.zeros_like(x.permute(0, 2, 3, 1)),
    "a comparison of a permuted": lambda m, x: x.permute(0, 2, 3, 1) > 0,
    "written into": lambda m, x: x.permute(0, 2, 3, 1).mul_(2),
    "matmul": lambda m, x: x @ x.mT,
    "recurrent": lambda m, x: m.lstm(x[:, :, 0].mT)[0],
    "recurrent, batch first": lambda m, x: m.gru(x[:, :, 0].mT)[0],
    "the last states": lambda m, x: m.gru(x[:, :, 0].mT)[1],
    "made anew": lambda m, x: x.new_zeros(x.shape[0], 3),
}

LAST, LAST_3D = torch.channels_last, torch.channels_last_3d

ASKED = {
    "stride": lambda t: tuple(t.stride()),
    "one stride": lambda t: (t.stride(0), t.stride(-1)),
    "is_contiguous": lambda t: t.is_contiguous(),
    "channels last": lambda t: t.is_contiguous(memory_format=LAST) if t.ndim == 4 else None,
    "channels last in 3-d": lambda t: t.is_contiguous(memory_format=LAST_3D) if t.ndim == 5 else 0,
    "storage_offset": lambda t: t.storage_offset(),
    "numel": lambda t: (t.numel(), torch.numel(t), t.nelement()),
    "nbytes": lambda t: t.nbytes,
    "get_device": lambda t: (t.get_device(), t.layout, t.is_sparse, t.is_cuda, t.device.type),
    "dim": lambda t: (t.dim(), t.ndimension(), len(t.shape), len(t)),
}


class Asks(nn.Module):
    """Tells what it is answered about what `make` makes."""

    def __init__(self, make: Any, ask: Any, tell: Any) -> None:
        super().__init__()
        self.make, self.ask, self.tell = make, ask, tell
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3)
        self.last = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.linear, self.lstm = nn.Linear(3, 5), nn.LSTM(3, 4)
        self.gru = nn.GRU(3, 4, 2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.tell(self.ask(self.make(self, x)))
        return x


#: What the record leaves open, and says so.
OPEN = {"conv of a permuted", "sum with channels last"}


@pytest.mark.parametrize("ask", ASKED)
def test_questions_about_memory_are_answered_as_torch_answers_them(ask: str) -> None:
    """Answers that are formulas hold at sizes."""
    wrong = []
    for name, make in MADE.items():
        answers: list[Any] = []
        module = Asks(make, ASKED[ask], answers.append)
        module(torch.zeros(*SIZES.values(), 1).squeeze(-1).unsqueeze(1).expand(2, 3, 8, 12).clone())
        (want,) = answers
        del answers[:]
        try:
            net = symcnn.from_torch(module, "N 3 H W")
        except symcnn.DataDependent:
            assert name in OPEN, name
            continue
        del net
        have = [at(answer) for answer in answers]
        if want not in have:
            wrong.append((name, want, answers))
    assert wrong == []


def test_an_axis_of_size_1_has_the_stride_that_torch_gives_it() -> None:
    for name in MADE.keys() - OPEN:
        answers: list[Any] = []
        module = Asks(MADE[name], ASKED["stride"], answers.append)
        module(torch.zeros(1, 3, 8, 12))
        symcnn.from_torch(module, "1 3 8 12")
        assert answers[0] == answers[1], name


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: x.relu(),
        lambda m, x: x + 1,
        lambda m, x: 1 - x,
        lambda m, x: x + x.mean(-1, keepdim=True),
        lambda m, x: x.clone(),
        lambda m, x: x.half(),
    ],
)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 16, 2, 16), (2, 0, 3, 1)), ((1, 2, 1), (1, 2, 0)), ((1, 1, 3, 1, 3), (3, 0, 2, 1, 4))],
)
def test_an_inner_axis_of_size_1_has_the_stride_that_torch_gives_it(
    make: Callable[..., Any], shape: tuple[Any, ...], axes: tuple[Any, ...]
) -> None:
    answers: list[Any] = []
    module = Asks(lambda m, x: make(m, x.permute(axes)), ASKED["stride"], answers.append)
    module(torch.zeros(shape))
    symcnn.from_torch(module, " ".join(map(str, shape)))
    assert answers[0] == answers[1]


def at(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return tuple(map(at, answer))
    expr = getattr(answer, "expr", None)
    return answer if expr is None else int(expr.at(SIZES))


def test_a_question_that_sizes_decide_is_a_branch() -> None:
    """A permuted image is contiguous where it has one pixel."""

    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.permute(0, 2, 3, 1)
            return x if y.is_contiguous() else x[:, :1]

    module = Model()
    net = symcnn.from_torch(module, "N 3 H W")
    for h in (1, 2, 3):
        for w in (1, 2, 3):
            want = tuple(module(torch.zeros(2, 3, h, w)).shape)
            assert net.shape_at(N=2, H=h, W=w) == want


def test_the_stride_of_an_axis_that_may_be_1_is_told_where_it_is_longer() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.permute(2, 0, 3, 1).relu()
            return x.new_zeros(y.stride(2), y.stride(0))

    net = symcnn.from_torch(Model(), "N 2 H W")
    assert {line.reason.partition(",")[0] for line in net.unfollowed} == {
        ": python asks for the stride of an axis of size 1"
    }
    for sizes in itertools.product((1, 2, 3), repeat=3):
        n, h, w = sizes
        want = tuple(Model()(torch.zeros(n, 2, h, w)).shape)
        assert net.shape_at(N=n, H=h, W=w) == want


def test_an_image_with_no_elements_is_contiguous() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x[:, :, 1:]
            return y[..., None] if y.is_contiguous() else y

    net = symcnn.from_torch(Model(), "N 2 H W")
    for n, h, w in itertools.product((1, 2), (1, 2, 3), (1, 2)):
        assert net.shape_at(N=n, H=h, W=w) == tuple(Model()(torch.zeros(n, 2, h, w)).shape)


def test_fewer_columns_than_a_slice_asks_for_may_be_one() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x[..., :2].contiguous()
            last = y.is_contiguous(memory_format=torch.channels_last)
            return y[..., None] if last else y

    net = symcnn.from_torch(Model(), "N 2 H W")
    for n, h, w in itertools.product((1, 2), (1, 2, 3), (1, 2, 3)):
        assert net.shape_at(N=n, H=h, W=w) == tuple(Model()(torch.zeros(n, 2, h, w)).shape)


@pytest.mark.parametrize(
    "laid",
    [
        lambda x: x.flatten(2).contiguous(memory_format=torch.channels_last),
        lambda x: x[None].to(memory_format=torch.channels_last),
        lambda x: x.flatten(2).to(torch.float64, memory_format=torch.channels_last),
        lambda x: x.clone(memory_format=torch.channels_last_3d),
        lambda x: torch.empty_like(x[0], memory_format=torch.channels_last),
        lambda x: torch.randn_like(x[0], memory_format=torch.channels_last),
        lambda x: torch.full_like(x[0], 1.0, memory_format=torch.channels_last),
        lambda x: x[0].cpu(memory_format=torch.channels_last),
        lambda x: x[0].cfloat(memory_format=torch.channels_last),
        lambda x: torch.empty(x.shape[2:], memory_format=torch.channels_last),
        lambda x: torch.empty(x.shape, memory_format=torch.channels_last_3d),
    ],
)
def test_a_memory_format_is_of_tensors_of_its_rank(laid: Callable[..., Any]) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return laid(x)

    with pytest.raises(RuntimeError, match="required rank"):
        Model()(torch.zeros(1, 2, 3, 4))
    with pytest.raises(symcnn.ShapeMismatch, match=r"torch\.channels_last.* is an order of"):
        symcnn.from_torch(Model(), "N 2 H W")


def test_an_empty_tensor_lies_in_the_order_of_its_memory_format() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.empty(x.shape, memory_format=torch.channels_last)
            return y if y.is_contiguous() else y[..., None]

    net = symcnn.from_torch(Model(), "N 2 H W")
    for n, h, w in itertools.product((1, 2), (1, 2), (1, 3)):
        assert net.shape_at(N=n, H=h, W=w) == tuple(Model()(torch.zeros(n, 2, h, w)).shape)


def test_what_an_operation_leaves_open_is_refused_with_its_line() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.linalg.eigh(x)[1]
            return y if y.is_contiguous() else y * 2

    with pytest.raises(
        symcnn.DataDependent, match=r"test_layout\.py:\d+, which linalg_eigh leaves open"
    ):
        symcnn.from_torch(Model(), "N L 3")


def test_a_contiguous_that_is_asked_for_first_costs_no_size() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.permute(0, 2, 3, 1)
            if not y.is_contiguous():
                y = y.contiguous()
            return y.view(x.shape[0], -1)

    net = symcnn.from_torch(Model(), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    assert len(net.branches) == 1


# A view copies nothing, and so not every shape is one -------------------------------------------


class Views(nn.Module):
    def __init__(self, view: Any) -> None:
        super().__init__()
        self.view = view
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(3, 4, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.view(self, x, *x.shape)


#: Views, and the sizes that torch takes them at.
VIEWED = {
    "of a permuted": (
        lambda m, x, n, c, h, w: x.permute(0, 2, 3, 1).view(n, -1),
        "H == 1 and W == 1",
    ),
    "of an equation": (
        lambda m, x, n, c, h, w: torch.einsum("nchw->nhwc", x).view(n, -1),
        "H == 1 and W == 1",
    ),
    "that keeps the axis apart": (
        lambda m, x, n, c, h, w: x.permute(0, 2, 3, 1).view(n, -1, c),
        "",
    ),
    "of tokens": (lambda m, x, n, c, h, w: x.flatten(2).mT.view(n, h, w, c), ""),
    "of inner products": (lambda m, x, n, c, h, w: torch.linalg.vecdot(x.mT, x.mT).view(-1), ""),
    "of a part of a signal or more": (
        lambda m, x, n, c, h, w: torch.fft.rfft(m.conv.weight, n=w).view(-1),
        "",
    ),
    "of a copy": (lambda m, x, n, c, h, w: x.permute(0, 2, 3, 1).contiguous().view(n, -1), ""),
    "of what is open, in order": (
        lambda m, x, n, c, h, w: torch.einsum("nchw->nhwc", x).contiguous().view(n, -1),
        "",
    ),
    "of rows exchanged with columns": (
        lambda m, x, n, c, h, w: x.mT.view(n, c, -1),
        "(H >= 1 and W == 1) or (H == 1 and W >= 2)",
    ),
    "that is the tensor itself where it is square": (
        lambda m, x, n, c, h, w: x.mT.view_as(x),
        "(H >= 1 and W == 1) or (H == 1 and W >= 2) or (H >= 2 and H == W)",
    ),
    "of every second row": (
        lambda m, x, n, c, h, w: x[:, :, ::2].view(n, c, -1),
        "(1 <= H <= 2 and W >= 1) or (H >= 3 and W == 1)",
    ),
    "of every second column": (
        lambda m, x, n, c, h, w: x[..., ::2].view(n, c, -1),
        "(H >= 1 and 1 <= W <= 2) or (H == 1 and W >= 3) or (H >= 2 and W % 2 == 0 and W >= 4)",
    ),
    "of some channels": (lambda m, x, n, c, h, w: x[:, 1:].view(n, -1), ""),
    "of some channels, with the batch": (
        lambda m, x, n, c, h, w: x[:, 1:].view(-1, w),
        "N == 1 and H >= 1 and W >= 1",
    ),
    "of a part of the channels": (
        lambda m, x, n, c, h, w: m.conv(x).chunk(2, 1)[0].view(n, -1),
        "",
    ),
    "of channels last": (lambda m, x, n, c, h, w: m.last(x).view(n, -1), "H == 1 and W == 1"),
    "of channels last, per channel": (lambda m, x, n, c, h, w: m.last(x).view(n, 4, -1), ""),
    "of one mean, expanded": (
        lambda m, x, n, c, h, w: x.mean((2, 3), True).expand_as(x).view(n, c, -1),
        "",
    ),
    "of one channel, expanded": (
        lambda m, x, n, c, h, w: x[:, :1].expand(-1, 5, -1, -1).view(n, -1),
        "H == 1 and W == 1",
    ),
    "of windows": (
        lambda m, x, n, c, h, w: (
            x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).view(-1, 4, c)
        ),
        "H % 2 == 0 and H >= 2 and W == 2, for some N",
    ),
    "of what is computed in the order of a permuted": (
        lambda m, x, n, c, h, w: (x.permute(0, 2, 3, 1) + 1).view(n, -1),
        "H == 1 and W == 1",
    ),
    "by another name": (lambda m, x, n, c, h, w: x.mT.reshape(n, c, -1), ""),
    "of rows and columns together": (
        lambda m, x, n, c, h, w: (x.mT + x).view(n, -1),
        "(H == 1 and W >= 1) or (H >= 2 and W == 1)",
    ),
    "of columns and rows together": (
        lambda m, x, n, c, h, w: (x + x.mT).view(n, -1),
        "(H >= 1 and W == 1) or (H == 1 and W >= 2) or (H >= 2 and H == W)",
    ),
    "of what is a copy but for one row or column": (
        lambda m, x, n, c, h, w: x.permute(0, 3, 2, 1).flatten(1, 2).view(n, -1),
        "(H == 1 and W == 1) or (H >= 2 and W >= 2)",
    ),
    "of what is a copy where columns are odd": (
        lambda m, x, n, c, h, w: x[:, :, :, ::2].flatten(2).view(-1),
        "(H == 1 and W == 1) or (H == 1 and W % 2 == 0 and W >= 2) or (H >= 2 and W >= 1)",
    ),
    "of a row without its axis": (
        lambda m, x, n, c, h, w: x.squeeze(2).unsqueeze(0).view(1, -1),
        "",
    ),
    "of a signal without its axes of one place": (
        lambda m, x, n, c, h, w: x.squeeze()[None].relu().view(1, -1),
        "",
    ),
    "of what is empty": (
        lambda m, x, n, c, h, w: x[:, :, 1:].view(n, -1),
        "(H == 1 and W >= 1) or (H == 2 and W == 1)",
    ),
    "of every second row exchanged with the batch": (
        lambda m, x, n, c, h, w: (x[:, :, ::2].transpose(2, 0) + x[:, :, ::2]).view(-1),
        "1 <= H <= 2 and W >= 1 and N == 1",
    ),
    "of every second column beside all": (
        lambda m, x, n, c, h, w: (x[..., ::2] * x).view(n, -1, x[..., ::2].shape[3]),
        "H >= 1 and 1 <= W <= 2",
    ),
    "of every second column of an image": (
        lambda m, x, n, c, h, w: x[:, :1, :, ::2].view(-1),
        "(H >= 1 and 1 <= W <= 2) or (H == 1 and W >= 3) or (H >= 2 and W % 2 == 0 and W >= 4),"
        " for some N",
    ),
    "of a mean that is joined with channels last": (
        lambda m, x, n, c, h, w: torch.cat([x.mean(3, True).permute(0, 3, 1, 2)] * 2, 1).view(
            n, 2, -1
        ),
        "",
    ),
    "of what is stretched and joined": (
        lambda m, x, n, c, h, w: torch.cat([x[:, :1].expand(-1, 3, -1, -1)] * 2, 3).view(
            -1, h, 2 * w
        ),
        "",
    ),
    "of channels last that columns say": (
        lambda m, x, n, c, h, w: (
            torch.cat([x.permute(0, 3, 2, 1)[:, :, ::2]] * 2, 1).view(-1, c).view(-1)
        ),
        "",
    ),
}


@pytest.mark.parametrize("name", VIEWED)
def test_a_view_is_refused_at_the_sizes_at_which_torch_would_have_to_copy(name: str) -> None:
    view, sizes = VIEWED[name]
    module = Views(view)
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.valid_inputs()) == (sizes or "H >= 1 and W >= 1")
    for n, h, w in [(n, h, w) for n in (1, 2) for h in (1, 2, 3, 4, 8) for w in (1, 2, 3, 4, 8)]:
        try:
            want = tuple(module(torch.zeros(n, 3, h, w)).shape)
        except RuntimeError:
            want = None
        try:
            have = tuple(net.shape_at(N=n, H=h, W=w))
        except symcnn.InvalidInput as error:
            have, said = None, str(error)
            assert any(word in said for word in ("reshape", "divide", "keep", "agree"))
        assert have == want, (n, h, w)


def test_how_every_second_place_of_a_smaller_map_lies_is_decided_for_all_sizes() -> None:
    def view(m: Any, x: torch.Tensor, *sizes: int) -> torch.Tensor:
        part = x[:, :, 1:, 1:].contiguous()[:, :, ::2, ::2]
        found: torch.Tensor = m.conv(part).permute(0, 2, 3, 1).view(sizes[0], -1, 4)
        return found

    net = symcnn.from_torch(Views(view), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 2 and W >= 2"
    for h, w in itertools.product((2, 3, 4, 7), repeat=2):
        assert net.shape_at(N=2, H=h, W=w) == Views(view)(torch.zeros(2, 3, h, w)).shape


def test_how_attention_with_weights_of_their_own_lies_hangs_on_no_packed_weight() -> None:
    """WavLM gives an empty weight in its place."""

    def attention(m: Any, x: torch.Tensor, *sizes: int) -> torch.Tensor:
        x = m.conv(x).flatten(2).permute(2, 0, 1)
        w, bias = torch.eye(4), torch.zeros(12)
        y, _ = F.multi_head_attention_forward(
            *(x, x, x, 4, 2, torch.empty([0]), bias, None, None, False, 0.0, w, None),
            use_separate_proj_weight=True,
            q_proj_weight=w,
            k_proj_weight=w,
            v_proj_weight=w,
        )
        return y.view(-1, 2, 2)

    net = symcnn.from_torch(Views(attention), "N 3 H W")
    assert net.shape_at(N=2, H=5, W=6) == Views(attention)(torch.zeros(2, 3, 5, 6)).shape


def test_a_view_that_never_is_one_is_refused_at_once_with_its_line_and_the_cure() -> None:
    module = Views(lambda m, x, *sizes: x.permute(0, 2, 3, 1).view(sizes[0], -1))
    with pytest.raises(symcnn.ShapeMismatch, match="would have to copy") as caught:
        symcnn.from_torch(module, "N 3 8 8")
    assert "test_layout.py:" in str(caught.value)
    assert "use reshape" in caught.value.cure


def test_a_view_of_what_an_operation_leaves_open_is_refused_by_name() -> None:
    module = Views(lambda m, x, *sizes: torch.svd(x)[0].view(sizes[0], -1))
    with pytest.raises(symcnn.DataDependent, match="which svd leaves open") as caught:
        symcnn.from_torch(module, "N 3 H W")
    assert "contiguous()" in caught.value.cure


SOLVED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "an inverse": lambda a, b: torch.inverse(a),
    "an inverse, and whether there is one": lambda a, b: torch.linalg.inv_ex(a)[0],
    "a factor": lambda a, b: torch.linalg.cholesky_ex(a)[0],
    "an orthogonal factor": lambda a, b: torch.linalg.qr(b)[0],
    "a triangular factor": lambda a, b: torch.linalg.qr(b, mode="complete")[1],
    "a solution": lambda a, b: torch.linalg.solve(a, b),
    "a solution of a triangle": lambda a, b: torch.linalg.solve_triangular(a, b, upper=True),
    "a solution by a factor": lambda a, b: torch.cholesky_solve(b, a),
}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", SOLVED)
def test_what_linear_algebra_makes_lies_column_after_column(name: str, transposed: bool) -> None:
    class Solved(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> Any:
            made = SOLVED[name](a.mT if transposed else a, b)
            return made.mT.view(-1, made.shape[-2]), made.stride()

    a, b = torch.eye(3).repeat(2, 1, 1), torch.ones(2, 3, 4)
    net = symcnn.from_torch(Solved(), "N 3 3", "N 3 K")
    _, strides = Solved()(a, b)
    assert net.given(N=2, K=4).outputs[1] == strides


def test_a_projection_by_an_inverse_is_viewed_as_a_grid() -> None:
    class Warp(nn.Module):
        def forward(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
            n, _, h, w = x.shape
            places = torch.matmul(torch.matmul(matrix, torch.inverse(matrix)), x.flatten(2))
            grid = torch.stack((places[:, 0], places[:, 1]), 2).view(n, h, w, 2)
            return F.grid_sample(x, grid, align_corners=False)

    net = symcnn.from_torch(Warp(), "N 3 H W", "N 3 3")
    assert str(net.output_shape) == "(N, 3, H, W)"


def test_a_view_with_numbers_asks_what_it_asks_with_symbols() -> None:
    """The strides are arguments of the rule, and take numbers as sizes do."""
    net = symcnn.from_torch(Views(lambda m, x, n, c, h, w: x.mT.view(n, c, -1)), "N 3 H W")
    *_, view = Replay(net.nodes, {"W": 8}).nodes
    assert [str(r) for r in view.result.requires] == ["H == 1"]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :, -(x.shape[2] // 2) :],
        lambda x: x[:, :, -(x.shape[2] // 2)],
        lambda x: x.narrow(2, -(x.shape[2] // 2), 1),
        lambda x: x.select(2, -(x.shape[2] // 2)),
        lambda x: x[:, :, -30:],
        lambda x: x[:, 1:, 3:, -4::2],
        lambda x: torch.hsplit(x, 3)[1],
    ],
)
def test_a_view_begins_where_torch_has_it(view: Callable[..., Any]) -> None:
    class Offset(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(view(x).storage_offset() + 1)

    net = symcnn.from_torch(Offset(), "N 3 H W")
    for h, w in ((12, 10), (13, 3), (40, 5)):
        wanted = Offset()(torch.zeros(2, 3, h, w)).shape
        assert net.shape_at(N=2, H=h, W=w) == tuple(wanted)


# Strides that are given, memory that is exchanged -------------------------------------------------

STRIDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "its own strides": lambda x: x.as_strided((1, 3, (x.shape[2] + 1) // 2, 1), x.stride()),
    "windows": lambda x: x.as_strided((x.shape[2], 3), (x.shape[3], 1)),
    "numbers": lambda x: torch.as_strided(x, (2, 2), (5, 1), storage_offset=3),
    "from a size on": lambda x: x.as_strided((x.shape[2], 2), (3, 1), x.shape[3]),
    "of a part, from its own place on": lambda x: x[0, 2, 1].as_strided((2, 2), (1, 1)),
    "of a part, over all memory": lambda x: x[0, :, 1].as_strided((9, 2), (1, 1), 0),
    "of what is transposed": lambda x: x.mT.as_strided((4, 2), (2, 3)),
}


@pytest.mark.parametrize("forward", STRIDED.values(), ids=STRIDED)
def test_a_view_by_strides_lies_within_the_memory_of_the_tensor(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Strided(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(x)

    net = symcnn.from_torch(Strided(), "1 3 H W")
    for h, w in itertools.product(range(1, 6), repeat=2):
        try:
            shape = tuple(forward(torch.zeros(1, 3, h, w)).shape)
        except (RuntimeError, IndexError):
            assert (h, w) not in net.valid_inputs(), (h, w)
        else:
            assert net.shape_at(H=h, W=w) == shape
    given = net.given(H=3).valid_inputs()
    assert [(3, w) in net.valid_inputs() for w in range(1, 6)] == [w in given for w in range(1, 6)]


def test_a_tensor_takes_the_memory_of_another() -> None:
    class Exchange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, part = x * 2, x[:, :, ::2] + 1
            y.set_(part)  # type: ignore[call-overload]
            part.add_(1)
            return y

    net = symcnn.from_torch(Exchange(), "1 3 H W")
    assert net.shape_at(H=5, W=4) == tuple(Exchange()(torch.zeros(1, 3, 5, 4)).shape)


def test_a_tensor_gives_up_its_memory() -> None:
    """As reversible networks do with what they compute again."""

    class Reversible(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            z = y + x
            y.set_()  # type: ignore[call-overload]
            return z.flatten()[y.numel() :]

    net = symcnn.from_torch(Reversible(), "1 3 H W")
    assert net.shape_at(H=5, W=4) == (60,)


def _tokens(x: torch.Tensor) -> torch.Tensor:
    return x.mean(0, keepdim=True).expand(x.shape[0], -1, -1)


def _put(y: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    y[index] = value
    return y


@pytest.mark.parametrize(
    "write",
    [
        lambda x: _tokens(x).add_(x),
        lambda x: _tokens(x).reshape(-1, 4, 8).mul_(2),
        lambda x: _tokens(x).transpose(1, 2)[:, :3].clamp_(0, 1),
        lambda x: torch.broadcast_to(x[:1], x.shape).copy_(x),
        lambda x: _tokens(x).zero_(),
        lambda x: _tokens(x)[0].add_(1),
        lambda x: _tokens(x).contiguous().add_(x),
        lambda x: _tokens(x).repeat(1, 1, 2).add_(1),
        lambda x: x.unfold(1, 2, 1).exp_(),
        lambda x: _put(_tokens(x), 0, 1),
        lambda x: _put(_tokens(x), slice(None, 1), x[:1]),
        lambda x: _put(_tokens(x), ..., x),
        lambda x: _put(_tokens(x), (slice(None), 1), 0),
        lambda x: _put(_tokens(x).mT, (slice(None), slice(1, 3), None), 0),
        lambda x: _put(_tokens(x), (slice(None), [0, 1]), 0),
        lambda x: _put(_tokens(x), x > 0, 0),
        lambda x: _put(_tokens(x).clone(), (slice(None), 1), 0),
        lambda x: _tokens(x)[:, 0].zero_(),
        lambda x: _tokens(x)[1:2].add_(1),
    ],
)
def test_torch_writes_to_no_place_of_an_expanded_tensor_twice(write: Callable[..., Any]) -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return write(x * 1)

    domain = symcnn.from_torch(Writes(), "N 4 8").valid_inputs()
    for batch in (1, 2, 3):
        try:
            write(torch.zeros(batch, 4, 8))
            takes = True
        except RuntimeError:
            takes = False
        assert ((batch,) in domain.axis("N")) == takes


def test_what_is_written_to_through_a_mask_lies_where_it_lay() -> None:
    """GMFlowNet repairs its matches so, and views them."""

    class Repairs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, mask = x * 2, x > 0
            y[mask] = (x + 1)[mask]
            return y.view(x.shape[0], -1)

    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, mask = (x * 2).transpose(2, 3), (x > 0).transpose(2, 3)
            y[mask] = (x + 1).transpose(2, 3)[mask]
            return y.view(x.shape[0], -1)

    assert str(symcnn.from_torch(Repairs(), "N 3 H W").output_shape) == "(N, 3*H*W)"
    turned = symcnn.from_torch(Turned(), "N 3 H W").valid_inputs()
    assert str(turned) == "(H >= 1 and W == 1) or (H == 1 and W >= 2)"


def test_an_axis_that_a_branch_takes_for_one_is_gone_where_its_size_is_a_product() -> None:
    """HD3 squeezes one place per pixel: of one pixel nothing is left."""

    class Squeezes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, _, h, w = x.shape
            places = x.flatten(2).amax(1).squeeze()
            return places.reshape(n, h, w).unsqueeze(1).view(n, 1, -1)

    net = symcnn.from_torch(Squeezes(), "N 3 H W")
    assert net.complete
    assert str(net.output_shape) == "(N, 1, H*W)"
