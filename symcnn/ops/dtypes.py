"""The dtype of what an operation makes, as torch computes it.

The law of promotion: tensors with axes come before 0-d tensors, and these before python's numbers;
what comes later counts only where its *kind* (bool < int < float < complex) is higher. Within a
kind the wider dtype wins. Every operation is of one family:

* it keeps the dtype of its first tensor (views, windows, norms: whatever no table names);
* it promotes its tensors (``add``), or promotes them and makes floats of integers (``div``);
* it answers a question (bool), names places (int64), counts (bool and integers become int64);
* it casts to the dtype that it is given, which an argument ``dtype=`` of any operation does;
* under ``torch.autocast`` it reads its floats in the dtype that autocast gives its family.

Dtypes are torch's names for them; "" is the network's own, where layers do not say which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from symcnn.algebra.size import Size
from symcnn.errors import ShapeMismatch
from symcnn.ops.registry import AUTOCAST, CASTS, DTYPES, Law
from symcnn.trace.graph import Node, SymbolicTensor

__all__ = ["BYTES", "LEGACY", "can_cast", "kind_of", "promoted", "result_type"]

#: Bytes per element.
BYTES: Mapping[str, int] = {
    "": 4, "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "uint64": 8, "int64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
    "complex32": 4, "complex64": 8, "complex128": 16,
}  # fmt: skip

_BOOL, _INT, _FLOAT, _COMPLEX = range(4)


def kind_of(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers."""
    if dtype == "bool":
        return _BOOL
    if dtype.startswith(("int", "uint")):
        return _INT
    return _COMPLEX if dtype.startswith("complex") else _FLOAT


def promoted(a: str, b: str) -> str:
    """The dtype that holds the values of both.

    >>> promoted("uint8", "int8"), promoted("int64", "float16"), promoted("float16", "bfloat16")
    ('int16', 'float16', 'float32')
    """
    if a == b:
        return a
    low, high = sorted((a, b), key=lambda d: (kind_of(d), BYTES[d]))
    kinds = kind_of(low), kind_of(high)
    if kinds == (_INT, _INT) and low.startswith("u") != high.startswith("u"):
        signed = high if low.startswith("u") else low
        unsigned = low if signed is high else high
        wide = max(BYTES[signed], 2 * BYTES[unsigned])
        return f"int{8 * min(wide, 8)}"
    if kinds == (_FLOAT, _FLOAT) and BYTES[low] == BYTES[high]:
        return "float32" if "16" in low or "16" in high else high or low
    if kinds == (_FLOAT, _COMPLEX) and 2 * BYTES[low] > BYTES[high]:
        return _complex(low)
    return high


def _complex(dtype: str) -> str:
    return f"complex{16 * BYTES[dtype]}"


def _real(dtype: str) -> str:
    return f"float{4 * BYTES[dtype]}" if kind_of(dtype) == _COMPLEX else dtype


def result_type(values: Iterable[object], default: str = "") -> str:
    """torch.result_type of tensors and numbers; `default` is the dtype of a python float."""
    ranks: list[str | None] = [None, None, None]
    for value in values:
        if isinstance(value, SymbolicTensor):
            place, dtype = (0 if value.dims else 1), value.dtype
        elif isinstance(value, (bool, int, float, complex, Size)) or hasattr(value, "__float__"):
            place, dtype = 2, _of_number(value, default)
        else:
            continue
        before = ranks[place]
        ranks[place] = dtype if before is None else promoted(before, dtype)
    found: str | None = None
    for lower in ranks:
        found = _combined(found, lower)
    return default if found is None else found


def _of_number(value: Any, default: str) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, Size)):
        return "int64"
    return _complex(default) if isinstance(value, complex) else default


def _combined(higher: str | None, lower: str | None) -> str | None:
    if higher is None or lower is None:
        return lower if higher is None else higher
    mine, theirs = kind_of(higher), kind_of(lower)
    if mine >= theirs:
        return higher
    if (mine, theirs) == (_FLOAT, _COMPLEX):
        return _complex(higher)
    return promoted(higher, lower)


def can_cast(source: str, target: str) -> bool:
    """Whether torch lets a result of one dtype be written into a tensor of the other."""
    return kind_of(source) <= kind_of(target)


# The families ---------------------------------------------------------------------------------
# A law answers for a node, and the dtype of a python float; per output where outputs differ.


def _arguments(node: Node) -> Iterable[Any]:
    return node.inputs if node.call is None else (*node.call.args, *node.call.kwargs.values())


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _flat(value)
        else:
            yield value


#: Arguments by name whose dtype counts.
_OPERANDS = frozenset(
    "other input value min max exponent tensors end weight self tensor1 tensor2 x y target".split()
)


def _promotes(node: Node, default: str) -> str:
    """All tensors and numbers among the positional arguments, and operands by name."""
    if node.call is None:
        return result_type(node.inputs, default)
    named = node.call.kwargs
    given = [*_flat(node.call.args), *(named[k] for k in _OPERANDS & named.keys())]
    return result_type(given, default)


def _of_tensors(node: Node, default: str) -> str:
    return result_type(node.inputs, default)


def _floats(node: Node, default: str) -> str:
    found = _promotes(node, default)
    return found if kind_of(found) >= _FLOAT else default


def _tensor_floats(node: Node, default: str) -> str:
    found = _of_tensors(node, default)
    return found if kind_of(found) >= _FLOAT else default


def _tensor_real(node: Node, default: str) -> str:
    return _real(_tensor_floats(node, default))


def _doubles(node: Node, default: str) -> str:
    return "complex128" if kind_of(_promotes(node, default)) == _COMPLEX else "float64"


def _square(node: Node, default: str) -> str:
    return result_type((node.inputs[0], 2), default)


def _divides(node: Node, default: str) -> str:
    return (
        _promotes(node, default)
        if node.arguments.get("kwargs", {}).get("rounding_mode")
        or (node.call is not None and node.call.kwargs.get("rounding_mode"))
        else _floats(node, default)
    )


def _first_float(node: Node, default: str) -> str:
    found = node.inputs[0].dtype
    return found if kind_of(found) >= _FLOAT else default


def _only_floats(node: Node, default: str) -> str:
    found = node.inputs[0].dtype
    if kind_of(found) < _FLOAT:
        raise ShapeMismatch(
            f"{node.op} of {found}: its input must be floating point or complex",
            cure="cast it first, as x.float() does",
        )
    return found


def _norm(node: Node, default: str) -> str:
    """Of complex numbers a float."""
    return _real(_only_floats(node, default))


def _with_places(node: Node, default: str) -> Sequence[str]:
    """Values, and where they are."""
    return [node.inputs[0].dtype, *["int64"] * (len(node.outputs) - 1)]


def _extreme(node: Node, default: str) -> str | Sequence[str]:
    """``max(x)``, ``max(x, dim)`` with places, ``max(x, y)``."""
    return _with_places(node, default) if len(node.outputs) == 2 else _of_tensors(node, default)


def _counts(node: Node, default: str) -> str:
    """Sums of integers are int64."""
    found = node.inputs[0].dtype
    return found if kind_of(found) >= _FLOAT else "int64"


def _logical(node: Node, default: str) -> str:
    return "uint8" if node.inputs[0].dtype == "uint8" else "bool"


def _of_second(node: Node, default: str) -> str:
    """Of what an index that comes first picks from."""
    return (node.inputs[1] if len(node.inputs) > 1 else node.inputs[0]).dtype


def _at_places(place: int, law: Law) -> Law:
    """Of operations that read an index: inputs that nobody gave a dtype are whole numbers then."""

    def found(node: Node, default: str) -> str | Sequence[str]:
        if len(node.inputs) > place:
            _make_whole(node, node.inputs[place])
        return law(node, default)

    return found


def _make_whole(node: Node, index: SymbolicTensor) -> None:
    """Inputs from which a float index comes are integers. Raises ShapeMismatch if none is."""
    stack, leaves = [index], []
    while stack:
        t = stack.pop()
        if kind_of(t.dtype) == _FLOAT and t.dtype:
            stack += t.node.inputs if t.node is not None else ()
            if t.node is None and type(t) is SymbolicTensor:
                leaves.append(t)
    for t in leaves:
        t.dtype = "int64"
    if kind_of(index.dtype) == _FLOAT and index.dtype and not leaves:
        raise ShapeMismatch(
            f"{node.op}: an index of {index.dtype}", cure="cast it, as x.long() does"
        )


def _each(node: Node, default: str) -> Sequence[str]:
    return [t.dtype for t in node.inputs]


def _where(node: Node, default: str) -> str | Sequence[str]:
    _, *others = _flat(_arguments(node))
    return result_type(others, default) if others else ["int64"] * len(node.outputs)


def _created(node: Node, default: str) -> str:
    return node.inputs[0].dtype if node.op == "normal" and node.inputs else default


def _full(node: Node, default: str) -> str:
    value = node.arguments.get("fill_value")
    return value.dtype if isinstance(value, SymbolicTensor) else _of_number(value, default)


def _arange(node: Node, default: str) -> str:
    """Whole numbers, if all bounds are."""
    bounds = [v for v in _arguments(node) if isinstance(v, (int, float, Size, SymbolicTensor))]
    found = result_type(bounds, default)
    return "int64" if kind_of(found) < _FLOAT else default


def _literal(node: Node, default: str) -> str:
    """``tensor([...])``: the kind of what is in it."""
    data = [*_flat(_arguments(node))]
    if node.op == "new_tensor" or (data and isinstance(data[0], SymbolicTensor)):
        return node.inputs[0].dtype if node.inputs else default
    return result_type(data, default)


def _cast(node: Node, default: str) -> str:
    """``to``, ``type``, ``type_as``: the dtype or the tensor that is given, if any is."""
    call = node.call
    for value in () if call is None else (*call.args[1:], *call.kwargs.values()):
        if isinstance(value, SymbolicTensor):
            return value.dtype
        if isinstance(value, str) and value.endswith("Tensor"):
            return LEGACY[value.rsplit(".", 1)[-1].removesuffix("Tensor")]
    return node.inputs[0].dtype


#: Dtypes by the names of torch's old tensor types.
LEGACY = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip


def _always(dtype: str) -> Law:
    return lambda node, default: dtype


def _to_complex(node: Node, default: str) -> str:
    found = _of_tensors(node, default)
    if kind_of(found) < _FLOAT:
        found = default
    return found if kind_of(found) == _COMPLEX else _complex(found)


def _to_real(node: Node, default: str) -> str:
    """Of a complex number a float."""
    return _real(_first_float(node, default))


def _part(node: Node, default: str) -> str:
    return _real(node.inputs[0].dtype)


def _then(*laws: Law) -> Law:
    """One law per output; the last for all others."""

    def law(node: Node, default: str) -> Sequence[str]:
        each = [*laws, *[laws[-1]] * len(node.outputs)]
        return [str(f(node, default)) for f, _ in zip(each, node.outputs, strict=False)]

    return law


def _first(node: Node, default: str) -> str:
    return node.inputs[0].dtype if node.inputs else default


def _parts_or_not(node: Node, default: str) -> str:
    """``stft``: complex numbers, unless their parts are asked for."""
    whole = node.arguments.get("return_complex", True)
    return _to_complex(node, default) if whole else _to_real(node, default)


def _search(node: Node, default: str) -> str:
    return "int32" if node.arguments.get("out_int32") else "int64"


def _bincount(node: Node, default: str) -> str:
    return "float64" if len(node.inputs) > 1 else "int64"


def _products(node: Node, default: str) -> str:
    """A product wants its operands in one dtype."""
    first = node.inputs[0].dtype
    if not all(t.dims for t in node.inputs):
        return _of_tensors(node, default)
    if node.op == "einsum" and len(node.inputs) == 1:
        reduced = len(node.outputs[0].dims) < node.inputs[0].ndim
        return _counts(node, default) if reduced else first
    for t in node.inputs[1:]:
        if t.dtype != first and t.dtype and first:
            raise ShapeMismatch(
                f"{node.op}: {first} and {t.dtype} are not multiplied with each other",
                cure="cast one of them, or run under torch.autocast",
            )
    return first


def _table() -> dict[str, Law]:
    table: dict[str, Law] = {}

    def put(law: Law, names: str) -> None:
        table.update(dict.fromkeys(names.split(), law))

    put(
        _promotes,
        "add sub mul rsub subtract multiply floor_divide remainder fmod pow maximum minimum fmax"
        " fmin bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm"
        " lerp addcmul addcdiv clamp clip clamp_min clamp_max heaviside nextafter",
    )
    put(
        _of_tensors,
        "cat concat concatenate stack hstack vstack row_stack dstack column_stack cartesian_prod"
        " block_diag outer ger kron cross linalg_cross linalg_vecdot addr mse_loss smooth_l1_loss"
        " gaussian_nll_loss cdist cosine_similarity cross_entropy kl_div"
        " binary_cross_entropy_with_logits multilabel_soft_margin_loss",
    )
    put(_divides, "div true_divide divide")
    put(
        _floats,
        "acos acosh asin asinh atan atanh cos cosh digamma erf erfc erfinv exp exp2 expm1 lgamma"
        " log log10 log1p log2 logit reciprocal rsqrt sigmoid sin sinc sinh sqrt tan tanh deg2rad"
        " rad2deg i0 arccos arccosh arcsin arcsinh arctan arctanh special_expit expit log_ndtr"
        " tanhshrink ndtr ndtri entr erfcx i0e i1 i1e polygamma Tensor.polygamma mvlgamma xlogy"
        " xlog1py logaddexp logaddexp2 atan2 arctan2 copysign hypot igamma igammac ldexp",
    )
    put(_first_float, "logsumexp special_logsumexp local_response_norm softsign")
    put(
        _tensor_floats,
        "trapezoid trapz cumulative_trapezoid margin_ranking_loss triplet_margin_loss"
        " poisson_nll_loss cosine_embedding_loss",
    )
    put(_always("float64"), "double")
    put(_doubles, "float_power")
    put(_square, "square")
    for dtype, names in (
        ("float32", "float"), ("float16", "half"), ("bfloat16", "bfloat16"), ("int32", "int"),
        ("int16", "short"), ("int8", "char"), ("uint8", "byte"), ("complex64", "cfloat"),
        ("complex128", "cdouble"),
        ("int64", "long argmax argmin argsort nonzero argwhere randint randperm"
         " count_nonzero tril_indices triu_indices multinomial"),
        ("bool", "bool eq ne lt le gt ge greater greater_equal less less_equal"
         " not_equal logical_and logical_or logical_xor logical_not isfinite isinf isnan"
         " isneginf isposinf isreal signbit isin isclose"),
    ):  # fmt: skip
        put(_always(dtype), names)
    put(_logical, "any all")
    put(_cast, "to type type_as")
    put(
        _only_floats,
        "mean nanmean softmax log_softmax softmin gumbel_softmax dropout alpha_dropout quantile"
        " nanquantile elu gelu silu mish selu celu leaky_relu hardswish hardsigmoid logsigmoid"
        " softplus hardshrink softshrink",
    )
    put(_norm, "var std norm linalg_norm linalg_vector_norm linalg_matrix_norm")
    put(_then(_norm, _only_floats), "var_mean std_mean")
    put(_tensor_real, "dist l1_loss pairwise_distance")
    put(_counts, "sum nansum prod cumsum cumprod trace")
    put(
        _with_places,
        "topk sort median nanmedian mode kthvalue cummax cummin unique unique_consecutive"
        + "".join(
            f" {kind}max_pool{n}d{more}"
            for kind in ("", "adaptive_", "fractional_")
            for n in (1, 2, 3)
            for more in ("", "_with_indices")
        ),
    )
    put(_extreme, "max min")
    put(_at_places(0, _of_second), "embedding embedding_bag")
    put(_at_places(0, _always("int64")), "one_hot")
    put(_at_places(1, _first), "gather scatter scatter_add scatter_reduce index_select take")
    put(_at_places(1, _first), "take_along_dim")
    put(_each, "meshgrid broadcast_tensors")
    put(_where, "where")
    put(_created, "normal zeros ones empty rand randn eye linspace logspace")
    put(_created, "empty_strided empty_permuted")
    put(_created, "scalar_tensor affine_grid_generator")
    put(_full, "full")
    put(_arange, "arange")
    put(_literal, "tensor as_tensor new_tensor")
    put(_to_complex, "fft_fft fft_ifft fft_rfft fft_ihfft fft_fft2 fft_ifft2 fft_rfft2 fft_ihfft2")
    put(_to_complex, "fft_fftn fft_ifftn fft_rfftn fft_ihfftn view_as_complex complex polar")
    put(_to_complex, "linalg_eigvals")
    put(_to_real, "fft_irfft fft_hfft fft_irfft2 fft_hfft2 fft_irfftn fft_hfftn angle")
    put(_to_real, "linalg_eigvalsh linalg_svdvals istft")
    put(_part, "abs absolute real imag view_as_real")
    put(_then(_to_complex), "linalg_eig")
    put(_then(_to_real, _first), "linalg_eigh")
    put(_then(_first, _to_real, _first), "linalg_svd svd")
    put(_then(_first, _to_real), "linalg_slogdet slogdet")
    put(_then(_first, _always("int32")), "linalg_inv_ex linalg_cholesky_ex")
    put(_parts_or_not, "stft")
    put(_search, "searchsorted bucketize")
    put(_bincount, "bincount")
    put(
        _products,
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear matmul mm"
        " bmm mv dot vdot addmm baddbmm addbmm addmv einsum tensordot inner bilinear",
    )
    return table


DTYPES.update(_table())


# Autocast -------------------------------------------------------------------------------------

_LOWER = (
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear matmul mm bmm"
    " addmm addbmm baddbmm mv einsum tensordot linalg_vecdot scaled_dot_product_attention lstm gru"
    " rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
    " multi_head_attention_forward inner"
).split()

_SINGLE_BOTH = (
    "prod quantile nanquantile stft cdist mse_loss cosine_embedding_loss nll_loss poisson_nll_loss"
    " margin_ranking_loss triplet_margin_loss multi_margin_loss ctc_loss kl_div"
    " binary_cross_entropy_with_logits hinge_embedding_loss smooth_l1_loss cross_entropy l1_loss"
    " soft_margin_loss multilabel_margin_loss huber_loss"
).split()

#: By device: what autocast reads in its own dtype, and what in float32.
_AUTOCAST: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "cpu": (
        frozenset(_LOWER),
        frozenset(
            "avg_pool3d binary_cross_entropy grid_sample polar trace view_as_complex cholesky"
            " cholesky_inverse cholesky_solve inverse lu_solve logdet pinverse svd qr"
            " logcumsumexp max_unpool2d max_unpool3d adaptive_avg_pool3d lp_pool1d lp_pool2d"
            " lp_pool3d"
            " fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2"
            " fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft linalg_cond linalg_solve"
            " linalg_cholesky linalg_svdvals linalg_eigvals linalg_eigvalsh linalg_inv linalg_qr"
            " linalg_svd linalg_eig linalg_eigh linalg_pinv linalg_matrix_norm".split()
            + _SINGLE_BOTH
        ),
    ),
    "cuda": (
        frozenset([*_LOWER, "addmv", "addr", "prelu"]),
        frozenset(
            "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow"
            " softplus layer_norm group_norm rms_norm norm linalg_norm linalg_vector_norm"
            " cosine_similarity softmax log_softmax softmin cumprod cumsum dist pdist renorm"
            " logsumexp sum gelu_ pairwise_distance normalize".split()
            + _SINGLE_BOTH
        )
        - {"quantile", "nanquantile"},
    ),
}


def _read_as(op: str, device: str, dtype: str) -> str:
    """The dtype in which an operation under autocast reads its floats; "": as they are."""
    lower, single = _AUTOCAST.get(device, (frozenset(), frozenset()))
    if op in lower:
        return dtype
    return "float32" if op in single else ""


AUTOCAST.append(_read_as)
CASTS.append(can_cast)
