"""What symcnn.nn promises: torch.nn's layers by name, signature, shape, domain and parameters.

torch's CPU kernels on real tensors are the judge: its meta kernels are more lenient.
"""

import inspect
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import C, H, InvalidInput, L, N, ShapeMismatch, SymcnnError, W, nn
from symcnn.algebra.axis import IDENTITY, Window
from symcnn.testing import KINDS, Layer, layers, sizes
from symcnn.testing.several import SEVERAL
from symcnn.trace.graph import Parameter

from .conftest import sure

torch.set_num_threads(1)

CONTAINERS = {"Repeat", "Module", "ModuleDict", "ModuleList", "Sequential"}
LAYERS = sorted(set(nn.__all__) - CONTAINERS)


# Names and signatures ------------------------------------------------------------------------


def parameters(cls: Any) -> list[Any]:
    """Names, kinds and defaults, in order; none for Module's own catch-all, which takes nothing."""
    if cls.__init__ in (torch.nn.Module.__init__, object.__init__):
        return []
    found = inspect.signature(cls).parameters.values()
    return [(p.name, p.kind, named(p.default)) for p in found]


def named(default: Any) -> Any:
    """A function by its name: torch-free, TransformerEncoderLayer's activation is "relu"."""
    return default.__name__ if inspect.isfunction(default) else default


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_torchs_signature(name: Any) -> None:
    assert parameters(getattr(nn, name)) == parameters(getattr(torch.nn, name))


def test_all_layers_of_a_family_are_there() -> None:
    modules = "activation batchnorm channelshuffle distance dropout flatten fold instancenorm"
    modules += " linear normalization padding pixelshuffle pooling"
    not_shapes = {"SyncBatchNorm", "CrossMapLRN2d"}
    names = {
        name
        for module in f"{modules} upsampling".split()
        for name in getattr(torch.nn.modules, module).__all__
        if not name.startswith("Lazy")
    }
    assert names - not_shapes <= set(LAYERS)


# Shapes, domains, parameters -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_random_layer_gives_torchs_shape_or_both_refuse(kind: Any, data: st.DataObject) -> None:
    layer = data.draw(layers(kind))
    at = data.draw(sizes(layer))
    assert layer.symcnn_shape(at) == layer.torch_shape(at)


@given(data=st.data())
def test_a_random_layer_on_numbers_gives_the_shape_of_its_closed_form(data: st.DataObject) -> None:
    layer = data.draw(layers())
    at = data.draw(sizes(layer))
    assert layer.at(at).symcnn_shape({}) == layer.symcnn_shape(at)


@given(layer=layers("conv", "transposed", "norm", "linear", "activation", valid=True))
def test_a_random_layer_has_torchs_parameters(layer: Any) -> None:
    ours = {p.name: p.dims for p in layer.build().parameters()}
    theirs = {name: tuple(p.shape) for name, p in layer.build_torch().named_parameters()}
    assert ours == theirs


@given(layer=layers(*sorted({*KINDS} - {*SEVERAL, "norm"}), valid=True))  # norms branch on sizes
def test_a_random_layer_is_the_same_network_from_torch(layer: Any) -> None:
    try:
        ours = layer.build().trace(layer.spec)
    except SymcnnError:
        with pytest.raises(SymcnnError):
            symcnn.from_torch(layer.build_torch(), layer.spec)
        return
    theirs = symcnn.from_torch(layer.build_torch(), layer.spec)
    assert ours.output_shape == theirs.output_shape
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)
    assert ours.requirements == theirs.requirements


@given(layer=layers(valid=True))
def test_a_layer_drawn_as_valid_can_be_built(layer: Any) -> None:
    layer.build()
    layer.build_torch()


# Layers of other inputs ----------------------------------------------------------------------

# Name, arguments, keywords, and inputs for it: a shape each, fitting or not.
OTHERS = [
    ("PixelShuffle", (2,), {}, ["2 12 5 7", "12 5 7", "2 3 8 5 7", "2 11 5 7", "2 3 5 7", "5 7"]),
    ("PixelShuffle", (0,), {}, ["2 12 5 7"]),
    ("PixelUnshuffle", (3,), {}, ["2 4 6 9", "4 3 9", "2 4 6 8", "2 4 7 9", "6 9"]),
    ("PixelUnshuffle", (-1,), {}, ["2 4 6 9"]),
    ("ChannelShuffle", (2,), {}, ["2 8 5 7", "2 8 5", "2 7 5 7", "2 1 5 7", "2 8"]),
    ("ChannelShuffle", (0,), {}, ["2 8 5 7"]),
    ("MaxUnpool1d", (3, 2), {}, ["2 4 5 | 2 4 5", "4 5 | 4 5", "2 4 5 | 2 4 6", "4 5 | 1 4 5"]),
    ("MaxUnpool2d", ((2, 3),), {}, ["2 4 5 6 | 2 4 5 6", "4 5 6 | 4 5 6", "5 6 | 5 6"]),
    ("MaxUnpool2d", (2, 1, 1), {}, ["2 4 5 6 | 2 4 5 6"]),
    ("MaxUnpool3d", (2,), {}, ["4 5 6 3 | 4 5 6 3", "5 6 3 | 5 6 3"]),
    ("Unfold", (3,), {}, ["2 4 9 7", "4 9 7", "2 4 2 7", "9 7"]),
    ("Unfold", ((2, 3), 2, (1, 0), (3, 2)), {}, ["2 4 9 7", "2 4 9 4", "2 4 1 5"]),
    ("Unfold", (0,), {}, ["2 4 9 7"]),
    ("Fold", ((4, 5), (2, 2)), {}, ["2 12 12", "12 12", "2 11 12", "2 12 13", "2 3 12 12"]),
    ("Fold", (6, 2), {"stride": 2, "padding": (1, 0)}, ["2 8 12", "2 8 9"]),
    ("Fold", (2, 3), {}, ["2 9 1"]),
    ("Embedding", (10, 4), {}, ["2 5", "5", "2 5 3"]),
    ("Embedding", (10, 4, -1), {}, ["2 5"]),
    ("Bilinear", (4, 5, 6), {}, ["2 4 | 2 5", "4 | 5", "2 4 | 3 5", "2 4 | 2 4", "2 4 | 5"]),
    ("Bilinear", (4, 5, 6, False), {}, ["2 3 4 | 2 3 5", "2 3 4 | 1 3 5"]),
    ("CosineSimilarity", (), {}, ["2 5 | 2 5", "2 5 3 | 1 5 1", "2 5 | 2 4", "5 | 5"]),
    ("CosineSimilarity", (-1,), {}, ["2 5 3 | 3", "5 | 5"]),
    ("PairwiseDistance", (), {}, ["2 5 | 2 5", "2 3 5 | 5", "2 5 | 2 4", "5 | 5"]),
    ("PairwiseDistance", (1.0,), {"keepdim": True}, ["2 5 | 2 5", "2 5 | 3 5"]),
    ("L1Loss", (), {}, ["2 5 | 2 5", "2 5 | 1 5", "2 5 | 2 4"]),
    ("L1Loss", (), {"reduction": "none"}, ["2 5 | 2 5", "2 5 | 1 5", "2 5 | 2 4"]),
    ("L1Loss", (), {"reduction": "batchmean"}, ["2 5 | 2 5"]),
    ("MSELoss", (), {"reduce": False}, ["2 5 | 2 5", "2 5 | 5", "2 5 | 4"]),
    ("MSELoss", (False,), {}, ["2 5 | 2 5"]),
    ("SmoothL1Loss", (), {"reduction": "none", "beta": 0.5}, ["2 5 | 2 5", "2 5 | 3 5"]),
    ("SmoothL1Loss", (), {"beta": -1.0}, ["2 5 | 2 5"]),
    ("HuberLoss", ("none", 2.0), {}, ["2 5 | 2 5", "2 5 | 2 1", "2 5 | 3 5"]),
    ("HuberLoss", (), {"delta": 0.0}, ["2 5 | 2 5"]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, ["2 5 | 2 5"]),
    ("KLDivLoss", (), {"reduction": "none", "log_target": True}, ["2 5 | 2 5", "2 5 | 2 4"]),
    ("BCELoss", (), {"reduction": "none"}, ["2 5 | 2 5", "2 5 | 2 1", "2 5 | 5"]),
    ("BCELoss", (), {"weight": "5", "reduction": "none"}, ["2 5 | 2 5", "2 4 | 2 4"]),
    ("BCEWithLogitsLoss", (), {"pos_weight": "5"}, ["2 5 | 2 5", "2 4 | 2 4", "2 5 | 2 1"]),
    ("BCEWithLogitsLoss", ("2 1",), {"reduction": "none"}, ["2 5 | 2 5", "3 5 | 3 5"]),
    ("NLLLoss", (), {"reduction": "none"}, ["2 5 | 2", "2 5 7 | 2 7", "2 5 7 | 2 6"]),
    ("NLLLoss", ("5",), {}, ["2 5 | 2", "2 4 | 2", "2 5 | 3"]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, ["2 5 | 2", "2 5 | 2 5", "5 | 5"]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, ["2 5 3 4 | 2 3 4", "2 5 3 4 | 2 4 3"]),
    ("CrossEntropyLoss", ("5",), {}, ["2 5 | 2", "2 4 | 2", "2 5 | 3"]),
    ("CrossEntropyLoss", (), {"label_smoothing": 1.5}, ["2 5 | 2"]),
    ("RNN", (4, 6), {}, ["7 2 4", "7 4", "7 2 5", "4", "7 2 4 | 1 2 6", "7 2 4 | 1 3 6"]),
    ("RNN", (4, 6, 2, "relu", False), {"bidirectional": True}, ["7 2 4", "7 2 4 | 4 2 6"]),
    ("GRU", (4, 6, 2), {"batch_first": True}, ["7 2 4", "7 4", "7 2 4 | 2 7 6", "7 2 4 | 2 2 6"]),
    ("GRU", (4, 6), {"bias": False}, ["7 2 4", "7 2 4 | 1 6", "7 4 | 1 6"]),
    ("LSTM", (4, 6), {}, ["7 2 4", "7 4", "7 2 5", "1 7 2 4"]),
    ("LSTM", (4, 6, 2), {"bidirectional": True, "proj_size": 3}, ["7 2 4", "7 4"]),
    ("LSTM", (4, 6, 2), {"batch_first": True, "bias": False, "proj_size": 3}, ["7 2 4", "7 2 3"]),
    ("MultiheadAttention", (6, 3), {}, ["5 2 6 | 7 2 6 | 7 2 6", "5 6 | 7 6 | 7 6"]),
    ("MultiheadAttention", (6, 3), {}, ["5 2 6 | 7 2 6 | 8 2 6", "5 2 6 | 7 3 6 | 7 3 6"]),
    ("MultiheadAttention", (6, 3), {}, ["5 2 4 | 7 2 6 | 7 2 6", "5 2 6 | 7 6 | 7 6", "6 | 6 | 6"]),
    ("MultiheadAttention", (6, 2), {"batch_first": True}, ["2 5 6 | 2 7 6 | 2 7 6"]),
    ("MultiheadAttention", (6, 3), {"kdim": 4, "vdim": 8}, ["5 2 6 | 7 2 4 | 7 2 8"]),
    ("MultiheadAttention", (6, 3), {"kdim": 4}, ["5 2 6 | 7 2 6 | 7 2 6"]),
    ("MultiheadAttention", (6, 3), {"add_bias_kv": True}, ["5 2 6 | 7 2 6 | 7 2 6"]),
    ("MultiheadAttention", (6, 3), {"add_zero_attn": True, "bias": False}, ["5 6 | 7 6 | 7 6"]),
    ("TransformerEncoderLayer", (6, 2, 8), {}, ["5 2 6", "5 6", "5 2 5", "6"]),
    ("TransformerEncoderLayer", (6, 3, 8), {"norm_first": True, "bias": False}, ["5 2 6", "5 2 7"]),
    ("TransformerEncoderLayer", (6, 2, 8), {"batch_first": True, "activation": "gelu"}, ["5 2 6"]),
]
WHOLE = ["Embedding", "NLLLoss", "CrossEntropyLoss", *(f"MaxUnpool{n}d" for n in (1, 2, 3))]
CASES = [(*layer, shapes) for *layer, several in OTHERS for shapes in several]


def made(front: Any, name: Any, args: Any, kwargs: Any) -> Any:
    """The layer; tensors among its arguments are given by their shapes."""
    tensor = symcnn.tensor if front is nn else lambda spec: torch.zeros(*map(int, spec.split()))
    tensors = {"weight", "pos_weight"} & set(kwargs)
    args = tuple(tensor(a) if isinstance(a, str) and a[0].isdecimal() else a for a in args)
    return getattr(front, name)(*args, **kwargs | {t: tensor(kwargs[t]) for t in tensors})


def sizes_of(shapes: Any) -> list[Any]:
    """All inputs' shapes, as ints."""
    return [tuple(map(int, shape.split())) for shape in shapes.split("|")]


def torchs_shapes(name: Any, args: Any, kwargs: Any, shapes: Any) -> Any:
    """The outputs' shapes, nested as torch returns them, or None where it raises."""
    inputs = [torch.zeros(shape) for shape in sizes_of(shapes)]
    probabilities = name == "CrossEntropyLoss" and inputs[0].ndim == inputs[-1].ndim
    if name in WHOLE and not probabilities:
        inputs[-1] = inputs[-1].long()
    try:
        with torch.no_grad():
            outputs = made(torch.nn, name, args, kwargs).eval()(*inputs)
    except Exception:  # torch raises all kinds
        return None
    return torch.utils._pytree.tree_map(lambda t: tuple(t.shape), outputs)


def symcnns_shapes(name: Any, args: Any, kwargs: Any, specs: Any, at: Any) -> Any:
    """The same by symcnn."""
    try:
        net = made(nn, name, args, kwargs).trace(*specs)
        return nested(net.shape_at(**at))
    except SymcnnError:
        return None


def nested(shapes: Any) -> Any:
    """Plain tuples of ints."""
    return tuple(nested(s) if isinstance(s, tuple) else int(s) for s in shapes)


def in_symbols(shapes: Any) -> tuple[list[Any], Any]:
    """Specs with a symbol of its own for every axis, and the sizes they stand for."""
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    specs = [{next(letters): size for size in shape} for shape in sizes_of(shapes)]
    return [" ".join(s) for s in specs], {k: v for s in specs for k, v in s.items()}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "args", "kwargs", "shapes"), CASES)
def test_other_inputs_give_torchs_shapes_or_both_refuse(
    name: Any, args: Any, kwargs: Any, shapes: Any
) -> None:
    want = torchs_shapes(name, args, kwargs, shapes)
    numbers = [shape.strip() for shape in shapes.split("|")]
    assert symcnns_shapes(name, args, kwargs, numbers, {}) == want
    if want is not None:  # a domain of a dozen unequal symbols is slow to decide
        assert symcnns_shapes(name, args, kwargs, *in_symbols(shapes)) == want


def named_parameters(module: Any) -> Any:
    """Paths and shapes, as torch's named_parameters."""
    return {
        f"{path}.{name}".lstrip("."): value.dims
        for path, below in module.named_modules()
        for name, value in vars(below).items()
        if isinstance(value, Parameter)
    }


@pytest.mark.parametrize(("name", "args", "kwargs", "several"), OTHERS)
def test_layers_of_other_inputs_have_torchs_parameters(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], several: list[str]
) -> None:
    theirs = made(torch.nn, name, args, kwargs).named_parameters()
    theirs = {path: tuple(p.shape) for path, p in theirs}
    try:
        ours = made(nn, name, args, kwargs)
    except ShapeMismatch:
        assert not any(torchs_shapes(name, args, kwargs, shapes) for shapes in several)
        return
    assert named_parameters(ours) == theirs


# The two axes of an image --------------------------------------------------------------------

LOPSIDED = [
    Layer("Conv2d", (2, 2, (1, 7)), {"stride": (2, 1)}),
    Layer("Conv2d", (2, 2, (7, 1)), {"padding": (3, 0), "dilation": (2, 1)}),
    Layer("Conv2d", (2, 2, (4, 2)), {"padding": "same"}),
    Layer("Conv2d", (2, 2, (4, 1)), {"padding": "same", "dilation": (3, 2)}),
    Layer("Conv2d", (2, 2, (2, 4)), {"padding": "same", "padding_mode": "reflect"}),
    Layer("Conv2d", (2, 2, 3), {"padding": (2, 0), "padding_mode": "circular"}),
    Layer("ConvTranspose2d", (2, 2, (1, 4)), {"stride": (2, 3), "output_padding": (1, 2)}),
    Layer("MaxPool2d", ((1, 7),), {"stride": (2, 1)}),
    Layer("MaxPool2d", ((2, 5),), {"stride": (3, 2), "padding": (1, 2), "ceil_mode": True}),
    Layer("AvgPool2d", ((1, 7),), {"stride": (2, 1), "padding": (0, 3)}),
    Layer("LPPool2d", (2, (1, 7)), {"stride": (2, 1)}),
    Layer("AdaptiveAvgPool2d", ((None, 3),)),
    Layer("AdaptiveMaxPool2d", ((5, None),)),
    Layer("ZeroPad2d", ((0, 1, 2, 3),)),
    Layer("ReflectionPad2d", ((0, 1, 2, 3),)),
    Layer("Upsample", (), {"scale_factor": (2.0, 0.5)}),
    Layer("Upsample", ((5, 7),)),
    Layer("LayerNorm", ((9, 14),)),
]


@pytest.mark.parametrize("layer", LOPSIDED, ids=repr)
def test_height_and_width_are_never_mixed_up(layer: Any) -> None:
    layer = Layer(layer.name, layer.args, layer.kwargs, "1 2 H W")
    for h, w in [(9, 14), (14, 9), (7, 20), (20, 7), (1, 8), (8, 1), (3, 4)]:
        at = {"H": h, "W": w}
        assert layer.symcnn_shape(at) == layer.torch_shape(at), at


def test_an_even_kernel_with_same_padding_keeps_the_size() -> None:
    net = nn.Conv2d(3, 8, (4, 6), padding="same").trace("N 3 H W")
    assert net.output_shape == (N, 8, H, W)


# The laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_ceil_law_by_brute_force(dilation: int) -> None:
    """ceil_mode is a right pad, whatever k, s, p, x: the value, and where there is one."""
    for k, s in product(range(1, 6), range(1, 5)):
        for p in range((dilation * (k - 1) + 1) // 2 + 1):
            layer = Layer("MaxPool1d", (k, s, p, dilation), {"ceil_mode": True}, "1 1 L")
            try:
                net = layer.build().trace("1 1 L")
            except ShapeMismatch:
                assert layer.torch_shape({"L": 20}) is None, layer
                continue
            domain = net.valid_inputs()
            for x in range(1, 21):
                want = layer.torch_shape({"L": x})
                assert (x in domain) == (want is not None), (layer, x)
                assert want is None or net.shape_at(L=x) == want, (layer, x)


windows = st.builds(
    Window, st.integers(1, 7), st.integers(1, 4), st.integers(-2, 4), st.integers(-2, 4)
)
stacks = st.lists(windows, min_size=1, max_size=4)


def fused(stack: Any) -> Any:
    whole = IDENTITY
    for window in stack:
        whole = whole.then(window)
    return whole


@given(stacks, st.integers(1, 300))
def test_fusion_law_a_stack_of_windows_has_the_size_of_one(stack: list[Any], x: int) -> None:
    y = x
    for window in stack:
        y = window.size(y)
    assert fused(stack).size(x) == y


@given(stacks, st.integers(0, 50), st.integers(0, 5))
def test_fusion_law_a_stack_of_windows_reads_what_one_reads(
    stack: list[Any], first: int, more: int
) -> None:
    reads = (first, first + more)
    for window in reversed(stack):
        reads = window.pullback(*reads)
    assert fused(stack).pullback(first, first + more) == reads


@given(stacks, windows)
def test_fusion_law_is_associative(stack: list[Any], last: Any) -> None:
    assert fused(stack).then(last) == stack[0].then(fused([*stack[1:], last]))


@given(st.data())
def test_a_stack_of_layers_is_one_window_and_torchs_shape(data: st.DataObject) -> None:
    chain: list[nn.Module] = []
    real: list[torch.nn.Module] = []
    whole = IDENTITY
    for _ in range(data.draw(st.integers(1, 4))):
        k, s, d = (data.draw(st.integers(1, most)) for most in (5, 3, 3))
        if data.draw(st.booleans()):
            p, ceil = data.draw(st.integers(0, k // 2)), data.draw(st.booleans())
            pooled: Any = {"stride": s, "padding": p, "dilation": d, "ceil_mode": ceil}
            chain.append(nn.MaxPool1d(k, **pooled))
            real.append(torch.nn.MaxPool1d(k, **pooled))
            whole = whole.then(Window.conv(k, s, p, d, ceil_mode=ceil))
        else:
            p = data.draw(st.integers(0, 4))
            chain.append(nn.Conv1d(1, 1, k, s, p, d))
            real.append(torch.nn.Conv1d(1, 1, k, s, p, d))
            whole = whole.then(Window.conv(k, s, p, d))
    try:
        net = nn.Sequential(*chain).trace("1 1 L")
    except InvalidInput:  # not for any size
        net = None
    assert net is None or net.output_shape[2] == whole.size(L)
    x = data.draw(st.integers(1, 60))
    try:
        want = tuple(torch.nn.Sequential(*real)(torch.zeros(1, 1, x)).shape)
    except RuntimeError:
        assert net is None or x not in net.valid_inputs()
    else:
        assert sure(net).shape_at(L=x) == want


# Hyperparameters that are symbols ------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbolic", "numeric"),
    [
        (lambda k, s, p: nn.Conv2d(3, 8, k, s, p), (3, 2, 1)),
        (lambda k, s, p: nn.Conv2d(3, 8, (k, 1), (s, 1), (p, 0)), (5, 3, 2)),
        (lambda k, s, p: nn.ConvTranspose2d(3, 8, k, s, p), (4, 2, 1)),
        (lambda k, s, p: nn.MaxPool2d(k, s, p), (3, 2, 1)),
        (lambda k, s, p: nn.AvgPool2d(k, s, p, ceil_mode=True), (5, 3, 2)),
        (lambda k, s, p: nn.ZeroPad2d((k, s, p, 0)), (3, 2, 1)),
        (lambda k, s, p: nn.AdaptiveAvgPool2d((k, s + p)), (3, 2, 1)),
        (lambda k, s, p: nn.Upsample(size=(k, s * p)), (3, 2, 1)),
    ],
)
def test_symbolic_hyperparameters_give_the_formula_of_every_number(
    symbolic: Callable[..., Any], numeric: tuple[int, int, int]
) -> None:
    names = symcnn.symbols("k s p")
    formula = symbolic(*names).trace("N 3 H W").output_shape
    values = dict(zip(names, numeric, strict=True))
    concrete = symbolic(*numeric).trace("N 3 H W").output_shape
    for h, w in [(17, 24), (30, 19)]:
        at = {**values, H: h, W: w}
        assert [sympy.sympify(f).subs(at) for f in formula] == [
            sympy.sympify(c).subs({H: h, W: w}) for c in concrete
        ]


def test_symbolic_channels_give_the_parameter_count_as_a_polynomial() -> None:
    k = symcnn.symbols("k")
    net = nn.Sequential(nn.Conv2d(C, 2 * C, k, bias=False), nn.BatchNorm2d(2 * C)).trace("N C H W")
    assert net.params - (2 * C**2 * k**2 + 4 * C) == 0


# Construction --------------------------------------------------------------------------------

REFUSED = [
    ("Conv2d", (4, 4, 3), {"groups": 0}),
    ("Conv2d", (4, 4, 3), {"groups": 3}),
    ("Conv2d", (4, 6, 3), {"groups": 4}),
    ("Conv2d", (4, 4, 3), {"padding": "full"}),
    ("Conv2d", (4, 4, 3), {"padding": "same", "stride": 2}),
    ("Conv2d", (4, 4, 3), {"padding_mode": "wrap"}),
    ("Conv2d", (4, 4, -1), {}),
    ("Conv2d", (-4, 4, 3), {}),
    ("ConvTranspose2d", (4, 4, 3), {"padding_mode": "reflect"}),
    ("ConvTranspose2d", (4, 3, 3), {"groups": 2}),
    ("Linear", (-1, 5), {}),
    ("Linear", (2.5, 5), {}),
    ("PReLU", (-1,), {}),
    ("Hardtanh", (1.0, 1.0), {}),
    ("Hardtanh", (), {"min_val": 2.0}),
    ("Dropout", (1.5,), {}),
    ("Dropout2d", (-0.5,), {}),
    ("AlphaDropout", (2,), {}),
    ("BatchNorm2d", (-1,), {}),
    ("InstanceNorm2d", (-1,), {"affine": True}),
    ("GroupNorm", (3, 4), {}),
    ("GroupNorm", (0, 4), {}),
    ("LayerNorm", (-1,), {}),
    ("LayerNorm", (5.0,), {}),
    ("RMSNorm", ((2, -3),), {}),
    ("Unflatten", (1, 6), {}),
    ("Unflatten", (1, (6.0,)), {}),
    ("Upsample", (), {"scale_factor": [2, 2]}),
    ("Upsample", (), {"scale_factor": "wide"}),
    ("Embedding", (-1, 4), {}),
    ("Embedding", (10, 4, 10), {}),
    ("Embedding", (10, 4, -11), {}),
    ("Bilinear", (0, 4, 5), {}),
    ("Bilinear", (4, 5, -1), {}),
    ("RNN", (4, 0), {}),
    ("RNN", (4, 6), {"nonlinearity": "sigmoid"}),
    ("RNN", (4, 6), {"proj_size": 2}),
    ("GRU", (0, 6), {}),
    ("GRU", (4, 6, 0), {}),
    ("GRU", (4, 6), {"proj_size": 2}),
    ("GRU", (4, 6), {"bias": 1}),
    ("LSTM", (4, 6), {"proj_size": 6}),
    ("LSTM", (4, 6), {"proj_size": -1}),
    ("LSTM", (4, 6), {"dropout": 1.5}),
    ("LSTM", (4, 6), {"batch_first": None}),
    ("LSTM", (4.0, 6), {}),
    ("MultiheadAttention", (6, 4), {}),
    ("MultiheadAttention", (6, 0), {}),
    ("MultiheadAttention", (0, 1), {}),
    ("TransformerEncoderLayer", (6, 4), {}),
    ("TransformerEncoderLayer", (6, 3), {"dropout": -0.1}),
    ("TransformerEncoderLayer", (6, 3), {"activation": "tanh"}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), REFUSED)
def test_what_torch_refuses_at_construction_is_a_shape_mismatch_there(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  torch raises all kinds
        getattr(torch.nn, name)(*args, **kwargs)
    with pytest.raises(ShapeMismatch):
        getattr(nn, name)(*args, **kwargs)


def test_an_unused_num_features_may_be_anything() -> None:
    assert nn.InstanceNorm2d(None).trace("N C H W").output_shape == (N, C, H, W)


# Eval mode -----------------------------------------------------------------------------------


def test_batch_norm_takes_a_single_value_in_eval_mode() -> None:
    assert nn.BatchNorm1d(3).trace("1 3").output_shape == (1, 3)


def test_batch_norm_without_running_statistics_needs_two_values_per_channel() -> None:
    valid = nn.BatchNorm1d(3, track_running_stats=False).trace("N 3 L").valid_inputs()
    assert {"N": 1, "L": 1} not in valid
    assert {"N": 2, "L": 1} in valid
    assert {"N": 1, "L": 2} in valid


def test_instance_norm_without_running_statistics_needs_two_positions() -> None:
    net = nn.InstanceNorm2d(3).trace("N 3 H W")
    assert (1, 1) not in net.valid_inputs()
    assert (1, 2) in net.valid_inputs()


def test_instance_norm_with_running_statistics_takes_one_position() -> None:
    net = nn.InstanceNorm2d(3, track_running_stats=True).trace("N 3 H W")
    assert (1, 1) in net.valid_inputs()


def test_running_statistics_are_not_parameters() -> None:
    assert nn.BatchNorm2d(8, affine=False).trace("N 8 H W").params == 0


def test_group_norm_of_one_channel_per_group_needs_two_values() -> None:
    valid = nn.GroupNorm(4, 4).trace("N 4 L").valid_inputs()
    assert {"N": 1, "L": 1} not in valid
    assert {"N": 2, "L": 1} in valid
    assert nn.GroupNorm(2, 4).trace("1 4 1").output_shape == (1, 4, 1)


def test_group_norm_without_weights_asks_for_channels_that_split() -> None:
    net = nn.GroupNorm(4, 8, affine=False).trace("N C H W")
    assert str(net.valid_inputs().axis("C")) == "C % 4 == 0 and C >= 4"


# Counterexamples of the past -----------------------------------------------------------------

PAST = {
    "pool padding is at most half the kernel, however dilated": [
        (Layer("MaxPool1d", (3, 1, 2), {"dilation": 3}, "1 1 L"), {"L": 9}),
        (Layer("MaxPool1d", (3, 1, 2, 2, True), {}, "1 1 L"), {"L": 9}),
        (Layer("MaxPool2d", (4, 2, (0, 4)), {"dilation": (2, 3)}, "1 1 H W"), {"H": 9, "W": 9}),
        (Layer("MaxPool3d", (4, 2, (2, 0, 4), 3), {}, "1 9 9 9"), {}),
    ],
    "avg_pool3d wants the kernel to fit before padding": [
        (Layer("AvgPool3d", (5,), {"padding": 2}, "1 D H W"), {"D": 8, "H": 3, "W": 5}),
        (Layer("AvgPool3d", (4,), {"ceil_mode": True}, "1 4 3 12"), {}),
        (Layer("LPPool3d", (2, 4), {"ceil_mode": True}, "1 D 4 12"), {"D": 3}),
        (Layer("LPPool3d", (float("inf"), 4), {"ceil_mode": True}, "1 D 4 12"), {"D": 3}),
    ],
    "adaptive average pooling to 1 is a mean, over any rank": [
        (Layer("AdaptiveAvgPool2d", (1,), {}, "2 W"), {"W": 3}),
        (Layer("AdaptiveAvgPool2d", ((1, 1),), {}, "2 W"), {"W": 3}),
        (Layer("AdaptiveAvgPool2d", ((1, 1),), {}, "2 2 2 2 W"), {"W": 3}),
        (Layer("AdaptiveAvgPool2d", ((1, None),), {}, "2 2 2 2 W"), {"W": 3}),
        (Layer("AdaptiveAvgPool2d", ((1, None),), {}, "2 2 2 2 W"), {"W": 1}),
        (Layer("AdaptiveMaxPool2d", ((1, None),), {}, "2 2 2 2 W"), {"W": 1}),
        (Layer("AdaptiveAvgPool3d", (1,), {}, "2 2 W"), {"W": 3}),
        (Layer("AdaptiveAvgPool1d", (1,), {}, "2 2 2 W"), {"W": 3}),
        (Layer("AdaptiveMaxPool2d", (1,), {}, "2 W"), {"W": 3}),
    ],
    "an adaptive size for n axes has n numbers": [
        (Layer("AdaptiveAvgPool2d", ((3,),)), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("AdaptiveAvgPool2d", (None,)), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("AdaptiveMaxPool1d", ((None,),), {}, "C L"), {"C": 1, "L": 5}),
        (Layer("AdaptiveMaxPool1d", ((3,),), {}, "C L"), {"C": 1, "L": 5}),
    ],
    "a power pool takes a kernel as it multiplies by it": [
        (Layer("LPPool1d", (2, (3,)), {}, "C L"), {"C": 1, "L": 5}),
        (Layer("LPPool1d", (float("inf"), (3,)), {}, "C L"), {"C": 1, "L": 5}),
        (Layer("LPPool2d", (2, (3,))), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("LPPool2d", (0, 3)), {"N": 1, "C": 1, "H": 5, "W": 5}),
    ],
    "a convolution takes one stride for all axes, but not one kernel size in a tuple": [
        (Layer("Conv2d", (1, 1, (3,)), {}, "1 1 H W"), {"H": 5, "W": 5}),
        (Layer("Conv2d", (1, 1, 3, (2,), (1,), (2,)), {}, "1 1 H W"), {"H": 7, "W": 5}),
        (Layer("Conv2d", (1, 1, 3, (2, 2, 2)), {}, "1 1 H W"), {"H": 5, "W": 5}),
    ],
    "padding modes other than zeros take the padding as given, negative too": [
        (Layer("Conv2d", (1, 1, 3, 1, -1), {"padding_mode": "reflect"}, "1 1 5 6"), {}),
        (Layer("Conv2d", (1, 1, 3, 1, -1), {}, "1 1 5 6"), {}),
        (Layer("Conv2d", (1, 1, 3, 1, (1,)), {"padding_mode": "circular"}, "1 1 5 6"), {}),
        (Layer("Conv2d", (1, 1, 3, 1, (1,)), {"padding_mode": "circular"}, "1 5 6"), {}),
        (
            Layer(
                "Conv2d",
                (1, 1, 3),
                {"padding": "same", "dilation": (1,), "padding_mode": "reflect"},
                "1 1 5 6",
            ),
            {},
        ),
    ],
    "reflect padding is smaller than the input, circular padding at most the input": [
        (Layer("ReflectionPad1d", (4,), {}, "1 L"), {"L": 4}),
        (Layer("ReflectionPad1d", (4,), {}, "1 L"), {"L": 5}),
        (Layer("CircularPad1d", (5,), {}, "1 L"), {"L": 4}),
        (Layer("CircularPad1d", (5,), {}, "1 L"), {"L": 5}),
    ],
    "a constant pad does not make up for what the other side crops too much": [
        (Layer("ZeroPad1d", ((1, -5),), {}, "1 L"), {"L": 5}),
        (Layer("ZeroPad1d", ((2, -6),), {}, "1 L"), {"L": 5}),
        (Layer("ReplicationPad1d", ((2, -6),), {}, "1 L"), {"L": 5}),
        (Layer("ReflectionPad1d", ((4, -8),), {}, "1 L"), {"L": 5}),
    ],
    "padding of n axes by values takes n + 1 or n + 2 axes, by a constant any more": [
        (Layer("ReflectionPad1d", (1,), {}, "5 5 5 L"), {"L": 5}),
        (Layer("ReplicationPad2d", (1,), {}, "5 L"), {"L": 5}),
        (Layer("CircularPad1d", ((1, 1, 1, 1),), {}, "1 1 5 L"), {"L": 5}),
        (Layer("ReplicationPad1d", ((1, 1, 1, 1),), {}, "1 5 L"), {"L": 5}),
        (Layer("ZeroPad1d", (1,), {}, "2 2 2 2 2 L"), {"L": 5}),
        (Layer("ZeroPad2d", ((1, 1, 1),), {}, "2 5 L"), {"L": 5}),
    ],
    "upsampling wants as many numbers as axes": [
        (Layer("Upsample", ((7,),)), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("Upsample", (), {"scale_factor": (2.0,)}), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("Upsample", (), {"scale_factor": 0}), {"N": 1, "C": 1, "H": 5, "W": 5}),
        (Layer("Upsample", (), {"scale_factor": float("inf")}), {"N": 1, "C": 1, "H": 5, "W": 5}),
    ],
    "upsampling options belong to their modes": [
        (Layer("Upsample", (3,), {"align_corners": False}, "1 1 H W"), {"H": 5, "W": 5}),
        (Layer("Upsample", (3,), {"recompute_scale_factor": True}, "1 1 H W"), {"H": 5, "W": 5}),
        (Layer("Upsample", (3,), {"mode": "lanczos"}, "1 1 H W"), {"H": 5, "W": 5}),
        (Layer("Upsample", (3,), {"mode": "linear"}, "1 1 H W"), {"H": 5, "W": 5}),
    ],
    "softmax names an axis that is there": [
        (Layer("Softmax", (2,), {}, "5 L"), {"L": 4}),
        (Layer("Softmin", (-3,), {}, "5 L"), {"L": 4}),
        (Layer("LogSoftmax", (-2,), {}, "5 L"), {"L": 4}),
        (Layer("Softmax2d", (), {}, "5 L"), {"L": 4}),
    ],
    "activations have limits on their constants": [
        (Layer("CELU", (0,), {}, "5 L"), {"L": 4}),
        (Layer("ELU", (0,), {}, "5 L"), {"L": 4}),
        (Layer("GELU", ("erf",), {}, "5 L"), {"L": 4}),
        (Layer("Softshrink", (-1.0,), {}, "5 L"), {"L": 4}),
        (Layer("Hardshrink", (-1.0,), {}, "5 L"), {"L": 4}),
        (Layer("RReLU", (0.5, 0.2), {}, "5 L"), {"L": 4}),
    ],
    "dropout1d takes sequences": [
        (Layer("Dropout1d", (), {}, "2 3 5 L"), {"L": 4}),
        (Layer("Dropout1d", (), {}, "3 L"), {"L": 4}),
        (Layer("Dropout2d", (), {}, "L"), {"L": 4}),
    ],
    "batch norm wants a small positive eps": [
        (Layer("BatchNorm1d", (3,), {"eps": -1.0}, "N 3"), {"N": 2}),
        (Layer("BatchNorm1d", (3,), {"eps": 0.0}, "N 3"), {"N": 2}),
        (Layer("BatchNorm1d", (3, 0.0, 0.1, True, False), {}, "N 3"), {"N": 2}),
    ],
    "instance norm warns of other channels but asks for them only where it uses them": [
        (Layer("InstanceNorm1d", (3,), {}, "C L"), {"C": 4, "L": 5}),
        (Layer("InstanceNorm1d", (3,), {"affine": True}, "C L"), {"C": 4, "L": 5}),
        (Layer("InstanceNorm1d", (3,), {"track_running_stats": True}, "C L"), {"C": 4, "L": 5}),
    ],
    "layer norm is over at least one axis": [
        (Layer("LayerNorm", ((),), {}, "N L"), {"N": 2, "L": 5}),
        (Layer("RMSNorm", ((), None, False), {}, "N L"), {"N": 2, "L": 5}),
        (Layer("LocalResponseNorm", (0,), {}, "N 2 L"), {"N": 2, "L": 5}),
    ],
    "group norm without weights does not use its number of channels": [
        (Layer("GroupNorm", (2, 4), {"affine": False}, "N 6"), {"N": 2}),
        (Layer("GroupNorm", (2, 0), {"affine": False}, "N 6"), {"N": 2}),
        (Layer("GroupNorm", (2, 4), {"affine": False}, "N 5"), {"N": 2}),
    ],
    "unflatten splits evenly into at least one axis": [
        (Layer("Unflatten", (1, ()), {}, "N 1"), {"N": 2}),
        (Layer("Unflatten", (1, (0, -1)), {}, "N L"), {"N": 2, "L": 6}),
        (Layer("Unflatten", (1, (4, -1)), {}, "N L"), {"N": 2, "L": 6}),
        (Layer("Unflatten", (1, (2, -1)), {}, "N L"), {"N": 2, "L": 6}),
        (Layer("Unflatten", (-1, (3, -1, 3)), {}, "N H W"), {"N": 2, "H": 5, "W": 2}),
    ],
    "glu halves an even axis": [
        (Layer("GLU", (), {}, "C H W"), {"C": 1, "H": 2, "W": 1}),
        (Layer("GLU", (0,), {}, "C H W"), {"C": 6, "H": 2, "W": 1}),
    ],
}


@pytest.mark.parametrize("cases", PAST.values(), ids=PAST.keys())
def test_regression(cases: list[Any]) -> None:
    for layer, at in cases:
        assert layer.symcnn_shape(at) == layer.torch_shape(at), layer


def test_circular_padding_wraps_what_the_other_side_left() -> None:
    """torch does so too, but where too little is left it returns memory it never wrote."""
    net = nn.CircularPad1d((2, -3)).trace("1 L")
    assert str(net.valid_inputs()) == "L >= 5"
    assert torch.nn.CircularPad1d((2, -3))(torch.zeros(1, 5)).shape == net.shape_at(L=5)


def test_a_size_that_is_a_formula_must_be_positive() -> None:
    net = nn.Upsample(size=(H - 9, 5)).trace("N 3 H W")
    assert str(net.valid_inputs()) == "H >= 10 and W >= 1"


def test_a_dict_of_modules_holds_them_by_name() -> None:
    relu, conv = nn.ReLU(), nn.Conv2d(3, 4, 3)
    held = nn.ModuleDict({"relu": relu, "conv": conv})
    assert (len(held), [*held], held["conv"]) == (2, ["relu", "conv"], conv)
    assert [*held.children()] == [("relu", relu), ("conv", conv)]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_recurrent_layer_shows_itself_as_in_torch(kind: str) -> None:
    kwargs = {"bias": False, "batch_first": True, "bidirectional": True}
    ours, theirs = (getattr(layers, kind)(3, 4, 2, **kwargs) for layers in (nn, torch.nn))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("op", "result"),
    [
        ("add", lambda x: 1 + x),
        ("sub", lambda x: x - 1),
        ("sub", lambda x: 1 - x),
        ("mul", lambda x: 2 * x),
        ("div", lambda x: x / 2),
        ("div", lambda x: 1 / x),
        ("neg", lambda x: -x),
    ],
)
def test_arithmetic_of_a_tensor_is_an_operation(op: str, result: Any) -> None:
    made = result(symcnn.tensor("N 3 H W"))
    assert (made.node.op, str(made.shape)) == (op, "(N, 3, H, W)")
