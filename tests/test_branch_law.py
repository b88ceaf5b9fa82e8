"""A forward whose python branches on sizes is the union of its branches: torch judges each size."""

import math
import os
from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import or_
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn import H, W
from symcnn.errors import InvalidInput
from symcnn.questions.cases import merged
from symcnn.sets.simplest import Simplest

from .corpus.forwards import Forward


def pad_if_odd(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if h % 2 or w % 2:
        x = F.pad(x, (0, w % 2, 0, h % 2))
    return self.conv(x)


def pad_to_eight_and_crop_back(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    bottom, right = (8 - h % 8) % 8, (8 - w % 8) % 8
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom))
    x = F.max_pool2d(x, 8)
    return F.interpolate(x, scale_factor=8)[:, :, :h, :w]


def raises_unless_multiple(self: Any, x: Any) -> Any:
    if x.shape[2] % 8:
        raise ValueError("the height must be a multiple of 8")
    return x


def asserts_square(self: Any, x: Any) -> Any:
    assert x.shape[2] == x.shape[3], "square only"
    return F.max_pool2d(x, 2)


def nested(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if h > 10:
        if w > 20:
            return F.max_pool2d(x, 2)
        return F.max_pool2d(x, (2, 1))
    return x


def elif_chain(self: Any, x: Any) -> Any:
    h = x.shape[2]
    if h < 8:
        x = F.interpolate(x, scale_factor=4)
    elif h < 16:
        x = F.interpolate(x, scale_factor=2)
    elif h == 20:
        raise RuntimeError("20 is unlucky")
    return F.avg_pool2d(x, 4)


def early_return(self: Any, x: Any) -> Any:
    if min(x.shape[2:]) < 7:
        return x
    return self.conv(x)


def conditional_expression(self: Any, x: Any) -> Any:
    return F.max_pool2d(x, 3 if x.shape[3] > 30 else 2)


def while_it_is_large(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    while 100 > h > 7 and w > 7:
        x = F.max_pool2d(x, 2)
        h, w = x.shape[2:]
    return x


def orientation(self: Any, x: Any) -> Any:
    if x.shape[2] > x.shape[3]:
        x = x.transpose(2, 3)
    return F.max_pool2d(x, (2, 3))


def ratio(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if h / w > 2:
        return F.max_pool2d(x, (2, 1))
    if w / h >= 1.5:
        return F.max_pool2d(x, (1, 2))
    return x


def same_by_hand(self: Any, x: Any) -> Any:
    h, w = x.shape[-2:]
    k, s = 5, 3
    ph = max((math.ceil(h / s) - 1) * s + k - h, 0)
    pw = max((math.ceil(w / s) - 1) * s + k - w, 0)
    if ph > 0 or pw > 0:
        x = F.pad(x, (pw // 2, pw - pw // 2, ph // 2, ph - ph // 2))
    return F.conv2d(x, torch.zeros(4, 3, k, k), stride=s)


def same_with_nested_ifs(self: Any, x: Any) -> Any:
    """As TensorFlow's padding is written in many ports: the stride divides, or does not."""
    h, w = x.shape[-2:]
    ph = max(3 - 2, 0) if h % 2 == 0 else max(3 - h % 2, 0)
    pw = max(3 - 2, 0) if w % 2 == 0 else max(3 - w % 2, 0)
    x = F.pad(x, (pw // 2, pw - pw // 2, ph // 2, ph - ph // 2))
    return F.conv2d(x, torch.zeros(4, 3, 3, 3), stride=2)


def windows(self: Any, x: Any) -> Any:
    """Partition into windows and back, padded where needed, as Swin and its children do."""
    n, c, h, w = x.shape
    size = 4
    bottom, right = (size - h % size) % size, (size - w % size) % size
    if bottom > 0 or right > 0:
        x = F.pad(x, (0, right, 0, bottom))
    hp, wp = h + bottom, w + right
    x = x.view(n, c, hp // size, size, wp // size, size).permute(0, 2, 4, 3, 5, 1)
    x = x.reshape(-1, size * size, c)
    batch = int(x.shape[0] / (hp * wp / size / size))
    x = x.view(batch, hp // size, wp // size, size, size, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(batch, c, hp, wp)[:, :, :h, :w]


def no_window_if_small(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    size = 7
    if h <= size or w <= size:
        size = min(h, w)
    return F.max_pool2d(x, size)


def adaptive_fallback(self: Any, x: Any) -> Any:
    if x.shape[2] < 4 or x.shape[3] < 4:
        return F.adaptive_avg_pool2d(x, 1)
    return F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1)


def crop_to_even(self: Any, x: Any) -> Any:
    if x.shape[2] % 2 == 1:
        x = x[:, :, :-1]
    if x.shape[3] % 2 == 1:
        x = x[:, :, :, :-1]
    return F.max_pool2d(x, 2)


def repeated_conditions(self: Any, x: Any) -> Any:
    for _ in range(24):
        if x.shape[2] % 4:
            x = F.pad(x, (0, 0, 0, 1))
        x = x + 1 if x.shape[3] > 40 else x * 2
    return x


def unet_that_pads_its_skip(self: Any, x: Any) -> torch.Tensor:
    skip = x
    y = F.interpolate(F.max_pool2d(x, 2), scale_factor=2)
    dh, dw = skip.size(2) - y.size(2), skip.size(3) - y.size(3)
    if dh > 0 or dw > 0:
        y = F.pad(y, (0, dw, 0, dh))
    return torch.cat([skip, y], 1)


def unet_that_resizes_its_skip(self: Any, x: Any) -> torch.Tensor:
    y = F.interpolate(F.max_pool2d(x, 2), scale_factor=2)
    if y.shape != x.shape:
        y = F.interpolate(y, size=x.shape[2:])
    return torch.cat([x, y], 1)


def unless_equal(self: Any, x: Any) -> Any:
    if (x.shape[2], x.shape[3]) != (24, 32):
        x = F.interpolate(x, size=(24, 32))
    return x


def largest_multiple(self: Any, x: Any) -> Any:
    h = x.shape[2] // 4 * 4
    if h == 0:
        raise ValueError(f"too small: {x.shape[2]}")
    return x[:, :, :h]


def either_axis(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if h % 3 == 0:
        return F.max_pool2d(x, (3, 1))
    if w % 3 == 0:
        return F.max_pool2d(x, (1, 3))
    return x


def not_both(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if not (h > 12 and w > 12):
        return F.pad(x, (1, 1, 1, 1))
    return x


def within_bounds(self: Any, x: Any) -> Any:
    if 8 <= x.shape[2] < 40:
        return F.max_pool2d(x, 2)
    raise ValueError("from 8 to 39 rows")


def area(self: Any, x: Any) -> Any:
    if x.shape[2] * x.shape[3] >= 900:
        return F.max_pool2d(x, 2)
    return x


def fails_in_a_layer(self: Any, x: Any) -> Any:
    if x.shape[2] > 30:
        return self.linear(x.flatten(1))
    return x.flatten(1)


def try_and_fall_back(self: Any, x: Any) -> Any:
    try:
        if x.shape[2] < 5:
            raise ValueError("small")
        return F.max_pool2d(x, 5)
    except ValueError:
        return x


def depends_on_a_branch(self: Any, x: Any) -> Any:
    y = F.max_pool2d(x, 2) if x.shape[2] > 16 else x
    if y.shape[2] % 2:
        y = F.pad(y, (0, 0, 1, 0))
    return y


def bits(self: Any, x: Any) -> Any:
    h = x.shape[2]
    if h & 1:
        x = F.pad(x, (0, 0, 0, 1))
    return x if x.shape[3] >> 3 else F.pad(x, (0, (x.shape[3] - 1 | 7) + 1 - x.shape[3]))


def sum_of_sides(self: Any, x: Any) -> Any:
    if x.shape[2] + x.shape[3] > 50:
        return x[:, :, ::2]
    return x


def counts_tokens(self: Any, x: Any) -> Any:
    tokens = x.flatten(2).transpose(1, 2)
    if tokens.shape[1] % 2:
        tokens = torch.cat([tokens, tokens[:, :1]], 1)
    return tokens


def chunk_where_long(self: Any, x: Any) -> Any:
    return torch.cat(x.chunk(2, 2), 1) if x.shape[2] % 2 == 0 else x


def stride_by_size(self: Any, x: Any) -> Any:
    stride = 1 if x.shape[2] < 20 else 2 if x.shape[2] < 40 else 4
    return F.conv2d(x, torch.zeros(4, 3, 3, 3), stride=stride, padding=1)


def deep(self: Any, x: Any) -> Any:
    for _ in range(3):
        if x.shape[2] % 2 == 1 or x.shape[3] % 2 == 1:
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        x = F.max_pool2d(x, 2)
    return x


def least_of_both(self: Any, x: Any) -> Any:
    return F.max_pool2d(x, max(1, min(x.shape[2:]) // 16))


def match_on_a_remainder(self: Any, x: Any) -> Any:
    match x.shape[2] % 3:
        case 0:
            return F.max_pool2d(x, 3)
        case 1 | 2 if x.shape[3] > 9:
            return F.pad(x, (0, 0, 0, 1))
    return x


def nested_expressions(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    return F.avg_pool2d(x, (1 if h < 9 else 2 if w < 9 else 3, 2 if h > w else 1))


def raises_deep_inside(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if h > 5:
        for _ in range(2):
            if w < 12:
                raise RuntimeError(f"{w} columns are too few")
            x = F.max_pool2d(x, 2)
    return x


def asserts_multiples(self: Any, x: Any) -> Any:
    assert all(s % 4 == 0 for s in x.shape[2:]), "multiples of 4"
    assert not any(s > 48 for s in x.shape[2:])
    return F.max_pool2d(x, 4)


def relation_of_sides(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if max(h, w) / min(h, w) > 1.5:
        return F.interpolate(x, size=(max(h, w), max(h, w)))
    return F.max_pool2d(x, 2) if min(h, w) > 1 else x


def shifted_windows(self: Any, x: Any) -> Any:
    """The window and its shift depend on the size, as in Swin."""
    h, w = x.shape[2:]
    size, shift = (min(h, w), 0) if min(h, w) <= 4 else (4, 2)
    x = F.pad(x, (0, (size - w % size) % size, 0, (size - h % size) % size))
    if shift:
        x = torch.roll(x, (-shift, -shift), (2, 3))
    x = F.max_pool2d(x, size)
    return x if shift else F.interpolate(x, scale_factor=2)


def windows_of_the_smaller_side(self: Any, x: Any) -> Any:
    """The window shrinks to the map, and what mixes its pixels has one size, as in Swin."""
    h, w = x.shape[2:]
    size = min(h, w) if min(h, w) <= 4 else 4
    x = F.pad(x, (0, (size - w % size) % size, 0, (size - h % size) % size))
    rows, columns = x.shape[2:]
    x = x.view(-1, 3, rows // size, size, columns // size, size).permute(0, 2, 4, 1, 3, 5)
    x = x.reshape(-1, 3, size * size) @ torch.zeros(16, 16)
    x = x.view(-1, rows // size, columns // size, 3, size, size).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, 3, rows, columns)[:, :, :h, :w]


def of_a_few_sizes(self: Any, x: Any) -> Any:
    return F.max_pool2d(x, 2) if x.shape[2] in (14, 28, 56) else x


def loop_that_returns(self: Any, x: Any) -> Any:
    for k in (2, 3, 5):
        if x.shape[2] % k == 0 and x.shape[3] % k == 0:
            return F.max_pool2d(x, k)
    else:
        return F.pad(x, (1, 0, 1, 0))


def pads_by_reflection(self: Any, x: Any) -> Any:
    """Torch refuses to reflect more rows than there are."""
    bottom = -x.shape[2] % 6
    return F.pad(x, (0, 0, 0, bottom), mode="reflect") if bottom else x


def same_with_dilation(self: Any, x: Any) -> Any:
    h, w = x.shape[-2:]
    k, s, d = 3, 2, 2
    ph = max((math.ceil(h / s) - 1) * s + (k - 1) * d + 1 - h, 0)
    pw = max((math.ceil(w / s) - 1) * s + (k - 1) * d + 1 - w, 0)
    x = F.pad(x, [pw // 2, pw - pw // 2, ph // 2, ph - ph // 2])
    return F.conv2d(x, torch.zeros(4, 3, k, k), stride=s, dilation=d)


def windows_in_24_blocks(self: Any, x: Any) -> Any:
    """Blocks that ask the same again and again: each is decided once."""
    h, w = x.shape[2:]
    for i in range(24):
        y, size = x, 3 if i % 2 else 2
        bottom, right = (size - h % size) % size, (size - w % size) % size
        if bottom or right:
            y = F.pad(y, (0, right, 0, bottom))
        y = F.interpolate(F.max_pool2d(y, size), scale_factor=size)
        x = x + (y[:, :, :h, :w] if bottom or right else y)
    return x


def walrus(self: Any, x: Any) -> Any:
    if (rest := x.shape[3] % 5) and rest < x.shape[3]:
        x = x[..., rest:]
    return x


def quotient_by_a_size_of_either_sign(self: Any, x: Any) -> Any:
    """By 4 - w python divides as by any number, but for 0."""
    h, w = x.shape[2:]
    if h // (w - 4) > 2:
        return x[..., :1]
    try:
        return x if 20 // (h - w) >= -3 else F.max_pool2d(x, 2)
    except ZeroDivisionError:
        return F.pad(x, (0, 1 if h / (9 - w) < 1.5 else 2))


def remainder_by_a_negative_size(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    return F.pad(x, (0, -h % (w - 5) + 4 if w < 5 else 9 % (3 - w) + w, 0, h % -4 + 3))


def blocks_of_a_map_that_is_halved(self: Any, x: Any) -> Any:
    """The query of HaloNet: as many blocks as before it was halved, each half as wide."""
    x = F.max_pool2d(x, 3, 2, 1)
    h, w = x.shape[2:]
    if h % 8 or w % 8:
        raise ValueError("blocks of 8")
    return F.conv2d(x, torch.zeros(8, 3, 1, 1), stride=2).reshape(-1, 2, h // 8, 4, w // 8, 4)


def texts_of_sizes(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    if f"{h}x{w}" in ("16x16", "8x8") or str(h) == "5":
        return F.max_pool2d(x, 2)
    return F.max_pool2d(x, {"3_7": 3, "7_7": 2}.get(f"{h}_{w}", 1))


def texts_filled_for_people(self: Any, x: Any) -> Any:
    h, w = x.shape[2:]
    said = ["%5.2f by %-6.1f, %05d%%" % (h / 2, h / w, w), "%(rows)3d" % {"rows": h}]  # noqa: UP031
    return F.max_pool2d(x, len(said)) if "%(w)d" % {"w": w} == "6" else x  # noqa: UP031


def texts_compared_elsewhere(self: Any, x: Any) -> Any:
    def is_one(text: Any, *others: Any) -> Any:
        return text in others

    h, w = map(str, x.shape[2:])
    return F.max_pool2d(x, 2) if is_one(w, "6", "16") or int(h) % 3 == 1 else x


def groups_by_size(self: Any, x: Any) -> Any:
    groups: dict[Any, Any] = {}
    for y in (x, F.max_pool2d(x, 2, 1, 1), F.max_pool2d(x, (1, 2), ceil_mode=True)):
        groups.setdefault(y.shape[3], []).append(y)
    return F.max_pool2d(x, len(groups), ceil_mode=True)


def asks_whether_indices_fit(self: Any, x: Any) -> Any:
    """UNet2DConditionModel of diffusers: a product by a rounded quotient is compared."""
    small = x[:, :, ::2, ::2]
    factor = max(f / s for f, s in zip(x.shape[2:], small.shape[2:], strict=True))
    if small.numel() * factor > 2**31:
        small = small.contiguous()
    return F.interpolate(small, size=x.shape[2:])


FORWARDS = [
    pad_if_odd, pad_to_eight_and_crop_back, raises_unless_multiple, asserts_square, nested,
    elif_chain, early_return, conditional_expression, while_it_is_large, orientation, ratio,
    same_by_hand, same_with_nested_ifs, windows, no_window_if_small, adaptive_fallback,
    crop_to_even, repeated_conditions, unet_that_pads_its_skip, unet_that_resizes_its_skip,
    unless_equal, largest_multiple, either_axis, not_both, within_bounds, area, fails_in_a_layer,
    try_and_fall_back, depends_on_a_branch, bits, sum_of_sides,
    stride_by_size, deep, counts_tokens, chunk_where_long, least_of_both, match_on_a_remainder,
    nested_expressions, raises_deep_inside, asserts_multiples, relation_of_sides, shifted_windows,
    windows_of_the_smaller_side, of_a_few_sizes, loop_that_returns, pads_by_reflection,
    same_with_dilation, windows_in_24_blocks, walrus, quotient_by_a_size_of_either_sign,
    texts_of_sizes, texts_filled_for_people, texts_compared_elsewhere, groups_by_size,
    remainder_by_a_negative_size,
    blocks_of_a_map_that_is_halved, asks_whether_indices_fit,
]  # fmt: skip


def model(forward: Callable[..., Any]) -> Forward:
    return Forward(forward, conv=nn.Conv2d(3, 8, 2, 2), linear=nn.Linear(3 * 32 * 32, 5))


def torch_says(module: Any, n: int, h: Any, w: Any) -> Any:
    try:
        return tuple(module(torch.zeros(n, 3, h, w)).shape)
    except Exception:
        return None


#: Whether the run may take long: every size, and more targets.
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"


def grid() -> list[Any]:
    """Every size up to 8 x 8, and a sample up to 64 x 64; in a long run, every size."""
    if LONG:
        return [*product(range(1, 65), repeat=2)]
    sizes = {*product(range(1, 9), repeat=2), *product(range(1, 65, 3), (16, 33))}
    return sorted(sizes | {(7 * i % 64 + 1, 11 * i % 64 + 1) for i in range(60)})


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__)
def test_every_size_has_torchs_shape_whichever_branch_it_takes(forward: Callable[..., Any]) -> None:
    module = model(forward)
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.complete, net.unfollowed
    domain = net.valid_inputs()
    reached: dict[str, Any] = {}
    for h, w in grid():
        shape = torch_says(module, 2, h, w)
        assert ((h, w) in domain) == (shape is not None), (h, w, shape)
        if shape is None:
            with pytest.raises(InvalidInput):
                net.shape_at(N=2, H=h, W=w)
        else:
            assert net.shape_at(N=2, H=h, W=w) == shape, (h, w)
            reached.setdefault(shape[2:], set()).add((h, w))
    targets = sorted(reached.items())
    for target, sizes in targets[:3] + (targets[3 :: len(targets) // 6 + 1] if LONG else []):
        if len(target) == 2 and not all(isinstance(size, int) for size in net.output_shape[2:]):
            solution = net.solve(output=target)
            assert all(((h, w) in solution) == ((h, w) in sizes) for h, w in grid()), target


def windows_back_to_a_map(self: Any, x: Any) -> Any:
    """segformer_pytorch: a float of a quotient that is the same number on the domain."""
    y = F.unfold(x, 4, stride=4)
    ratio = int(math.sqrt(x.shape[2] * x.shape[3] / y.shape[2]))
    return y.reshape(*y.shape[:2], x.shape[2] // ratio, -1)


def tokens_of_a_square_map(self: Any, x: Any) -> Any:
    tokens = x.flatten(2).transpose(1, 2)
    side = int(tokens.shape[1] ** 0.5)
    return tokens.view(len(x), side, side, 3)


def whole_root_of_a_square_map(self: Any, x: Any) -> Any:
    tokens = x.flatten(2).transpose(1, 2)
    side = math.isqrt(tokens.shape[1])
    return tokens.view(len(x), side, side, 3)


@pytest.mark.parametrize(
    ("forward", "domain", "shape"),
    [
        (windows_back_to_a_map, "H % 4 == 0 and H >= 4 and W % 4 == 0 and W >= 4", (2, 48, 3, 3)),
        (tokens_of_a_square_map, "H >= 1 and H == W", (2, 12, 12, 3)),
        (whole_root_of_a_square_map, "H >= 1 and H == W", (2, 12, 12, 3)),
    ],
)
def test_a_number_for_python_fixes_no_more_than_it_must(
    forward: Callable[..., Any], domain: str, shape: tuple[int, ...]
) -> None:
    net = symcnn.from_torch(model(forward), "N 3 H W")
    assert net.valid_inputs().words() == domain
    assert not net.complete
    assert "python needs a number" in net.unfollowed[0].reason
    assert net.shape_at(N=2, H=12, W=12) == torch_says(model(forward), 2, 12, 12) == shape


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__)
def test_branches_are_disjoint(forward: Callable[..., Any]) -> None:
    branches = symcnn.from_torch(model(forward), "N 3 H W").branches
    for i, one in enumerate(branches):
        for other in branches[i + 1 :]:
            assert not one.where & other.where


def _in_one(*pieces: tuple[str, sympy.Expr]) -> str:
    """What is said of forms, each on a set of sizes."""
    sets = [(symcnn.solve(where), form) for where, form in pieces]
    return str(merged(sets, Simplest(reduce(or_, [where for where, _ in sets]))))


def test_a_form_of_a_later_branch_is_that_of_an_earlier_one_where_it_holds_there() -> None:
    said = _in_one(
        ("H % 4 == 0", sympy.Rational(3, 2) * H),
        ("H % 4 == 2", H + 2 * (H // 4)),
        ("H % 4 == 1", sympy.Integer(7)),
    )
    assert said == "H + 2*(H//4) if H % 2 == 0 and H >= 2; 7 if H % 4 == 1 and H >= 1"


def test_forms_whose_floors_go_together_on_a_set_are_one() -> None:
    """Where W is 0 or 1 modulo 4, ``W//2`` is twice ``W//4``: centred crops of skip networks."""
    said = _in_one(
        ("H % 4 == 1 and W % 4 <= 1 and W >= 1", (H - 1) * (W // 2 + W // 4)),
        ("H >= 1 and W % 4 >= 2", (H // 2) * (W // 2) + 8 * (H // 4) * (W // 4)),
    )
    assert said == "(H//2)*(W//2) + 8*(H//4)*(W//4)"


def test_a_branch_at_whose_end_no_steps_are_left_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rest = x.shape[3]
            while rest % 4:
                rest = rest // 2
                x = x + 1
            return x

    asked = []

    def refused(tape: Any) -> Any:
        asked.append(tape)
        if len(asked) > 2:
            raise symcnn.Undecidable("the answer takes too many steps")

    monkeypatch.setattr("symcnn.frontends.torch.trace.of_no_size", refused)
    net = symcnn.from_torch(Model(), "N 2 H W")
    assert not net.complete
    assert len(net.branches) == 2
    assert net.unfollowed[0].reason == "the answer takes too many steps"
    assert net.shape_at(N=1, H=3, W=101) == (1, 2, 3, 101)
