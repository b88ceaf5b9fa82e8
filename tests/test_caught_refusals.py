"""A model that catches what torch refuses goes on: each requirement there is a branch."""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn


class PoolOrNot(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return F.max_pool2d(x, 2)
        except RuntimeError:
            return x


class LayersOrNot(nn.Module):
    """The try stands in another frame than the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 5), nn.MaxPool2d(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            try:
                x = self.layers(x)
            except (KeyError, Exception):
                x = F.relu(x)
        return x


class SkipWhereItFits(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2)
        try:
            return x + y
        except RuntimeError:
            return y


class OtherErrors(nn.Module):
    """Nothing that torch raises is caught: what it refuses is refused."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = F.relu(x)
        try:
            x = F.max_pool2d(x, 2)
        except KeyError:
            x = x[:, :1]
        finally:
            x = F.relu(x)
        return x


class Bare(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return F.max_pool2d(x, 2)
        except:  # noqa: E722
            return x


class SecondClause(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return F.max_pool2d(x, 2)
        except KeyError:
            return x[:, :1]
        except (ValueError, RuntimeError):
            return x


class InsideAWith(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            with torch.no_grad():
                x = F.max_pool2d(x, 2)
        except RuntimeError:
            x = F.relu(x)
        return x


class OuterTry(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            try:
                x = F.max_pool2d(x, 2)
            except KeyError:
                x = x[:, :1]
            finally:
                x = F.relu(x)
        except RuntimeError:
            x = F.relu(x)
        return x


class Suppressed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(KeyError, RuntimeError):
            return F.max_pool2d(x, 2)
        return x


class NoSuchPlace(nn.Module):
    """An index beyond the end is an IndexError, an axis beyond the last as well."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(IndexError) as _:
            x = x + x[:, :, 4:5] * x[:, :, 12].sum()
        try:
            return x.transpose(2, 4)
        except IndexError:
            return F.relu(x)


class EmptyIsNoError(nn.Module):
    """What torch takes empty is no refusal that the model could catch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            y = F.relu(x[:, :, 4:])
        except Exception:
            return x[:, :, :1]
        return x + y.sum()


class NegativeIsAnError(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return x.repeat(1, 1, x.shape[2] - 3, 1)
        except RuntimeError:
            return x


class AttributesOfAnInt(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.shape[2]
        try:
            h.scale = 2  # type: ignore[attr-defined]
        except AttributeError:
            return F.relu(x)
        return x[:, :1]


class ByZero(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            k = 12 // (x.shape[3] - 4)
        except ZeroDivisionError:
            return x[:, :1]
        return x if k > 3 else x[:, :2]


@pytest.mark.parametrize(
    "kind",
    [
        EmptyIsNoError,
        NegativeIsAnError,
        AttributesOfAnInt,
        ByZero,
        Suppressed,
        NoSuchPlace,
        PoolOrNot,
        LayersOrNot,
        SkipWhereItFits,
        Bare,
        SecondClause,
        InsideAWith,
        OuterTry,
        OtherErrors,
    ],
)
def test_it_is_complete_and_torchs(kind: type[Any]) -> None:
    module = kind()
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.complete
    domain = net.valid_inputs()
    for h, w in itertools.product((1, 2, 4, 5, 6, 13, 14, 15), repeat=2):
        try:
            wanted = tuple(module(torch.zeros(1, 3, h, w)).shape)
        except RuntimeError:
            assert (h, w) not in domain
            with pytest.raises(symcnn.InvalidInput):
                net.shape_at(N=1, H=h, W=w)
        else:
            assert (h, w) in domain
            assert net.shape_at(N=1, H=h, W=w) == wanted


def test_a_layer_that_was_met_without_a_try_is_a_branch_within_one() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    class Caught(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return self.layer(x)
            except RuntimeError:
                return x

    symcnn.from_torch(Plain(), "N 3 H W")
    net = symcnn.from_torch(Caught(), "N 3 H W")
    assert net.complete
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"


def catches_everything(x: Any) -> Any:
    try:
        return x * x.max().item()
    except Exception:
        return x[:, :1]


def suppresses(x: Any) -> Any:
    with contextlib.suppress(Exception):
        return x if bool(x.sum() > 0) else x[:, :1]
    return x


def catches_what_has_no_rule(x: Any) -> Any:
    try:
        return torch.special.airy_ai(x)
    except:  # noqa: E722
        return x[:, :1]


def raises_its_own_instead(x: Any) -> Any:
    try:
        return torch.special.airy_ai(x)
    except NotImplementedError as error:
        raise ValueError("cannot") from error


def catches_what_our_rule_says(x: torch.Tensor) -> torch.Tensor:
    try:
        return x.chunk(x.shape[2] - 3, 3)[0]
    except Exception:
        return x[:, :1]


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        (catches_everything, symcnn.DataDependent),
        (suppresses, symcnn.DataDependent),
        (catches_what_has_no_rule, symcnn.UnsupportedOperation),
        (raises_its_own_instead, symcnn.UnsupportedOperation),
    ],
)
def test_what_only_we_refuse_is_no_branch_of_a_model_that_catches_it(
    forward: Callable[..., Any], kind: Any
) -> None:
    module = nn.Module()
    module.forward = forward
    with pytest.raises(kind, match="test_caught_refusals"):
        symcnn.from_torch(module, "N 3 H W")


def test_what_only_we_refuse_and_take_of_numbers_is_followed_at_numbers() -> None:
    module = nn.Module()
    module.forward = catches_what_our_rule_says
    net = symcnn.from_torch(module, "N 3 H W")
    assert not net.complete
    assert all("test_caught_refusals" in left.where_in_code for left in net.unfollowed)
    for h, w in itertools.product((2, 4, 7, 9), (1, 5, 8)):
        made = catches_what_our_rule_says(torch.zeros(1, 3, h, w))
        assert net.shape_at(N=1, H=h, W=w) == tuple(made.shape)


def index(*places: int) -> torch.Tensor:
    return torch.tensor(places)


def fives(*dims: int) -> torch.Tensor:
    return torch.full(dims, 5)


def written(x: torch.Tensor, place: Any) -> torch.Tensor:
    x = x.clone()
    x[:, :, place] = 0
    return x


#: What looks for the sixth row.
LOOKUPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a number": lambda x: x[:, :, 5],
    "a tensor": lambda x: x[:, :, index(0, 5)],
    "a list": lambda x: x[:, :, [0, 5]],
    "writing to a number": lambda x: written(x, 5),
    "writing to a tensor": lambda x: written(x, index(5)),
    "select": lambda x: x.select(2, 5),
    "narrow": lambda x: x.narrow(2, 5, 1),
    "index_select": lambda x: x.index_select(2, index(5)),
    "gather": lambda x: x.gather(2, fives(1, 3, 1, 1)),
    "scatter": lambda x: x.scatter(2, fives(1, 3, 1, 1), 1.0),
    "take": lambda x: x.take(index(50)),
    "take_along_dim": lambda x: torch.take_along_dim(x, index(50)),
    "put": lambda x: x.put(index(50), x.new_zeros(1)),
    "index_fill": lambda x: x.index_fill(2, index(5), 0.0),
    "index_add": lambda x: x.index_add(2, index(5), x[:, :, :1]),
    "index_copy": lambda x: x.index_copy(2, index(5), x[:, :, :1]),
    "embedding": lambda x: F.embedding(torch.arange(x.shape[2]), x.new_zeros(5, 4)),
    "embedding_bag": lambda x: F.embedding_bag(index(0, 5)[None], x[0, 0]),
    "one_hot": lambda x: F.one_hot(index(0, 5), x.shape[2]),
    "classes": lambda x: F.nll_loss(x[0, 0], torch.arange(x.shape[2])),
}


@pytest.mark.parametrize("kind", [IndexError, RuntimeError])
@pytest.mark.parametrize("look", LOOKUPS.values(), ids=LOOKUPS)
def test_a_lookup_is_caught_by_the_error_that_torch_raises(
    look: Callable[[torch.Tensor], torch.Tensor], kind: type[Exception]
) -> None:
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return look(x)
            except kind:
                return x.mean(2)

    module = Looks()
    net = symcnn.from_torch(module, "1 3 H W")
    assert net.complete
    for h, w in itertools.product(range(1, 9), (3, 10)):
        try:
            shape = tuple(module(torch.zeros(1, 3, h, w)).shape)
        except (IndexError, RuntimeError):
            assert (h, w) not in net.valid_inputs(), (h, w)
        else:
            assert net.shape_at(H=h, W=w) == shape


def _wide(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x] * 8, 1)


def _in_sevens(x: torch.Tensor) -> torch.Tensor:
    return _wide(x).view(x.shape[0], -1, 7)


class Holds(nn.Module):
    """The forward holds what it could not view."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = _wide(x)
        with contextlib.suppress(RuntimeError):
            y = y.view(x.shape[0], -1, 7)
        z = torch.cat([x] * 9, 1)
        return z.relu().mean(1)


class LetsGo(nn.Module):
    """What could not be viewed is gone with the function that made it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(RuntimeError):
            _in_sevens(x)
        z = torch.cat([x] * 9, 1)
        return z.relu().mean(1)


@pytest.mark.parametrize(
    ("module", "elements"), [(Holds, 2 + 16 + 18 + 18 + 1), (LetsGo, 2 + 18 + 18 + 1)]
)
def test_a_caught_refusal_holds_no_tensor(module: Any, elements: int) -> None:
    cost = symcnn.from_torch(module(), "N 2 H W").cost()
    assert [cost.at(N=1, H=h, W=5).peak for h in (3, 7)] == [elements * h * 5 * 4 for h in (3, 7)]
