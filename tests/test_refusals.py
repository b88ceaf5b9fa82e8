"""Every refusal names the node, the line of the user's file, the cause and a cure that works.

The cures that can be applied are applied here, as text: the call that is wrong is made again the
way the refusal says, and is taken.
"""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn.errors import SymcnnError
from tests.corpus.forwards import Function


def refusal(run: Any, *specs: Any, example: Any = None) -> Any:
    """What is said where a forward is traced."""
    with pytest.raises(SymcnnError) as caught:
        symcnn.from_torch(Function(run), *(specs or ("1 4 9 9",)), example=example)
    return caught.value


def test_rows_that_no_image_has_are_refused_whatever_the_batch() -> None:
    said = str(refusal(lambda x: x.reshape(-1, 24), "N 2 5"))
    assert "each image has 10 elements, not 24" in said


def _sixteen_rows(x: torch.Tensor) -> torch.Tensor:
    if x.shape[2] != 16:
        raise ValueError("rows must be 16")
    return x[x > 0]


def test_what_the_model_takes_and_symcnn_does_not_is_told_before_what_the_model_refuses() -> None:
    assert "rows must be 16" not in str(refusal(_sixteen_rows, "N 4 L"))


#: Calls that torch refuses at all sizes, by what stands in the message.
WRONG = {
    "add": lambda x: x + torch.zeros(7),
    "cat": lambda x: torch.cat([x, x[:, :, 1:]], 1),
    "view": lambda x: x.view(1, 5, -1),
    "conv2d": lambda x: F.conv2d(x, torch.zeros(2, 3, 3, 3)),
    "linear": lambda x: F.linear(x, torch.zeros(2, 8)),
    "matmul": lambda x: x @ torch.zeros(8, 8),
    "permute": lambda x: x.permute(0, 1, 2),
    "transpose": lambda x: x.transpose(1, 7),
    "matrix_H": lambda x: x.H,
    "max_pool2d": lambda x: F.max_pool2d(x, 3, padding=2),
    "pad": lambda x: F.pad(x, (12, 0), mode="reflect"),
    "expand": lambda x: x.expand(1, 4, 5, 9),
    "split": lambda x: x.split([1, 2], 1),
    "stack": lambda x: torch.stack([x, x[:, 1:]]),
    "group_norm": lambda x: F.group_norm(x, 3),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 3),
    "interpolate": lambda x: F.interpolate(x, size=(3, 4, 5)),
    "squeeze": lambda x: x.squeeze(9),
    "gather": lambda x: x.gather(1, torch.zeros(1, dtype=torch.long)),
    "cumsum": lambda x: x.cumsum(8),
    "einsum": lambda x: torch.einsum("nchw,ck->nkh", x, torch.zeros(5, 3)),
    "qr": lambda x: torch.linalg.cholesky(x[..., :3]),
    "getitem": lambda x: x[:, :, 12],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_refusal_of_a_trace_says_where_why_and_what_to_do(name: str) -> None:
    error = refusal(WRONG[name])
    assert re.search(r"at test_refusals\.py:\d+: ", str(error))
    assert error.cure


@pytest.mark.parametrize("name", WRONG)
def test_what_was_traced_before_a_refusal_can_be_asked(name: str) -> None:
    error = refusal(lambda x: WRONG[name](x * 2))
    assert error.partial.nodes
    assert str(error.partial.summary())


def test_a_size_outside_the_domain_is_refused_with_the_line_and_a_size_that_is_taken() -> None:
    net = symcnn.from_torch(Function(lambda x: F.max_pool2d(x, 4, 8).view(1, -1, 6)), "1 6 H W")
    with pytest.raises(symcnn.InvalidInput) as caught:
        net.shape_at(H=3, W=8)
    assert re.search(r"at test_refusals\.py:\d+: ", str(caught.value))
    (said,) = re.findall(r"nearest valid size: H=(\d+), W=(\d+)", str(caught.value))
    assert net.shape_at(H=int(said[0]), W=int(said[1]))


def test_a_wrong_call_inside_a_forward_is_not_taken_for_a_wrong_spec() -> None:
    error = refusal(lambda x: F.relu(x, scale=2))  # type: ignore[call-arg]
    assert "relu() got an unexpected keyword argument" in str(error)
    assert re.search(r"test_refusals\.py:\d+", str(error))
    with pytest.raises(symcnn.BadSpec, match="give one spec per input"):
        symcnn.from_torch(nn.ReLU(), "N 3 H W", "N 3 H W")


def test_the_line_of_a_refusal_inside_a_module_is_the_users() -> None:
    inner = Function(lambda x: x + torch.zeros(7))
    with pytest.raises(symcnn.ShapeMismatch) as caught:
        symcnn.from_torch(nn.Sequential(nn.ReLU(), inner), "1 4 9 9")
    assert str(caught.value).startswith("1: add: ")
    assert re.search(r"at test_refusals\.py:\d+: inner = ", str(caught.value))


def test_a_branch_that_was_not_followed_is_followed_from_the_example_that_is_said() -> None:
    def run(x: Any) -> Any:
        return x.flatten(1) if x.shape[2] > 8 else x

    net = symcnn.from_torch(Function(run), "1 4 H W", branches=1)
    assert net.shape_at(H=4, W=4) == (1, 4, 4, 4)  # the module runs there
    with pytest.raises(symcnn.InvalidInput) as caught:
        net.at(net.nodes[0].name).shape_at(H=4, W=4)
    (said,) = re.findall(r"trace again with example=(\{.*\})", str(caught.value))
    again = symcnn.from_torch(Function(run), "1 4 H W", branches=1, example=eval(said))
    assert again.shape_at(H=4, W=4) == (1, 4, 4, 4)


#: Calls that torch refuses, what the refusal says to do, and the call that does it.
CURED = {
    "cast it first, as x.float() does": (
        lambda x: x.long().mean(),
        lambda x: x.long().float().mean(),
    ),
    "cast one of them": (
        lambda x: x.double() @ x.mT,
        lambda x: x.double() @ x.mT.double(),
    ),
    "without the underscore makes a new tensor": (
        lambda x: x[0, 0].add_(x),
        lambda x: x[0, 0].add(x),
    ),
    "give 1 or 2": (
        lambda x: F.max_pool2d(x, 3, (1, 1, 1)),
        lambda x: F.max_pool2d(x, 3, (1, 1)),
    ),
    "is at least 1": (
        lambda x: F.max_pool2d(x, 3, 0),
        lambda x: F.max_pool2d(x, 3, 1),
    ),
    "constant, reflect, replicate or circular": (
        lambda x: F.pad(x, (1, 1), mode="mirror"),
        lambda x: F.pad(x, (1, 1, 0, 0), mode="circular"),
    ),
    "where(mask, a, b) takes a tensor": (
        lambda x: x.masked_fill(x > 0, torch.zeros(9)),
        lambda x: torch.where(x > 0, torch.zeros(9), x),
    ),
    "symcnn.tensor(": (lambda x: x & x, lambda x: x.bool() & x.bool()),
    "make a new tensor, or cast the one that is written to": (
        lambda x: x.long().add_(x),
        lambda x: x.long().float().add_(x),
    ),
    "at most half of it: 1": (
        lambda x: F.max_pool2d(x, 3, padding=2),
        lambda x: F.max_pool2d(x, 3, padding=1),
    ),
    "give one number, or 2": (
        lambda x: F.interpolate(x, size=(3, 4, 5)),
        lambda x: F.interpolate(x, size=(3, 4)),
    ),
    "it must be smaller than stride=2 or dilation=1": (
        lambda x: F.conv_transpose2d(x, torch.ones(4, 2, 3, 3), stride=2, output_padding=2),
        lambda x: F.conv_transpose2d(x, torch.ones(4, 2, 3, 3), stride=2, output_padding=1),
    ),
    '"same", "valid" or numbers': (
        lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3), padding="full"),
        lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3), padding="same"),
    ),
    "sum": (
        lambda x: F.mse_loss(x, x, reduction="max"),
        lambda x: F.mse_loss(x, x, reduction="sum"),
    ),
    '"none" or "tanh"': (
        lambda x: F.gelu(x, approximate="erf"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    '"ij" or "xy"': (
        lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, 1], indexing="yx")[0],
        lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, 1], indexing="xy")[0],
    ),
    "torch takes positive steps only": (lambda x: x[..., ::-1], lambda x: x[..., ::2]),
    "the order is at least 0": (
        lambda x: torch.polygamma(-1, x),
        lambda x: torch.polygamma(0, x),
    ),
    "p is 1 or 2": (
        lambda x: F.multi_margin_loss(x[0, 0], x[0, 0].argmax(1), p=3),
        lambda x: F.multi_margin_loss(x[0, 0], x[0, 0].argmax(1), p=2),
    ),
    "one, or one per channel": (
        lambda x: F.prelu(x, torch.ones(2, 2)),
        lambda x: F.prelu(x, torch.ones(4)),
    ),
    "neither is negative": (
        lambda x: torch.isclose(x, x, rtol=-1.0),
        lambda x: torch.isclose(x, x, rtol=1.0),
    ),
    "lambd is at least 0": (lambda x: F.softshrink(x, -1.0), lambda x: F.softshrink(x, 0.0)),
    "lambd is positive": (
        lambda x: x.clone().exponential_(-1.0),
        lambda x: x.clone().exponential_(1.0),
    ),
    "a spread is not negative": (
        lambda x: torch.normal(x, -1.0),
        lambda x: torch.normal(x, 1.0),
    ),
    "give two axes": (
        lambda x: torch.linalg.matrix_norm(x, dim=(1,)),
        lambda x: torch.linalg.matrix_norm(x, dim=(1, 2)),
    ),
    "give one per class": (
        lambda x: F.cross_entropy(x[0, 0], x[0, 0].argmax(1), weight=torch.ones(9, 1)),
        lambda x: F.cross_entropy(x[0, 0], x[0, 0].argmax(1), weight=torch.ones(9)),
    ),
    "give a small positive number": (
        lambda x: F.batch_norm(x, None, None, training=True, eps=0.0),
        lambda x: F.batch_norm(x, None, None, training=True, eps=1e-5),
    ),
    "delta is positive": (
        lambda x: F.huber_loss(x, x, delta=0.0),
        lambda x: F.huber_loss(x, x, delta=1.0),
    ),
    "alpha must not be zero": (lambda x: F.celu(x, 0.0), lambda x: F.celu(x, 1.0)),
    "a probability lies between 0 and 1": (
        lambda x: F.dropout(x, 2.0),
        lambda x: F.dropout(x, 0.5),
    ),
    "leave it out": (
        lambda x: F.interpolate(x, scale_factor=2, align_corners=True),
        lambda x: F.interpolate(x, scale_factor=2),
    ),
    "lstm takes (h, c)": (
        lambda x: torch.lstm_cell(x[0, 0], (x[0, 0],), *[torch.ones(36, 9)] * 2),
        lambda x: torch.lstm_cell(x[0, 0], (x[0, 0], x[0, 0]), *[torch.ones(36, 9)] * 2)[0],
    ),
    "use reshape, which copies where it must": (
        lambda x: x.transpose(1, 3).view(1, -1),
        lambda x: x.transpose(1, 3).reshape(1, -1),
    ),
}

#: What torch takes and no shape says, what the refusal says to do, and the call that does it.
IN_SHAPES = {
    "masked_fill, where, or a product with the mask keep the shape": (
        lambda x: x[x > 0].sum(),
        lambda x: (x * (x > 0)).sum(),
    ),
    "y = torch.where(m, x, y) is y[m] = x[m]": (
        lambda x: torch.zeros_like(x).index_put_((x > 0,), x[x > 0]),
        lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    ),
    "where(condition, a, b) keeps the shape": (
        lambda x: torch.where(x > 0)[0],
        lambda x: torch.where(x > 0, x, 0.0),
    ),
    "where(mask, a, b) keeps the shape": (
        lambda x: x.nonzero(),
        lambda x: torch.where(x != 0, x, 0.0),
    ),
    "give it": (lambda x: F.one_hot(x.argmax(1)), lambda x: F.one_hot(x.argmax(1), 4)),
    "make the branch depend on sizes": (
        lambda x: x if x.sum() > 0 else x[:1],
        lambda x: x if x.shape[2] > 0 else x[:1],
    ),
}


@pytest.mark.parametrize("cure", CURED)
def test_what_a_refusal_says_to_do_is_taken(cure: str) -> None:
    wrong, right = CURED[cure]
    with pytest.raises((RuntimeError, TypeError, ValueError, NotImplementedError)):
        wrong(torch.rand(1, 4, 9, 9))
    assert cure in str(refusal(wrong))
    net = symcnn.from_torch(Function(right), "1 4 H W")
    assert net.shape_at(H=9, W=9) == tuple(right(torch.rand(1, 4, 9, 9)).shape)


@pytest.mark.parametrize("cure", IN_SHAPES)
def test_what_a_refusal_of_values_says_to_do_is_taken(cure: str) -> None:
    wrong, right = IN_SHAPES[cure]
    with pytest.raises(SymcnnError) as caught:
        symcnn.from_torch(Function(wrong), "1 4 H W")
    assert cure in str(caught.value)
    assert re.search(r"at .*test_refusals\.py:\d+", str(caught.value))
    net = symcnn.from_torch(Function(right), "1 4 H W")
    theirs = right(torch.rand(1, 4, 9, 9))
    assert net.shape_at(H=9, W=9) == tuple(theirs.shape)


ASKED = {
    "stream": (lambda net: net.stream(), lambda net, cure: net.stream(**eval(f"dict({cure})"))),
    "output": (
        lambda net: net.receptive_field("2"),
        lambda net, cure: net.receptive_field(at="1"),
    ),
}


@pytest.mark.parametrize("question", ASKED)
def test_what_the_refusal_of_a_question_says_to_do_is_answered(question: str) -> None:
    ask, again = ASKED[question]
    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(4, 4, 2, 2), nn.ReLU()), "1 4 H W")
    with pytest.raises(SymcnnError) as caught:
        ask(net)
    assert again(net, caught.value.cure)


#: Inputs of a dtype that torch refuses: the refusal says which dtype to state.
UNTAKEN = {
    "conv2d": ("bool", lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3))),
    "bitwise_and": ("float32", lambda x: x & x),
    "embedding": ("float32", lambda x: F.embedding(x, torch.ones(5, 2))),
    "masked_fill": ("int64", lambda x: x.clone().masked_fill(x, 0)),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_the_dtype_that_a_refusal_says_to_state_is_taken(name: str) -> None:
    dtype, run = UNTAKEN[name]
    with pytest.raises((RuntimeError, NotImplementedError)):
        run(torch.zeros(1, 4, 9, 9, dtype=getattr(torch, dtype)))
    error = refusal(run, symcnn.tensor("1 4 H W", dtype=dtype))
    (said,) = re.findall(r"symcnn\.tensor\(.*?\)", error.cure)
    net = symcnn.from_torch(Function(run), eval(said))
    made = torch.zeros(1, 4, 9, 9, dtype=getattr(torch, net.input_tensors[0].dtype))
    assert net.shape_at(H=9, W=9) == tuple(run(made).shape)


def test_a_refusal_whose_domain_has_too_long_a_staircase_has_a_text() -> None:
    class Slices(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.numel() >= 1 << 21:
                raise ValueError("too large")
            return torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")

    net = symcnn.from_torch(Slices(), "N 3 H W")
    with pytest.raises(symcnn.InvalidInput) as caught:
        net.shape_at(N=1, H=1, W=7)
    assert "try other sizes" in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
@pytest.mark.parametrize("make", ["script", "trace"])
def test_a_scripted_child_is_refused_with_its_name(make: str) -> None:
    child = nn.Conv2d(3, 4, 3)
    made = (
        torch.jit.script(child)
        if make == "script"
        else torch.jit.trace(child, torch.ones(1, 3, 9, 9))
    )
    with pytest.raises(symcnn.UnsupportedOperation, match="1 is scripted or traced") as caught:
        symcnn.from_torch(nn.Sequential(nn.ReLU(), made), "N 3 H W")
    assert "in its place" in str(caught.value)


def _of_eight(x: torch.Tensor) -> torch.Tensor:
    if x.shape[2] % 8:
        raise ValueError("%d rows and %s columns" % (x.shape[2], x.shape[3]))  # noqa: UP031
    return x


def test_the_message_of_an_error_fixes_no_size_that_it_tells() -> None:
    net = symcnn.from_torch(Function(_of_eight), "N 3 H W")
    assert net.complete
    assert str(net.valid_inputs()) == "H % 8 == 0 and H >= 8 and W >= 1"
    with pytest.raises(SymcnnError, match="H rows and W columns"):
        net.shape_at(N=1, H=9, W=5)


class Numbered(nn.Module):
    """A U-Net of which each layer has a number in its name, as messages have."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(1, 9):
            self.add_module(f"encode{i}", nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(F.max_pool2d(x, 4), scale_factor=4)
        if y.shape != x.shape:
            raise ValueError(f"{y.shape} is not {x.shape}")
        return x + y


def test_the_message_of_an_error_is_no_key_of_a_dictionary_nearby() -> None:
    net = symcnn.from_torch(Numbered(), "N 3 H W", branches=4)
    assert net.complete
    assert str(net.valid_inputs()) == "H % 4 == 0 and H >= 4 and W % 4 == 0 and W >= 4"


NO_TENSORS: dict[str, Any] = {
    "a pool's two outputs": nn.Sequential(nn.MaxPool2d(2, return_indices=True), nn.ReLU()),
    "relu of a pair": Function(lambda x: F.relu((x, x))),  # type: ignore[arg-type]
    "softmax of a list": Function(lambda x: F.softmax([x], 1)),  # type: ignore[arg-type]
    "a resize of a pair": Function(lambda x: F.interpolate((x, x), 8)),  # type: ignore[arg-type]
    "a pair added": Function(lambda x: x + (x,)),  # noqa: RUF005
    "a pair in front": Function(lambda x: (x,) + x),  # noqa: RUF005
    "a product with a dict": Function(lambda x: x * {"a": 1}),
    "a text added": Function(lambda x: x + "a"),
    "a list behind @": Function(lambda x: x @ [1, 2]),
}


@pytest.mark.parametrize("name", NO_TENSORS)
def test_what_is_no_tensor_is_refused_as_torch_refuses_it(name: str) -> None:
    with pytest.raises((TypeError, AttributeError)):
        NO_TENSORS[name](torch.zeros(1, 4, 9, 9))
    with pytest.raises(SymcnnError, match="TypeError"):
        symcnn.from_torch(NO_TENSORS[name], "N 4 H W")


ARGUMENTS: dict[str, Any] = {
    "a norm of no such name": lambda x: x.norm(p="fr"),
    "the nuclear norm of a vector": lambda x: torch.norm(x, "nuc", dim=1),
    "the third norm of matrices": lambda x: torch.linalg.matrix_norm(x, 3),
    "a norm by three axes": lambda x: torch.linalg.norm(x, 2, dim=(1, 2, 3)),
    "a word for a vector": lambda x: torch.linalg.vector_norm(x, "fro"),
    "a label in the output alone": lambda x: torch.einsum("nchw->ncq", x),
    "a label in the output twice": lambda x: torch.einsum("nchw->nn", x),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_torch_refuses_is_refused(name: str) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        ARGUMENTS[name](torch.zeros(1, 4, 9, 9))
    with pytest.raises(SymcnnError):
        symcnn.from_torch(Function(ARGUMENTS[name]), "N 4 H W")
