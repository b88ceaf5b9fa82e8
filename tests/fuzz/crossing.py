"""Every operation crossed with every question: answered and checked, or refused by name.

A case is a call of one operation, one of torch's own declared samples at other sizes, as a module
whose forward is the call. Its trace is asked every question there is. Where torch can judge an
answer it does: shapes, the domain, dtypes, FLOPs of both passes, what autograd keeps, which inputs
have a gradient. What it cannot judge must be answered, or refused by an error of ours that names
the operation; an error of another kind is a mismatch, as a wrong answer is.

    python -m tests.fuzz.crossing docs/validation/operations.md

asks everything, and writes the table.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F

import symcnn
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import evaluate
from symcnn.errors import DataDependent, InvalidInput, SymcnnError, UnsupportedOperation
from symcnn.judge.oracles import tensors_of, torch_flops, torch_peak, torch_saved
from symcnn.trace.call import RECORDS
from tests.fuzz.forms import Call, CallModule
from tests.fuzz.torch_samples import (
    NOT_ABOUT_SHAPES,
    Resizer,
    is_empty,
    operations,
    samples,
    shapes_of,
)

__all__ = ["JUDGED", "TOLD", "Case", "Crossing", "cases", "cross", "names"]

#: Of each operation so many calls are asked.
_CALLS = 3

#: Draws of random inputs until gradients show all that is read.
_DRAWS = 12

#: The first of these that an operation takes.
_DTYPES = (torch.float32, torch.complex64, torch.int64, torch.bool)


@dataclass
class Case:
    """A call of an operation, its trace, and the sizes at which torch was run."""

    name: str
    module: CallModule
    values: list[torch.Tensor]
    net: Any
    sizes: dict[str, int]

    @property
    def inputs(self) -> list[torch.Tensor]:
        """Fresh inputs, that ask for gradients."""
        return [
            t.detach().clone().requires_grad_(t.is_floating_point() or t.is_complex())
            for t in self.values
        ]

    def run(self, *inputs: torch.Tensor) -> Any:
        """What torch makes of them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            return self.module(*(t.clone() for t in inputs or self.values))

    def number(self, value: Any) -> int:
        """A formula at the sizes."""
        return evaluate(from_sympy(value), self.sizes)


# Cases ----------------------------------------------------------------------------------------

#: Calls of operations that torch declares no samples of.
_x, _y = torch.rand(2, 3, 8, 9), torch.rand(2, 3, 8, 9)
_rows, _row = torch.rand(5, 2, 4), torch.rand(3, 4)


def _cell(gates: int) -> list[torch.Tensor]:
    return [torch.rand(6 * gates, n) for n in (4, 6)] + [torch.rand(6 * gates) for _ in "ab"]


def _recurrent(function: Any, gates: int, states: int) -> Any:
    state = [torch.zeros(1, 2, 6) for _ in range(states)]
    hidden = state if states == 2 else state[0]
    return function, (_rows, hidden, _cell(gates), True, 1, 0.0, False, False, False)


def _weighed(weights: Any, x: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = x * weights(x.shape[1])
    return made


def _observed(x: torch.Tensor) -> torch.Tensor:
    """As the layers of quantization-aware training observe what they make."""
    on, bound, zero = (
        torch.ones(1, dtype=torch.long),
        torch.ones(1),
        torch.zeros(1, dtype=torch.int),
    )
    observe = torch.fused_moving_avg_obs_fake_quant
    made: torch.Tensor = observe(x, on, on, -bound, bound, bound.clone(), zero, 0.01, 0, 255, 0)
    return made


_MORE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "pad_sequence": (lambda x: torch.nn.utils.rnn.pad_sequence([x, x[1:]]), (_row,)),
    "_weight_norm": (torch._weight_norm, (torch.rand(8, 3, 3), torch.rand(8, 1, 1), 0)),
    "affine_grid": (F.affine_grid, (torch.rand(2, 2, 3), [2, 3, 5, 7])),
    "cpu": (torch.Tensor.cpu, (_x,)),
    "detach": (torch.Tensor.detach, (_x,)),
    "data": (lambda x: x.data, (_x,)),
    "dropout1d": (F.dropout1d, (_row, 0.5, False)),
    "feature_dropout": (torch.feature_dropout, (_x, 0.5, False)),
    "fold": (F.fold, (torch.rand(2, 12, 20), (6, 5), (2, 2))),
    "gumbel_softmax": (F.gumbel_softmax, (_row,)),
    "lp_pool1d": (F.lp_pool1d, (_row, 2.0, 2)),
    "lp_pool2d": (F.lp_pool2d, (_x, 2.0, 2)),
    "lp_pool3d": (F.lp_pool3d, (_x, 2.0, 2)),
    "requires_grad": (lambda x: x * x.requires_grad, (_x,)),
    "requires_grad_": (lambda x: x.clone().requires_grad_(False), (_x,)),
    "rand": (lambda x: x + torch.rand(x.shape), (_x,)),
    "randperm": (lambda x: x[torch.randperm(x.shape[0])], (_row,)),
    "tensor": (lambda x: x * torch.tensor(2.0), (_x,)),
    "as_tensor": (lambda x: torch.as_tensor(x * 2), (_x,)),
    "asarray": (lambda x: torch.asarray(x * 2), (_x,)),
    "new_tensor": (lambda x: x * x.new_tensor([2.0]), (_x,)),
    "copy": (lambda x, y: torch.empty_like(x).copy_(y), (_x, _y)),
    "zero": (lambda x: x.clone().zero_(), (_x,)),
    "Tensor.normal_": (lambda x: x.clone().normal_(), (_x,)),
    "random": (lambda x: x.clone().random_(), (_x,)),
    "constant_pad_nd": (torch.constant_pad_nd, (_x, (1, 2))),
    "type": (lambda x: x.type(torch.float64), (_x,)),
    "type_as": (torch.Tensor.type_as, (_x, _row)),
    "polygamma": (torch.polygamma, (1, _x)),
    "Tensor.where": (torch.Tensor.where, (_x, _x > 0.5, _y)),
    "lstm": _recurrent(torch.lstm, 4, 2),
    "gru": _recurrent(torch.gru, 3, 1),
    "rnn_tanh": _recurrent(torch.rnn_tanh, 1, 1),
    "rnn_relu": _recurrent(torch.rnn_relu, 1, 1),
    "lstm_cell": (torch.lstm_cell, (_row, [torch.rand(3, 6), torch.rand(3, 6)], *_cell(4))),
    "gru_cell": (torch.gru_cell, (_row, torch.rand(3, 6), *_cell(3))),
    "rnn_tanh_cell": (torch.rnn_tanh_cell, (_row, torch.rand(3, 6), *_cell(1))),
    "rnn_relu_cell": (torch.rnn_relu_cell, (_row, torch.rand(3, 6), *_cell(1))),
    "identity": (torch.nn.Identity(), (_x,)),
    "squeeze": (torch.squeeze, (torch.rand(3, 1, 4), 1)),
    "matrix_power": (torch.matrix_power, (torch.rand(2, 3, 3), 3)),
    "linalg_matrix_exp": (torch.linalg.matrix_exp, (torch.rand(2, 3, 3),)),
    "det": (torch.det, (torch.rand(2, 3, 3),)),
    "slogdet": (torch.slogdet, (torch.rand(2, 3, 3),)),
    "inverse": (torch.inverse, (torch.rand(2, 3, 3),)),
    "xlog1py": (torch.special.xlog1py, (_x, _y)),
    "fake_quantize_per_tensor_affine": (
        torch.fake_quantize_per_tensor_affine,
        (_x, 0.1, 0, 0, 255),
    ),
    "fake_quantize_per_channel_affine": (
        lambda x: torch.fake_quantize_per_channel_affine(
            x, torch.ones(x.shape[0]), torch.zeros(x.shape[0], dtype=torch.int32), 0, 0, 255
        ),
        (_x,),
    ),
    "fused_moving_avg_obs_fake_quant": (_observed, (_x,)),
    "poisson": (torch.poisson, (_x,)),
    "_standard_gamma": (torch._standard_gamma, (_x,)),
    "_sample_dirichlet": (torch._sample_dirichlet, (_x,)),
    "binomial": (torch.binomial, (_x, _y)),
    "_is_all_true": (torch._is_all_true, (_x > 0,)),
    "_is_any_true": (torch._is_any_true, (_x > 0,)),
    **{
        f"{name}_window": (partial(_weighed, getattr(torch, f"{name}_window")), (_row,))
        for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")
    },
    "fft_fftfreq": (partial(_weighed, torch.fft.fftfreq), (_row,)),
    "fft_rfftfreq": (lambda x: x[:, :3] * torch.fft.rfftfreq(x.shape[1]), (_row,)),
    **{
        name: (getattr(torch.special, name), (_x,))
        for name in "entr erfcx expit i0e i1 i1e log_ndtr ndtr ndtri".split()
    },
}

#: What needs a machine of another kind, or is another name of torch's for the same.
WITHOUT = {"cuda", "pin_memory", "select_copy", "set_data", "special_expit"}


def names() -> list[str]:
    """What there is a case of, by torch's names."""
    return [*_declared(), *_MORE]


@lru_cache(maxsize=1)
def _declared() -> dict[str, tuple[Any, Any]]:
    """Operations that torch declares, their aliases too: the declaration, and what is called."""
    found: dict[str, tuple[Any, Any]] = {}
    for op, _ in operations():
        found[op.full_name] = op, op.op
        found |= {a.name: (op, a.op) for a in op.aliases if a.name in RECORDS}
    return found


def cases(name: str, count: int = _CALLS) -> Iterator[Case]:
    """The first calls of an operation that torch takes, and that are about sizes.

    Raises SymcnnError where our trace refuses one.
    """
    taken = 0
    for number, (function, args, kwargs) in enumerate(_calls(name)):
        if taken == count or number == 8 * count:
            return
        found = _case(name, Call(name, "function", function, args, kwargs))
        if found is not None:
            taken += 1
            yield found


def _calls(name: str) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    if name in _MORE:
        function, args = _MORE[name]
        yield function, args, {}
        return
    op, function = _declared()[name]
    dtype = next((d for d in _DTYPES if d in op.supported_dtypes("cpu")), None)
    if dtype is None:
        return
    for number, sample in enumerate(samples(op, dtype, 40)):
        args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
        if is_empty((args, kwargs)):
            continue
        if dtype is torch.float32:
            resizer = Resizer(Random(f"crossing {name} {number}"))
            resizer.odd_one = False
            yield function, *resizer((args, kwargs))
        yield function, args, kwargs


def _case(name: str, call: Call) -> Case | None:
    torch.manual_seed(0)
    first = next((t.dtype for t in tensors_of((call.args, call.kwargs))), torch.float32)
    module = CallModule(call, first)
    if not module.inputs or sum(t.numel() for t in module.inputs) > 4000:
        return None
    case = Case(name, module, [_random(t) for t in module.inputs], None, {})
    try:
        want = shapes_of(case.run())
    except Exception:  # torch does not take it at these sizes
        return None
    if not want or any(0 in shape for shape in want):
        return None
    specs: list[Any] = []
    for t in module.inputs:
        spec = " ".join(f"S{n}" if n > 1 else "1" for n in t.shape) or "1"
        case.sizes |= {f"S{n}": n for n in t.shape if n > 1}
        dtype = str(t.dtype).removeprefix("torch.")
        specs.append(spec if dtype == "float32" else symcnn.tensor(spec, dtype=dtype))
    case.net = symcnn.from_torch(module, *specs, example=case.sizes)
    return case


def _random(t: torch.Tensor) -> torch.Tensor:
    """Numbers between 0 and 1, in the place of those of a sample."""
    return torch.rand_like(t).mul_(0.9).add_(0.05) if t.is_floating_point() else t


#: Where torch's run is no judge, by operation and question.
AGREED = {
    ("batch_norm", "field"): "its statistics count as those of training, as documented",
    ("nn.functional.batch_norm", "field"): "the same",
    ("argsort", "saved"): "torch keeps the places for values that it throws away",
    ("isfinite", "saved"): "torch keeps a magnitude for a mask, which has no gradient",
    ("__getitem__", "peak"): "torch makes a tensor of an index",
    ("isfinite", "peak"): "it is several comparisons",
    ("nn.functional.cross_entropy", "peak"): "the sum of the weights is a number beside the result",
    ("nn.functional.feature_alpha_dropout.with_train", "peak"): "without chance it is the input",
    ("nn.functional.max_pool1d", "peak"): "torch makes places while somebody watches",
    ("nn.functional.softmin.with_dtype", "peak"): "what is made on the way is made one by one",
    **{(f"{name}", "peak"): "factors and flags of LAPACK are its own"
       for name in ("inverse", "linalg.inv", "linalg.solve")},
    **{(f"fft.{kind}fft{axes}", "peak"): "copies of other sizes are made one by one"
       for kind in ("", "h", "i", "ih", "ir") for axes in "2n"},
    ("group_norm", "domain"): "a symbol for the channels of a layer divides into its groups",
    ("nn.functional.group_norm", "domain"): "the same",
    ("lstm", "domain"): "torch's oneDNN reads weights without asking for their shape",
    ("take", "domain"): "an index is a value",
    **{(f"nn.functional.linear_cross_entropy{kind}", "domain"): "a chunk size is an argument"
       for kind in ("", ".chunked", ".chunked_none")},
}  # fmt: skip

# Questions that torch judges ------------------------------------------------------------------
# Each answers "" where both agree, else what differs; None: torch has nothing to say.


def _shape(case: Case) -> str:
    return _differ(shapes_of(case.net.shape_at(**case.sizes)), shapes_of(case.run()))


def _domain(case: Case) -> str | None:
    """At sizes beside these, one at a time: taken by both, with the same shapes, or by neither."""
    seen = False
    for name, step in product(case.sizes, (-1, 1, 2)):
        sizes = case.sizes | {name: case.sizes[name] + step}
        inputs = [
            torch.rand([sizes[d] if d in sizes else int(d) for d in map(str, dims)])
            if t.is_floating_point() and t.ndim
            else None
            for t, dims in zip(case.values, case.net.inputs, strict=True)
        ]
        if None in inputs or any(0 in t.shape for t in inputs if t is not None):
            continue
        try:
            want: Any = shapes_of(case.run(*[t for t in inputs if t is not None]))
        except Exception as error:  # of any kind
            if NOT_ABOUT_SHAPES.search(str(error)):
                continue
            want = None
        if want is not None and any(0 in shape for shape in want):
            continue
        try:
            ours: Any = shapes_of(case.net.shape_at(**sizes))
        except InvalidInput:
            ours = None
        seen = True
        if ours != want:
            return f"at {sizes} {ours}, torch {want}"
    return "" if seen else None


def _dtype(case: Case) -> str:
    ours = [t.dtype or "float32" for t in case.net.output_tensors]
    return _differ(ours, [str(t.dtype).removeprefix("torch.") for t in tensors_of(case.run())])


def _flops(case: Case) -> str:
    cost = case.net.cost("flops", input_grad=True).at(**case.sizes)
    try:
        theirs = torch_flops(case.net, case.run, case.sizes, inputs=case.inputs)
    except RuntimeError:  # not all of it has a gradient: the forward pass alone
        theirs = *torch_flops(case.net, case.run, case.sizes, inputs=case.values)[:1], cost.backward
    return _differ((cost.total, cost.backward), theirs)


def _saved(case: Case) -> str | None:
    found = case.net.cost(input_grad=True).at(**case.sizes).saved
    try:
        theirs = torch_saved(case.net, case.module, case.sizes, call=case.run, inputs=case.inputs)
    except RuntimeError:  # not all of it has a gradient
        return None
    return _differ(found, theirs)


def _peak(case: Case) -> str | None:
    """Bytes alive after each of torch's operations, if there is one."""
    found = case.net.cost().at(**case.sizes).peak
    theirs = torch_peak(case.module, case.module, case.values)[0]
    return _differ(found, theirs) if theirs else None


def _field(case: Case) -> str | None:
    """Which inputs have a gradient, of each output place, in any of some draws."""
    field = case.net.receptive_field()
    first = case.values[0]
    if not first.is_floating_point() or not first.ndim or not field.input_axes:
        return None
    axes = [(k, a, *field.at(**case.sizes).tables(k)) for k, a in enumerate(field.input_axes)]
    seen: list[Any] = [None] * len(axes)
    for _ in range(_DRAWS):
        jacobian = _jacobian(case)
        if jacobian is None:
            return None
        rank = jacobian.ndim - first.ndim
        whole = True
        for k, (axis, place, along, table) in enumerate(axes):
            kept = [*along, rank + place]
            others = [i for i in range(jacobian.ndim) if i not in kept]
            read = jacobian.amax(others) if others else jacobian
            seen[k] = read if seen[k] is None else seen[k] | read
            beyond = seen[k].numpy() & ~table
            if beyond.any():
                where = beyond.nonzero()
                at = [int(i[0]) for i in where]
                return f"axis {axis} at {case.sizes}: a gradient at (output, input) {at}"
            whole &= bool((seen[k].numpy() == table).all())
        if whole:
            break
    return ""


def _jacobian(case: Case) -> torch.Tensor | None:
    """Where the first output has a gradient of the first input, over its axes and those of it."""
    first, *others = [torch.rand_like(t) for t in case.values]

    def run(x: torch.Tensor) -> torch.Tensor:
        return next(tensors_of(case.run(x, *others)))

    try:
        made = run(first.requires_grad_())
        if not made.is_floating_point() or not made.requires_grad:
            return None
        jacobian: Any = torch.autograd.functional.jacobian
        rows: torch.Tensor = jacobian(run, first.detach())
    except (RuntimeError, NotImplementedError):  # torch has no gradient of it
        return None
    return (rows != 0) & rows.isfinite()


class _Trained(CallModule):
    """The same call of its first tensor: the others are parameters."""

    def __init__(self, call: Call, dtype: torch.dtype) -> None:
        super().__init__(call, dtype)
        grad = dtype.is_floating_point or dtype.is_complex
        self.trained = torch.nn.ParameterList(
            torch.nn.Parameter(t.detach().clone(), requires_grad=grad) for t in self.inputs[1:]
        )

    def forward(self, *given: torch.Tensor) -> object:
        """The call on the first tensor."""
        return super().forward(*given, *self.trained)


def _params(case: Case) -> str | None:
    """Of the network and of the rows of its table, where all tensors but the first are trained."""
    first, *others = case.module.inputs
    if (
        not first.is_floating_point()
        or not others
        or len({id(t) for t in case.module.inputs}) <= len(others)
    ):
        return None
    module = _Trained(case.module.call, first.dtype)
    net = symcnn.from_torch(module, case.net.input_tensors[0], example=case.sizes)
    one = net.branches[0].network  # of several, each has rows of its own
    rows = one.cost().rows("node", ("params",))
    ours = int(net.params), sum(int(row["params"]) for row in rows)
    return _differ(ours, (sum(t.numel() for t in others),) * 2)


def _solve(case: Case) -> str | None:
    """The sizes are among those that give what comes out of them."""
    (shape, *_) = shapes_of(case.run())
    if not shape or not case.sizes:
        return None
    members = case.net.solve(output=shape)
    return "" if all(case.sizes[n] in members.axis(n) for n in members.shown) else f"not {members}"


def _code(case: Case) -> str:
    """The compiled closed forms, at the sizes."""
    space: dict[str, Any] = {}
    exec(case.net.branch_at(**case.sizes).to_code(), space)
    ours = [f(**case.sizes) for n, f in space.items() if n.startswith("size")]
    return _differ(ours, [*shapes_of(case.run())[0]])


def _differ(ours: object, theirs: object) -> str:
    return "" if ours == theirs else f"{ours}, torch {theirs}"


JUDGED: dict[str, Callable[[Case], str | None]] = {
    "shape": _shape,
    "domain": _domain,
    "dtype": _dtype,
    "flops": _flops,
    "saved": _saved,
    "peak": _peak,
    "field": _field,
    "params": _params,
    "solve": _solve,
    "code": _code,
}

# Questions that torch cannot judge ------------------------------------------------------------

#: What must be answered, or refused by name.
TOLD: dict[str, Callable[[Case], object]] = {
    "macs": lambda c: c.net.macs,
    "other work": lambda c: c.net.cost().at(**c.sizes).other,
    "valid inputs": lambda c: str(c.net.valid_inputs()),
    "reasons": lambda c: c.net.reasons(),
    "diagnose": lambda c: str(c.net.diagnose(**c.sizes)),
    "nearest": lambda c: str(c.net.nearest_valid(**c.sizes)),
    "budget": lambda c: str(c.net.solve(macs=10**6)),
    "even": lambda c: str(c.net.solve(even=True)),
    "smallest field": lambda c: c.net.receptive_field().smallest,
    "prove": lambda c: c.net.prove(),
    "summary": lambda c: str(c.net.summary()),
    "explain size": lambda c: str(c.net.explain("size")),
    "explain field": lambda c: str(c.net.explain("field")),
    "explain macs": lambda c: str(c.net.explain("macs")),
    "explain memory": lambda c: str(c.net.explain("memory")),
    "latex": lambda c: c.net.to_latex(),
    "draw": lambda c: c.net.draw("mermaid"),
    "page": lambda c: c.net.valid_inputs()._repr_html_(),
    "given": lambda c: c.net.given(**c.sizes).output_shape,
    "fix": lambda c: c.net.fix(**c.sizes),
    "plain pools": lambda c: c.net.plain_pools(),
    "tiles": lambda c: str(c.net.tiles(**c.sizes, tile=4)),
    "shards": lambda c: str(c.net.shards(**c.sizes, parts=2)),
    "stream": lambda c: str(c.net.stream(axis=c.net.inputs[0][-1])),
    "agree": lambda c: str(symcnn.agree(c.net, c.net).sizes),
    "spec": lambda c: c.net.spec("torch.export").text,
}


@dataclass
class Crossing:
    """What came of operations and questions."""

    #: By operation and question: "checked", "answered", "refused", or what differs.
    found: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)  # by question and cause
    wrong: list[str] = field(default_factory=list)
    met: set[str] = field(default_factory=set)  # operations that were traced

    def put(self, name: str, question: str, verdict: str) -> None:
        """What is worst of several calls stays."""
        order = ("", "answered", "checked", "refused", "wrong")
        before = self.found[name].get(question, "")
        self.found[name][question] = max(before, verdict, key=order.index)

    def __str__(self) -> str:
        counts = Counter(v for row in self.found.values() for v in row.values())
        told = ", ".join(f"{n:,} {verdict}" for verdict, n in counts.most_common())
        return "\n".join([f"{len(self.found)} operations: {told}", *self.wrong])


def cross(
    which: Sequence[str], questions: Sequence[str] = (*JUDGED, *TOLD), calls: int = _CALLS
) -> Crossing:
    """Ask questions of calls of operations."""
    found = Crossing()
    for name in which:
        calls_of = cases(name, calls)
        while True:
            try:
                case = next(calls_of)
            except StopIteration:
                break
            except (UnsupportedOperation, DataDependent) as error:
                found.put(name, "trace", "refused")
                found.refusals["trace", str(error).splitlines()[0]] += 1
                break
            except Exception as error:  # neither a trace nor a refusal of ours
                found.put(name, "trace", "wrong")
                found.wrong.append(f"{name}, trace: {type(error).__name__}: {error}")
                break
            found.met |= {node.op for node in case.net.nodes}
            for question in questions:
                if question in TOLD and question in found.found[name]:
                    continue
                verdict, told = _asked(case, question)
                found.put(name, question, verdict)
                if verdict == "wrong":
                    found.wrong.append(f"{name}, {question}: {case.module.call}: {told}")
                elif verdict == "refused":
                    found.refusals[question, told] += 1
    return found


def _asked(case: Case, question: str) -> tuple[str, str]:
    """The verdict, and what there is to tell."""
    try:
        if question in TOLD:
            TOLD[question](case)
            return "answered", ""
        told = None if (case.name, question) in AGREED else JUDGED[question](case)
    except SymcnnError as error:
        return "refused", str(error).splitlines()[0]
    except Exception as error:  # ours, or of a library under us
        return "wrong", f"{type(error).__name__}: {error}"
    if told is None:
        return "answered", ""
    return ("wrong", told) if told else ("checked", "")


# The page -------------------------------------------------------------------------------------

_MARKS = {"checked": "✓", "answered": "·", "refused": "-", "wrong": "WRONG", "": ""}


def page(found: Crossing) -> str:
    """The table, in Markdown."""
    every = ("trace", *JUDGED, *TOLD)
    counts = {q: Counter(row.get(q, "") for row in found.found.values()) for q in every}
    total = sum((counts[q] for q in every), Counter[str]())
    lines = [
        "# Operations and questions",
        "",
        "Written by `python -m tests.fuzz.crossing docs/validation/operations.md`, with torch"
        f" {torch.__version__}: up to {_CALLS} calls of each of {len(found.found)} names of torch's"
        f" operations ({len(found.met)} operations of ours in {len(RECORDS)}), asked"
        f" {len(every) - 1} questions.",
        "",
        f"**{total['checked']:,} answers checked against torch, {total['answered']:,} answered"
        f" where torch has no say, {total['refused']:,} refused by name,"
        f" {total['wrong']} wrong.**",
        "",
        "Shapes, sizes beside them (`domain`), dtypes, FLOPs of both passes (`FlopCounterMode`),"
        " bytes that autograd keeps (hooks), fields (gradients), parameters, solutions and compiled"
        " forms are checked. The other questions must be answered, or refused by an error of ours.",
        "",
        "| question | checked | answered | refused | wrong |",
        "| --- | --- | --- | --- | --- |",
    ]
    kinds = ("checked", "answered", "refused", "wrong")
    lines += [f"| {q} | {' | '.join(str(counts[q][k]) for k in kinds)} |" for q in every]
    lines += ["", "Where torch is no judge:", "", "| operation | question | why |"]
    lines += ["| --- | --- | --- |"]
    lines += [f"| `{name}` | {question} | {why} |" for (name, question), why in AGREED.items()]
    unmet = ", ".join(f"`{name}`" for name in sorted(set(RECORDS) - found.met))
    lines += ["", f"Not asked: {unmet}."]
    lines += ["", "✓ checked, · answered, - refused by name.", ""]
    lines += [f"| operation | {' | '.join(every)} |", "| --- |" + " --- |" * len(every)]
    for name, row in sorted(found.found.items()):
        lines.append(f"| `{name}` | {' | '.join(_MARKS[row.get(q, '')] for q in every)} |")
    if found.wrong:
        lines += ["", "Wrong:", "", *(f"- {text}" for text in found.wrong)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    path, *given = sys.argv[1:] or ["-"]
    outcome = cross(given or names())
    print(outcome)
    for (question, cause), times in outcome.refusals.most_common():
        print(f"{times:5} {question}: {cause}")
    if path != "-":
        Path(path).write_text(page(outcome), encoding="utf-8")
    sys.exit(bool(outcome.wrong))
