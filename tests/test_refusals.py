"""Every refusal names the node, the line of the user's file, the cause and a cure that works.

The cures that can be applied are applied here, as text: the call that is wrong is made again the
way the refusal says, and is taken.
"""

import re

import pytest

import symcnn
from symcnn.errors import SymcnnError

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Forward(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, *inputs):
        return self.run(*inputs)


def refusal(run, *specs, example=None):
    """What is said where a forward is traced."""
    with pytest.raises(SymcnnError) as caught:
        symcnn.from_torch(Forward(run), *(specs or ("1 4 9 9",)), example=example)
    return caught.value


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
def test_a_refusal_of_a_trace_says_where_why_and_what_to_do(name):
    error = refusal(WRONG[name])
    assert re.search(r"at test_refusals\.py:\d+: ", str(error))
    assert error.cure


@pytest.mark.parametrize("name", WRONG)
def test_what_was_traced_before_a_refusal_can_be_asked(name):
    error = refusal(lambda x: WRONG[name](x * 2))
    assert error.partial.nodes
    assert str(error.partial.summary())


def test_a_size_outside_the_domain_is_refused_with_the_line_and_a_size_that_is_taken():
    net = symcnn.from_torch(Forward(lambda x: F.max_pool2d(x, 4, 8).view(1, -1, 6)), "1 6 H W")
    with pytest.raises(symcnn.InvalidInput) as caught:
        net.shape_at(H=3, W=8)
    assert re.search(r"at test_refusals\.py:\d+: ", str(caught.value))
    (said,) = re.findall(r"nearest valid size: H=(\d+), W=(\d+)", str(caught.value))
    assert net.shape_at(H=int(said[0]), W=int(said[1]))


def test_a_wrong_call_inside_a_forward_is_not_taken_for_a_wrong_spec():
    error = refusal(lambda x: F.relu(x, scale=2))
    assert "relu() got an unexpected keyword argument" in str(error)
    assert re.search(r"test_refusals\.py:\d+", str(error))
    with pytest.raises(symcnn.BadSpec, match="give one spec per input"):
        symcnn.from_torch(nn.ReLU(), "N 3 H W", "N 3 H W")


def test_the_line_of_a_refusal_inside_a_module_is_the_users():
    inner = Forward(lambda x: x + torch.zeros(7))
    with pytest.raises(symcnn.ShapeMismatch) as caught:
        symcnn.from_torch(nn.Sequential(nn.ReLU(), inner), "1 4 9 9")
    assert str(caught.value).startswith("1: add: ")
    assert re.search(r"at test_refusals\.py:\d+: inner = ", str(caught.value))


def test_a_branch_that_was_not_followed_is_followed_from_the_example_that_is_said():
    def run(x):
        return x.flatten(1) if x.shape[2] > 8 else x

    net = symcnn.from_torch(Forward(run), "1 4 H W", branches=1)
    assert net.shape_at(H=4, W=4) == (1, 4, 4, 4)  # the module runs there
    with pytest.raises(symcnn.InvalidInput) as caught:
        net.at(net.nodes[0].name).shape_at(H=4, W=4)
    (said,) = re.findall(r"trace again with example=(\{.*\})", str(caught.value))
    again = symcnn.from_torch(Forward(run), "1 4 H W", branches=1, example=eval(said))
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
}


@pytest.mark.parametrize("cure", CURED)
def test_what_a_refusal_says_to_do_is_taken(cure):
    wrong, right = CURED[cure]
    with pytest.raises((RuntimeError, TypeError, ValueError, NotImplementedError)):
        wrong(torch.rand(1, 4, 9, 9))
    assert cure in str(refusal(wrong))
    net = symcnn.from_torch(Forward(right), "1 4 H W")
    assert net.shape_at(H=9, W=9) == tuple(right(torch.rand(1, 4, 9, 9)).shape)


ASKED = {
    "stream": (lambda net: net.stream(), lambda net, cure: net.stream(**eval(f"dict({cure})"))),
    "output": (
        lambda net: net.receptive_field("2"),
        lambda net, cure: net.receptive_field(at="1"),
    ),
}


@pytest.mark.parametrize("question", ASKED)
def test_what_the_refusal_of_a_question_says_to_do_is_answered(question):
    ask, again = ASKED[question]
    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(4, 4, 2, 2), nn.ReLU()), "1 4 H W")
    with pytest.raises(SymcnnError) as caught:
        ask(net)
    assert again(net, caught.value.cure)
