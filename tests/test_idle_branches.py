"""A branch that pads, crops or resizes where that is needed is no branch: torch is the judge."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.judge.oracles import torch_saved

SIZES = [(h, w) for h in (1, 2, 3, 4, 6, 7, 8, 13, 14) for w in (1, 2, 7, 8, 15)]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)


class Odd(Net):
    """The pads are 0 by themselves where the test does not hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        if h % 2 or w % 2:
            x = F.pad(x, (0, w % 2, 0, h % 2))
        return F.avg_pool2d(self.conv(x), 2)


class Patches(Net):
    """The pads are not 0 by themselves there, and stand in a name of their own, annotated once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, _, height, width = x.shape
        if width % 4 != 0:
            pads: tuple[int, ...] = (0, 4 - width % 4)
            x = F.pad(x, pads)
        if height % 4 != 0:
            pads = (0, 0, 0, 4 - height % 4)
            x = F.pad(x, pads)
        return F.avg_pool2d(self.conv(x), 4)


class Both(Net):
    """One test for two pads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        if h % 4 == 0 and w % 4 == 0:
            pass
        else:
            x = F.pad(x, (0, -w % 4, 0, -h % 4))
        return F.avg_pool2d(self.conv(x), 4)


class Windows(Net):
    """The truth of the test has a name, which is asked again for the crop; channels stand last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).permute(0, 2, 3, 1).contiguous()
        b, h, w, c = x.shape
        bottom, right = (7 - h % 7) % 7, (7 - w % 7) % 7
        padded = bottom > 0 or right > 0
        if padded:
            x = F.pad(x, (0, 0, 0, right, 0, bottom))
        rows, columns = (h + bottom) // 7, (w + right) // 7
        x = x.view(b, rows, 7, columns, 7, c).transpose(2, 3).reshape(-1, 49, c)
        x = torch.relu(x).view(b, rows, columns, 7, 7, c).transpose(2, 3)
        x = x.reshape(b, rows * 7, columns * 7, c)
        if padded:
            x = x[:, :h, :w].contiguous()
        return self.conv(x.permute(0, 3, 1, 2))


class Shifted(Net):
    """What is cropped has its name from one side or the other of a test of a hyperparameter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for shift in (0, 3):
            y = self.conv(x).permute(0, 2, 3, 1).contiguous()
            b, h, w, c = y.shape
            y = F.pad(y, (0, 0, 0, -w % 7, 0, -h % 7))
            tall, wide = y.shape[1], y.shape[2]
            if shift > 0:
                z = torch.roll(y, (shift, shift), (1, 2))
            elif shift == 0:
                z = y
            else:
                raise ValueError(shift)
            if h != tall or w != wide:
                z = z[:, :h, :w, :].contiguous()
            x = z.view(b, h * w, c).transpose(1, 2).reshape(b, c, h, w)
        return x


def crop_like(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if x.size()[2:] == target.size()[2:]:
        return x
    else:
        return x[:, :, : target.size(2), : target.size(3)]


class Cropped(Net):
    """What is enlarged is cropped to what it was made of, where it is larger (FlowNet)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), scale_factor=2)
        y = crop_like(y, x)
        z = F.interpolate(F.avg_pool2d(self.conv(y), 4, ceil_mode=True), scale_factor=4)
        if z.shape[2:] != y.shape[2:]:
            z = z[:, :, : y.size(2), : y.size(3)]
        return z + y


class Resized(Net):
    """A flag that the branch sets is asked later."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        new_h, new_w = math.ceil(h / 2) * 2, math.ceil(w / 2) * 2
        resized = False
        if new_h != h or new_w != w:
            x = F.interpolate(x, size=(new_h, new_w), mode="bilinear", align_corners=False)
            resized = True
        x = self.conv(x)
        if resized:
            x = F.interpolate(x, size=(h, w), mode="bilinear", align_corners=False)
        return self.conv(x)


class Blocks(Net):
    """Twelve blocks, each with branches of its own size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for size in (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6, 7):
            h, w = x.shape[-2:]
            down, right = -h % size, -w % size
            if down or right:
                x = F.pad(x, (0, right, 0, down))
            x = torch.relu(x)
            if down or right:
                x = x[..., :h, :w].contiguous()
        return self.conv(x)


class Informed(Net):
    """One method keeps the truth under a word, and another asks it."""

    def unfolding(self, x: Any) -> tuple[Any, dict[str, Any]]:
        h, w = x.shape[2:]
        new_h, new_w = math.ceil(h / 4) * 4, math.ceil(w / 4) * 4
        stretched = False
        if new_h != h or new_w != w:
            x = F.interpolate(x, size=(new_h, new_w), mode="bilinear", align_corners=False)
            stretched = True
        return x, {"size": (h, w), "stretched": stretched}

    def folding(self, x: Any, info: Any) -> Any:
        if info["stretched"]:
            x = F.interpolate(x, size=info["size"], mode="bilinear", align_corners=False)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            y, info = self.unfolding(self.conv(x))
            x = self.folding(self.conv(y), info)
        return x


class Tokens(Net):
    """What is padded are tokens as a map, whose channels lie innermost."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for size in (2, 3):
            b, c, h, w = x.shape
            x = x.flatten(2).transpose(1, 2)
            x = x.transpose(1, 2).view(b, c, h, w)
            if w % size:
                x = F.pad(x, (0, size - w % size))
            if h % size:
                x = F.pad(x, (0, 0, 0, size - h % size))
            x = F.avg_pool2d(self.conv(x), size)
        return x


class Rows(Net):
    """The pads stand in a list, into which each test puts another number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = x
        for size in (2, 3):
            y = F.interpolate(F.avg_pool2d(x, size, ceil_mode=True), scale_factor=size)
            pads = [0] * 4
            for i in range(2):
                if y.shape[-i - 1] != kept.shape[-i - 1]:
                    pads[i * 2 + 1] = kept.shape[-i - 1] - y.shape[-i - 1]
            x = self.conv(F.pad(y, pads, "replicate"))
            pads = [0] * 4
            for i in range(2):
                if x.shape[-i - 1] % 2 != 0:
                    pads[i * 2 + 1] = 1
            x = kept = F.pad(x, pads, "replicate")
        return x


class Worded(Net):
    """A word says on which side is padded."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for size, side in ((2, "corner"), (4, "same"), (3, "none")):
            h, w = x.shape[2:]
            tall, wide = -h % size, max((math.ceil(w / size) - 1) * size + size - w, 0)
            if tall > 0 or wide > 0:
                if side == "corner":
                    x = F.pad(x, [0, wide, 0, tall])
                elif side == "same":
                    left = wide // 2
                    top = tall // 2
                    x = F.pad(x, [left, wide - left, top, tall - top])
            x = F.avg_pool2d(self.conv(x), size, ceil_mode=True)
        return x


class AtLeast(Net):
    """Pyramids pool to no less than so many places, and to no more."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        rows, columns = math.ceil(h * 0.5), h if w > h else w
        rows = rows if rows > 5 else 5
        if columns >= 8:
            columns = 8
        small = F.interpolate(self.conv(x), (rows, columns))
        return F.interpolate(small, (h, w))[:, :, : h // 4 if h >= 12 else 3]


NETS = [
    AtLeast,
    Worded,
    Shifted,
    Odd,
    Patches,
    Both,
    Windows,
    Cropped,
    Resized,
    Blocks,
    Informed,
    Tokens,
    Rows,
]


@pytest.mark.parametrize("kind", NETS)
def test_it_is_one_network_with_torchs_shapes_and_memory_at_every_size(kind: type[Any]) -> None:
    module = kind()
    net = symcnn.from_torch(module, "N 3 H W")
    assert len(net.branches) == 1
    assert net.complete
    domain, cost = net.valid_inputs(), net.cost()
    for h, w in SIZES:
        sizes = {"N": 1, "H": h, "W": w}
        assert (h, w) in domain
        assert net.shape_at(**sizes) == tuple(module(torch.ones(1, 3, h, w)).shape)
        assert cost.at(**sizes).saved == torch_saved(net, module, sizes)


@pytest.mark.parametrize("kind", [Odd, Patches, Both, Resized])
@pytest.mark.parametrize("figure", ["saved", "peak", "activations", "moved", "other"])
def test_a_formula_of_memory_counts_what_is_not_there_as_nothing(
    kind: type[Any], figure: str
) -> None:
    cost = symcnn.from_torch(kind(), "N 3 H W").cost()
    formula = getattr(cost, figure)
    for h, w in SIZES:
        if h > 1 and w > 1:
            assert formula.at(N=1, H=h, W=w) == getattr(cost.at(N=1, H=h, W=w), figure)


def test_what_is_made_where_one_of_two_axes_does_not_fit_is_one_maximum() -> None:
    """Decoders resize what does not fit their skip: where a row or a column is over."""
    work = str(symcnn.from_torch(Resized(), "N 3 H W").cost().other)
    assert "max(2*((H + 1)//2) - H, 2*((W + 1)//2) - W)" in work
    assert "**2" not in work


def test_the_node_is_not_there_at_sizes_that_need_none() -> None:
    net = symcnn.from_torch(Odd(), "N 3 H W")
    assert [node.op for node in net.given(H=6, W=8).nodes] == ["conv2d", "avg_pool2d"]
    assert [node.op for node in net.given(H=6, W=7).nodes] == ["pad", "conv2d", "avg_pool2d"]


def test_fields_at_sizes_are_torchs() -> None:
    module = Resized()
    field = symcnn.from_torch(module, "N 3 H W").receptive_field()
    for h in (6, 7):
        x = torch.ones(1, 3, h, 8, requires_grad=True)
        out = module(x)
        for i in range(h):
            (grad,) = torch.autograd.grad(out[0, :, i].sum(), x, retain_graph=True)
            rows = grad.abs().sum((0, 1, 3)).nonzero().flatten()
            assert field.at(N=1, H=h, W=8).interval(i) == (int(rows[0]), int(rows[-1]))


class Otherwise(Net):
    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.run = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)


def doubled_where_padded(x: Any) -> Any:
    h = x.shape[2]
    padded = h % 2 != 0
    if padded:
        x = F.pad(x, (0, 0, 0, 1))
    return x * 2 if padded else x


def of_a_word(x: Any) -> Any:
    how = "reflect" if x.shape[2] % 2 else "constant"
    return F.pad(x, (0, 0, 0, 1), mode=how)


def below_a_bound(x: Any) -> Any:
    h = x.shape[2]
    if h < 8:
        x = F.pad(x, (0, 0, 0, 8 - h))
    return x


def rolled(x: Any) -> Any:
    h = x.shape[2]
    if h % 2:
        x = torch.roll(F.pad(x, (0, 0, 0, 1)), 1, 2)
    return x


def truth_as_a_value(x: Any) -> tuple[Any, Any]:
    h = x.shape[2]
    padded = h % 2 != 0
    if padded is True:
        x = F.pad(x, (0, 0, 0, 1))
    return x, padded


def truth_under_a_word(x: Any) -> Any:
    h = x.shape[2]
    said = False
    if h % 2:
        x = F.pad(x, (0, 0, 0, 1))
        said = True
    info = {"said": said}
    if info["said"]:
        x = x * 1
    return x if info["said"] is True else x * 2


OTHERS = [doubled_where_padded, of_a_word, below_a_bound, rolled]
OTHERS += [truth_as_a_value, truth_under_a_word]


@pytest.mark.parametrize("forward", OTHERS)
def test_what_is_no_such_choice_stays_a_branch(forward: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Otherwise(forward), "N 3 H W")
    assert len(net.branches) == 2
    for h in range(2, 12):
        out = forward(torch.ones(1, 3, h, 4))
        ours = net.shape_at(N=1, H=h, W=4)
        assert ours == (tuple(out[0].shape) if isinstance(out, tuple) else tuple(out.shape)) or (
            isinstance(ours[0], tuple) and ours[0] == tuple(out[0].shape)
        )


def test_a_pad_of_a_tensor_that_lies_in_another_order_stays_a_branch() -> None:
    def forward(x: torch.Tensor) -> Any:
        x = x.permute(0, 2, 3, 1)
        if x.shape[2] % 2:
            x = F.pad(x, (0, 0, 0, 1))
        return x.reshape(x.shape[0], -1)

    net = symcnn.from_torch(Otherwise(forward), "N 3 H W")
    assert len(net.branches) == 2
    for w in (7, 8):
        assert net.cost().at(N=1, H=4, W=w).activations == (4 * 4 * 3 * w if w == 8 else 384)


def test_what_is_left_of_branches_on_the_smaller_side_is_said_by_what_it_lacks() -> None:
    """Wavelets ask how often both sides can be halved: stairs of two boxes for each power of 2."""

    class Halved(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            deepest = int(math.log2(min(x.shape[2:]) / 3)) if min(x.shape[2:]) > 2 else 0
            return x * 2 if deepest < 1 else x * deepest

    net = symcnn.from_torch(Halved(), "N 3 H W", branches=40)
    assert not net.complete
    assert str(net.valid_inputs()).count(" or ") == 1
