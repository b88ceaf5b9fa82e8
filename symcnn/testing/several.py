"""Random layers of several inputs, of whole numbers, or of odd shapes: the table `SEVERAL`.

Inputs that belong together share their symbols. A wild layer may get one size wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from typing import Any

from symcnn.testing.layer import Hyper, In, Index, Layer


def _spoilt(h: Hyper, spec: str) -> str:
    """A spec; a wild one may have one size wrong, one axis more or one less."""
    axes = spec.split()
    if not axes or not h.rarely():
        return spec
    change = h.source.integer(0, 3)
    if change == 0 and len(axes) > 1:
        del axes[h.source.integer(0, len(axes) - 1)]
    elif change == 1:
        axes.insert(h.source.integer(0, len(axes)), str(h.source.integer(1, 3)))
    else:
        axes[h.source.integer(0, len(axes) - 1)] = str(h.source.integer(1, 6))
    return " ".join(axes)


def _stretched(h: Hyper, spec: str) -> str:
    """A spec that broadcasts to this one: some sizes 1, some leading axes gone."""
    axes = ["1" if h.source.integer(0, 3) == 0 else axis for axis in spec.split()]
    gone = h.source.integer(0, 3) == 0 and len(axes) > 1
    return _spoilt(h, " ".join(axes[1:] if gone else axes))


def _axes(h: Hyper, most: int = 3) -> str:
    """A spec of up to `most` axes, symbols or numbers."""
    names = ["N", "C", "H", "W"][: h.source.integer(1, most)]
    return " ".join(a if h.source.integer(0, 3) else str(h.source.integer(1, 6)) for a in names)


# Rearranging ----------------------------------------------------------------------------------


def _arrange(h: Hyper, n: int) -> Layer:
    name = h.pick("PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Unfold", "Fold")
    if name == "PixelShuffle":
        factor = h.number(1, 3)
        return Layer(name, (factor,), {}, h.spec(2, None), {"C": factor**2 * h.number(1, 2)})
    if name == "PixelUnshuffle":
        factor = h.number(1, 3)
        likely = {axis: factor * h.number(1, 4) for axis in "HW"}
        return Layer(name, (factor,), {}, h.spec(2, None), likely)
    if name == "ChannelShuffle":
        groups = h.number(1, 3)
        return Layer(name, (groups,), {}, h.spec(n, None), {"C": groups * h.number(1, 3)})
    kernel = h.per_axis(2, 1, 3)
    hyper = {"stride": (1, 3), "padding": (0, 2), "dilation": (1, 2)}
    h.maybe(**{name: h.per_axis(2, *ends) for name, ends in hyper.items()})
    if name == "Unfold":
        return Layer(name, (kernel,), h.kwargs, h.spec(2, None))
    size = h.per_axis(2, 3, 8)
    area = prod(_pair(kernel))
    places = prod(
        (x + 2 * p - d * (k - 1) - 1) // max(s, 1) + 1
        for x, k, s, p, d in zip(
            _pair(size),
            _pair(kernel),
            _pair(h.kwargs.get("stride", 1)),
            _pair(h.kwargs.get("padding", 0)),
            _pair(h.kwargs.get("dilation", 1)),
            strict=True,
        )
    )
    spec = _spoilt(h, h.pick("N C L", "C L"))
    likely = {"C": max(1, area * h.number(1, 3)), "L": max(1, places)}
    return Layer(name, (size, kernel), h.kwargs, spec, likely)


def _pair(value: Any) -> tuple[int, int]:
    several = value if isinstance(value, tuple) and len(value) == 2 else (value, value)
    first, second = (v if isinstance(v, int) else 1 for v in several)
    return first, second


def _numbers(h: Hyper, n: int, low: int, high: int) -> Any:
    values = tuple(h.number(low, high) for _ in range(n))
    return values[0] if h.source.flip() else values


def _unpool(h: Hyper, n: int) -> Layer:
    kernel = _numbers(h, n, 1, 4)
    h.maybe(stride=_numbers(h, n, 1, 4), padding=_numbers(h, n, 0, 1))
    spec = h.spec(n, None)
    call: dict[str, Any] = {}
    space = [str(h.source.integer(1, 6)) for _ in range(n)]
    if h.source.flip():  # an output size belongs to numbers
        spec = " ".join(["2 3", *space])
        default = [
            (int(x) - 1) * along(h.kwargs.get("stride", kernel), i)
            - 2 * along(h.kwargs.get("padding", 0), i)
            + along(kernel, i)
            for i, x in enumerate(space)
        ]
        near = [max(1, size + h.source.integer(-2, 2)) for size in default]
        call["output_size"] = h.pick(near, [2, 3, *near], wild=(near[1:], [3, *near]))
    indices = Index(_spoilt(h, spec))
    return Layer(f"MaxUnpool{n}d", (kernel,), h.kwargs, spec, more=(indices,), call=call)


def along(value: object, i: int) -> int:
    """A hyperparameter along an axis; 1 for what torch does not take."""
    value = value[i] if isinstance(value, tuple) and i < len(value) else value
    return value if isinstance(value, int) else 1


def _fractional(h: Hyper, n: int) -> Layer:
    n = max(n, 2)
    if h.source.flip() or h.rarely():
        h.kwargs["output_size"] = h.per_axis(n, 1, 6)
    if "output_size" not in h.kwargs or h.rarely():
        ratios = tuple(h.pick(0.5, 0.29, 0.57, 0.7, 1 / 3, wild=(1.0, 0, -0.5)) for _ in range(n))
        h.kwargs["output_ratio"] = ratios if h.source.flip() else ratios[0]
    h.maybe(return_indices=h.pick(True, False))
    return Layer(f"FractionalMaxPool{n}d", (h.per_axis(n, 1, 4),), h.kwargs, h.spec(n, None))


# Tables and products --------------------------------------------------------------------------


def _sparse(h: Hyper, n: int) -> Layer:
    name = h.pick("Embedding", "EmbeddingBag")
    rows = max(1, h.number(1, 9))  # index 0 of no rows ends torch's process
    h.maybe(padding_idx=h.pick(None, 0, -1, wild=(9, -10)))
    if name == "Embedding":
        return Layer(name, (rows, h.number(1, 5)), h.kwargs, Index(_axes(h)))
    h.maybe(mode=h.pick("sum", "mean", "max", wild=("median",)))
    call: dict[str, Any] = {}
    spec = Index(_spoilt(h, h.pick("N L", "L")))
    if len(spec.split()) == 1:
        call["offsets"] = Index(_spoilt(h, str(h.source.integer(1, 4))))
    else:  # offsets of zeros do not end at the last index, as they then must
        h.maybe(include_last_offset=h.pick(False, True))
    if h.source.integer(0, 3) == 0:
        call["per_sample_weights"] = In(_spoilt(h, spec))
    return Layer(name, (rows, h.number(1, 5)), h.kwargs, spec, call=call)


def _bilinear(h: Hyper, n: int) -> Layer:
    first, second = h.number(1, 5), h.number(1, 5)
    h.maybe(bias=h.pick(True, False))
    lead = _axes(h) if h.source.integer(0, 3) else ""
    specs = [_spoilt(h, f"{lead} {max(f, 1)}") for f in (first, second)]
    args = (first, second, h.number(1, 4))
    return Layer("Bilinear", args, h.kwargs, specs[0], more=(In(specs[1]),))


def _distance(h: Hyper, n: int) -> Layer:
    name = h.pick("CosineSimilarity", "PairwiseDistance")
    spec = _axes(h, 4)
    other = In(_stretched(h, spec))
    if name == "CosineSimilarity":
        h.maybe(dim=h.pick(0, 1, -1, wild=(4, -5)), eps=h.pick(1e-8, 1e-6))
    else:
        h.maybe(p=h.pick(2.0, 1.0, inf), keepdim=h.pick(True, False))
    return Layer(name, (), h.kwargs, spec, more=(other,))


# Losses ---------------------------------------------------------------------------------------

#: Losses of an input and a target that broadcast, or must be alike, and their own keywords.
_ALIKE: dict[str, dict[str, Any]] = {
    "L1Loss": {},
    "MSELoss": {},
    "SmoothL1Loss": {"beta": ((1.0, 0.0), (-1.0,))},
    "HuberLoss": {"delta": ((1.0, 0.5), (0.0, -1.0))},
    "KLDivLoss": {"log_target": ((True, False), ())},
    "BCELoss": {},
    "BCEWithLogitsLoss": {},
    "PoissonNLLLoss": {"log_input": ((True, False), ()), "full": ((True, False), ())},
    "SoftMarginLoss": {},
    "HingeEmbeddingLoss": {"margin": ((1.0, 0.5), ())},
    "MultiLabelSoftMarginLoss": {},
}


def _loss(h: Hyper, n: int) -> Layer:
    name = h.pick(*_ALIKE)
    h.maybe(reduction=h.pick("none", "none", "mean", "sum", wild=("batchmean", "max")))
    for keyword, (usual, wild) in _ALIKE[name].items():
        h.maybe(**{keyword: h.pick(*usual, wild=wild)})
    spec = _axes(h)
    target = _stretched(h, spec) if h.source.flip() else _spoilt(h, spec)
    if "BCE" in name and h.source.flip():
        h.kwargs["weight"] = In(_stretched(h, spec))
        h.kwargs["weight"] = In(
            " ".join(a for a in h.kwargs["weight"].split() if a.isdecimal()) or "1"
        )
    return Layer(name, (), h.kwargs, spec, more=(In(target),))


def _class_loss(h: Hyper, n: int) -> Layer:
    name = h.pick("NLLLoss", "CrossEntropyLoss", "MultiMarginLoss", "MultiLabelMarginLoss")
    h.maybe(reduction=h.pick("none", "none", "mean", "sum", wild=("batchmean",)))
    classes = h.source.integer(1, 5)
    spec, target = h.pick(("N C", "N"), ("C", ""), ("N C L", "N L"), ("N C H W", "N H W"))
    if name.startswith("Multi"):
        spec, target = "N C", "N C" if "Label" in name else "N"
        if name == "MultiMarginLoss":
            h.maybe(p=h.pick(1, 2, wild=(3,)), margin=h.pick(1.0, 0.5))
    elif name == "CrossEntropyLoss":
        h.maybe(label_smoothing=h.pick(0.0, 0.1, wild=(1.5, -0.1)))
    if "Label" not in name:
        h.maybe(weight=In(str(classes + int(h.rarely()))) if h.source.flip() else None)
    made: In = Index(_spoilt(h, target))
    if name == "CrossEntropyLoss" and h.source.integer(0, 3) == 0:
        made = In(_spoilt(h, spec))  # probabilities, not classes
        made = made if len(made.split()) == len(spec.split()) else In(spec)
    if not made:
        spec, made = "N C", Index("N")
    if "Label" not in name and len(made.split()) == len(spec.split()):
        made = In(made)  # of the input's rank it stands for probabilities, which are no indices
    return Layer(name, (), h.kwargs, spec, {"C": classes}, more=(made,))


def _pair_loss(h: Hyper, n: int) -> Layer:
    name = h.pick(
        "CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss", "GaussianNLLLoss"
    )
    h.maybe(reduction=h.pick("none", "none", "mean", "sum", wild=("batchmean",)))
    if name == "GaussianNLLLoss":
        h.maybe(full=h.pick(True, False))
        spec = _axes(h)
        var = spec if h.source.flip() else h.pick(" ".join(spec.split()[:-1]), spec)
        var = " ".join([*spec.split()[:-1], "1"]) if h.source.flip() else var or spec
        return Layer(name, (), h.kwargs, spec, more=(In(_spoilt(h, spec)), In(_spoilt(h, var))))
    h.maybe(margin=h.pick(0.5, 1.0, wild=(0.0, -1.0)))
    if name == "TripletMarginLoss":
        h.maybe(p=h.pick(2.0, 1.0), swap=h.pick(True, False))
        spec = _axes(h)
        others = [In(_spoilt(h, spec)) if h.wild else In(spec) for _ in range(2)]
        return Layer(name, (), h.kwargs, spec, more=tuple(others))
    spec = _axes(h) if name == "MarginRankingLoss" else h.pick("N C", "C")
    if name == "CosineEmbeddingLoss":
        target = "N" if spec == "N C" else "1"
        return Layer(name, (), h.kwargs, spec, more=(In(_spoilt(h, spec)), In(_spoilt(h, target))))
    return Layer(name, (), h.kwargs, spec, more=(In(_stretched(h, spec)), In(_stretched(h, spec))))


def _ctc(h: Hyper, n: int) -> Layer:
    time, batch = h.source.integer(2, 6), h.source.integer(1, 3)
    h.maybe(reduction=h.pick("none", "mean", "sum", wild=("batchmean",)))
    spec = h.pick(f"{time} {batch} C", f"{time} C")
    count = batch if spec.count(" ") == 2 else 1
    targets = Index(f"{count} 2" if spec.count(" ") == 2 else "2")
    lengths = [time] * (count + int(h.rarely())), [1] * (count + int(h.rarely()))
    more = (targets, tuple(lengths[0]), tuple(lengths[1]))
    return Layer("CTCLoss", (), h.kwargs, spec, more=more, most=6)


# Sequences ------------------------------------------------------------------------------------


def _recurrent(h: Hyper, n: int) -> Layer:
    name = h.pick("RNN", "GRU", "LSTM")
    features, units, layers = h.number(1, 4), h.number(2, 5), h.number(1, 2)
    h.maybe(bias=h.pick(True, False), batch_first=h.pick(True, False))
    h.maybe(bidirectional=h.pick(True, False), dropout=h.pick(0.0, 0.5, wild=(1.5,)))
    if name == "LSTM":
        h.maybe(proj_size=h.pick(0, 1, wild=(-1, 9)))
    elif name == "RNN":
        h.maybe(nonlinearity=h.pick("tanh", "relu", wild=("sigmoid",)))
    batched = h.source.integer(0, 3) > 0
    lead = ("N L" if h.kwargs.get("batch_first") else "L N") if batched else "L"
    spec = _spoilt(h, f"{lead} {max(features, 1)}")
    call: dict[str, Any] = {}
    if h.source.flip():
        count = layers * (2 if h.kwargs.get("bidirectional") else 1)
        fed = h.kwargs.get("proj_size") or units
        batch = "N " if batched else ""
        states = [_spoilt(h, f"{max(count, 1)} {batch}{max(u, 1)}") for u in (fed, units)]
        call["hx"] = tuple(map(In, states)) if name == "LSTM" else In(states[1])
    return Layer(name, (features, units, layers), h.kwargs, spec, call=call)


def _cell(h: Hyper, n: int) -> Layer:
    name = h.pick("RNNCell", "GRUCell", "LSTMCell")
    features, units = max(1, h.number(1, 4)), max(1, h.number(1, 5))
    h.maybe(bias=h.pick(True, False))
    if name == "RNNCell":
        h.maybe(nonlinearity=h.pick("tanh", "relu", wild=("sigmoid",)))
    batch = h.pick("N ", "")
    call: dict[str, Any] = {}
    if h.source.flip():
        if batch:
            states = [In(_spoilt(h, f"{batch}{units}")) for _ in range(2)]
        else:  # of a state of two axes, torch's process may die here
            states = [In(str(units + int(h.rarely()))) for _ in range(2)]
        call["hx"] = tuple(states) if name == "LSTMCell" else states[0]
    spec = _spoilt(h, f"{batch}{features}")
    if len(spec.split()) != len(f"{batch}{features}".split()):
        call = {}  # as above
    return Layer(name, (features, units), h.kwargs, spec, call=call)


def _leads(h: Hyper) -> tuple[bool, tuple[str, str]]:
    """Whether there is a batch, and the axes in front of the features of two sequences."""
    if h.source.integer(0, 3) == 0:
        return False, ("L", "S")
    return True, ("N L", "N S") if h.kwargs.get("batch_first") else ("L N", "S N")


def _attention(h: Hyper, n: int) -> Layer:
    heads = h.number(1, 3)
    width = max(1, heads * h.number(1, 2)) + int(h.rarely())
    widths = [h.number(1, 4) if h.source.integer(0, 4) == 0 else width for _ in range(2)]
    h.maybe(bias=h.pick(True, False), batch_first=h.pick(True, False))
    h.maybe(add_bias_kv=h.pick(True, False), add_zero_attn=h.pick(True, False))
    if widths != [width, width]:
        h.kwargs.update(kdim=widths[0], vdim=widths[1])
    batched, leads = _leads(h)
    query = _spoilt(h, f"{leads[0]} {width}")
    others = [In(_spoilt(h, f"{leads[1]} {max(w, 1)}")) for w in widths]
    call: dict[str, Any] = {}
    if h.source.flip():
        call["need_weights"] = h.source.flip()
    if h.source.integer(0, 3) == 0:
        call["average_attn_weights"] = False
    if h.source.integer(0, 2) == 0:
        call["attn_mask"] = In(_spoilt(h, "L S"))
    if h.source.integer(0, 2) == 0:
        call["key_padding_mask"] = In(_spoilt(h, "N S" if batched else "S"))
    args = (width, heads)
    return Layer("MultiheadAttention", args, h.kwargs, query, more=tuple(others), call=call, most=6)


def _transformer(h: Hyper, n: int) -> Layer:
    heads = max(1, h.number(1, 3))
    width = heads * max(1, h.number(1, 2)) * 2 + int(h.rarely())
    h.maybe(bias=h.pick(True, False), batch_first=h.pick(True, False))
    h.maybe(norm_first=h.pick(True, False), activation=h.pick("relu", "gelu", wild=("tanh",)))
    name = h.pick(
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "TransformerEncoder",
        "TransformerDecoder",
        "Transformer",
    )
    _, leads = _leads(h)
    spec = _spoilt(h, f"{leads[0]} {width}")
    other = In(_spoilt(h, f"{leads[1]} {width}"))
    hyper: tuple[Any, ...] = (width, heads, h.source.integer(1, 8))
    if name == "Transformer":
        args: tuple[Any, ...] = (width, heads, 1, h.source.integer(1, 2), 8)
        return Layer(name, args, h.kwargs, spec, more=(other,), most=6)
    call: dict[str, Any] = {}
    decodes = "Decoder" in name
    if h.source.integer(0, 2) == 0:
        keyword = "tgt_mask" if decodes else "src_mask" if name.endswith("Layer") else "mask"
        call[keyword] = In(_spoilt(h, "L L"))
    if decodes and h.source.integer(0, 2) == 0:
        call["memory_mask"] = In(_spoilt(h, "L S"))
    more = (other,) if decodes else ()
    if name.endswith("Layer"):
        return Layer(name, hyper, h.kwargs, spec, more=more, call=call, most=6)
    inner = Layer(f"{name}Layer", hyper, h.kwargs)
    args = (inner, h.source.integer(1, 2))
    return Layer(name, args, {}, spec, more=more, call=call, most=6)


SEVERAL: dict[str, Callable[[Hyper, int], Layer]] = {
    "arrange": _arrange,
    "unpool": _unpool,
    "fractional": _fractional,
    "sparse": _sparse,
    "bilinear": _bilinear,
    "distance": _distance,
    "loss": _loss,
    "class loss": _class_loss,
    "pair loss": _pair_loss,
    "ctc": _ctc,
    "recurrent": _recurrent,
    "cell": _cell,
    "attention": _attention,
    "transformer": _transformer,
}
