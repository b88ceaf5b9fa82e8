"""The ONNX front end: a graph in a file, as a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcnn.algebra.size import Int, Size, symbols_of
from symcnn.errors import BadSpec, InvalidInput, ShapeMismatch, SymcnnError, UnsupportedOperation
from symcnn.frontends.onnx.file import read, require_onnx, require_readable
from symcnn.lazy import uncollected
from symcnn.network import Network
from symcnn.sets.condition import Condition
from symcnn.sets.grammar import parse_formula, parse_shape
from symcnn.trace.graph import SymbolicTensor
from symcnn.trace.tape import Tape, entails

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

    from symcnn.frontends.onnx.run import Run


def from_onnx(
    model: str | Path | ModelProto, inputs: Mapping[str, str] | Sequence[str] | None = None
) -> Network:
    """The network of an ONNX file or ``onnx.ModelProto``; neither torch nor onnxruntime is needed.

    Args:
        model: a path, or the model itself. Weights are not read.
        inputs: the shape of each input by its name, ``{"x": "N 3 H W"}``, or of all of them in
            the file's order: sizes that the file fixes can so be freed, and named. By default the
            file's own ``dim_param`` names are the sizes; a dimension without a name gets one, such
            as ``x_2``.

    Returns:
        The network, whose nodes are called as torch's exporters name the modules, or as the
        graph names its nodes. Its parameters are the initializers of floats that have an axis,
        but for running statistics.

    Raises:
        UnsupportedOperation: for operators without a rule, all of them listed with where they
            stand, and for an operator set newer than those known here.
        BadSpec: for a file that is cut off or no model, for an input that does not exist, for
            names of sizes that contradict each other.
        ShapeMismatch: where shapes agree at no size.
        DataDependent: where a shape or a branch depends on values.

    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    >>> pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2])
    >>> net = from_onnx(helper.make_model(helper.make_graph([pool], "g", [x], [y])))
    >>> net.output_shape
    (N, 3, (H - 1)//2, (W - 1)//2)
    """
    return traced(model, inputs)[0]


def traced(
    model: str | Path | ModelProto, inputs: Mapping[str, str] | Sequence[str] | None = None
) -> tuple[Network, Run]:
    """The network, and the run that made it, which knows the value of every name."""
    require_onnx()
    folder = None
    if isinstance(model, (str, Path)):
        folder = Path(model).parent
        model = read(Path(model))
    else:
        model = require_readable(model, "the model")
    from symcnn.frontends.onnx.run import Run, missing_operators
    from symcnn.frontends.onnx.values import Value, dtype_of

    _refuse_missing(missing_operators(model))
    infos = _true_inputs(model.graph)
    specs = _by_name(inputs, [info.name for info in infos])
    given: dict[str, Any] = {}
    for info in infos:
        kind = info.type.tensor_type.elem_type
        dtype = dtype_of(kind)
        own = "" if dtype == "float32" else dtype  # floats are the network's own
        tensor = SymbolicTensor(_dims(info, specs), name=info.name, dtype=own)
        given[info.name] = Value(tensor, dtype=dtype, name=info.name)
    sizes = [d for value in given.values() for d in value.dims]

    def run_once(sides: Sequence[bool]) -> tuple[Run, Network | SymcnnError]:
        run = Run(model, Tape(), folder, sides)
        try:
            with run.tape.running():
                found = run.graph(model.graph, given)
                if not specs:
                    _check_declared(model.graph, run, sizes)
        except (ShapeMismatch, InvalidInput) as error:
            return run, error
        outputs = [_outputs(value) for value in found]
        net = Network(
            [value.tensor for value in given.values()],
            outputs[0] if len(outputs) == 1 else tuple(outputs),
            tape=run.tape,
            parameters=tuple(run.parameters.values()),
            buffers=tuple(run.buffers.values()),
        )
        return run, net

    with uncollected():
        return _followed(
            run_once, tuple(dict.fromkeys(n for d in sizes for n in sorted(symbols_of(d))))
        )


def _followed(
    run_once: Callable[[Sequence[bool]], tuple[Run, Network | SymcnnError]], names: Sequence[str]
) -> tuple[Network, Run]:
    """The union of all branches; with the run of the first.

    Raises what the graph raises, if it does so on every branch, and BadSpec for too many branches.
    """
    work: list[tuple[bool, ...]] = [()]
    nets: list[Network] = []
    refusals: list[Any] = []
    first: Run | None = None
    while work:
        sides = work.pop()
        run, found = run_once(sides)
        if isinstance(found, Network):
            nets.append(found)
            first = first or run
        else:
            refusals.append((tuple(run.tape.guards), found))
        took = [*sides, *[True] * (len(run.open) - len(sides))]
        work += [(*took[:i], False) for i in range(len(sides), len(took))]
        if len(nets) + len(refusals) > _BRANCHES:
            raise UnsupportedOperation(
                f"sizes decide more than {_BRANCHES} branches", cure="fix some sizes: inputs={...}"
            )
    if first is None:
        raise refusals[0][1]
    if len(nets) == 1 and not refusals:
        return nets[0], first
    from symcnn.branched import union
    from symcnn.trace.branches import Refusal

    told = [Refusal(guards, error.cause) for guards, error in refusals]
    return union(nets, names, told, (), lambda sizes: nets[0].branch_at(**sizes)), first


#: So many branches are followed.
_BRANCHES = 64


def _outputs(value: Any) -> Any:
    return tuple(map(_outputs, value)) if isinstance(value, list) else value.tensor


def _refuse_missing(missing: Mapping[str, list[str]]) -> None:
    if missing:
        lines = [
            f"  {op}: {len(places)} node{'s' * (len(places) > 1)}, at {', '.join(places[:3])}"
            + (", ..." if len(places) > 3 else "")
            for op, places in sorted(missing.items())
        ]
        raise UnsupportedOperation(
            "\n".join([f"{len(missing)} operator(s) without a rule:", *lines]),
            cure="register one: symcnn.frontends.onnx.step.operator; or cut the model before them",
        )


def _true_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs that are not initializers, which old files list too."""
    held = {tensor.name for tensor in graph.initializer}
    found = [info for info in graph.input if info.name not in held]
    names = [info.name for info in found]
    if len(set(names)) != len(names):
        raise BadSpec("two inputs have the same name", cure="onnx.checker says what is wrong")
    for info in found:
        if not info.type.HasField("tensor_type"):
            raise UnsupportedOperation(f"the input {info.name!r} is no tensor")
    return found


def _by_name(
    inputs: Mapping[str, str] | Sequence[str] | None, names: Sequence[str]
) -> Mapping[str, str]:
    """The shapes that were told, by the names of the inputs."""
    if inputs is None:
        return {}
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(inputs, Mapping):
        if len(inputs) > len(names):
            raise BadSpec(f"{len(inputs)} shapes for {len(names)} inputs: {', '.join(names)}")
        return dict(zip(names, inputs, strict=False))
    for name in inputs:
        if name not in names:
            raise BadSpec(f"there is no input {name!r}", cure=f"there is {', '.join(names)}")
    return inputs


def _dims(info: ValueInfoProto, inputs: Mapping[str, str]) -> tuple[Int, ...]:
    """The sizes of an input: as told, or as the file names them."""
    declared = info.type.tensor_type.shape.dim
    has_shape = info.type.tensor_type.HasField("shape")
    if info.name in inputs:
        dims = parse_shape(inputs[info.name])
        if has_shape and len(dims) != len(declared):
            raise BadSpec(
                f"{inputs[info.name]!r} has {len(dims)} sizes; {info.name!r} has {len(declared)}"
            )
        return dims
    if not has_shape:
        raise BadSpec(
            f"the file gives no shape for the input {info.name!r}",
            cure=f'name the sizes: inputs={{"{info.name}": "N 3 H W"}}',
        )
    return tuple(_dim(dim, info.name, i) for i, dim in enumerate(declared))


def _dim(dim: Any, name: str, axis: int) -> Int:
    if dim.HasField("dim_value"):
        if dim.dim_value < 0:
            return Size.symbol(_identifier(f"{name}_{axis}"))
        return int(dim.dim_value)
    text = dim.dim_param or f"{name}_{axis}"
    if not text.isidentifier():
        with suppress(BadSpec):  # torch writes ``4*_h`` where a size is derived from a Dim
            whole, parts = parse_formula(text)
            if parts == 1:
                return whole
    return Size.symbol(_identifier(text))


def _identifier(text: str) -> str:
    """A name that formulas can be written with."""
    name = re.sub(r"\W+", "_", text).strip("_") or "size"
    return name if not name[0].isdigit() else f"size_{name}"


def _check_declared(graph: GraphProto, run: Run, sizes: Sequence[Int]) -> None:
    """What the file says of its outputs must not contradict what comes out.

    A name that no input has says nothing; a number, or an input's name, does.
    """
    for info in graph.output:
        value = run.seen.get(info.name)
        declared = info.type.tensor_type.shape.dim
        if isinstance(value, list) or value is None or not info.type.tensor_type.HasField("shape"):
            continue
        if len(declared) != len(value.dims):
            raise BadSpec(
                f"the file says that {info.name!r} has {len(declared)} axes; "
                f"{len(value.dims)} come out",
                cure="give the sizes of the inputs, and its own are not looked at: inputs={...}",
            )
        for axis, dim in zip(count(), declared):
            size = value.dims[axis]
            said: Any = None
            if dim.HasField("dim_value"):
                said = int(dim.dim_value)
            elif dim.dim_param and Size.symbol(_identifier(dim.dim_param)) in sizes:
                said = Size.symbol(_identifier(dim.dim_param))
            if said is None or said == size or said == 0:
                continue
            told = entails(Condition(size, "==", said))
            if told is False or (told is None and isinstance(said, Size)):
                raise BadSpec(
                    f"the file says that axis {axis} of {info.name!r} is {said}; {size} comes out",
                    cure="give the sizes of the inputs, and its own names are not looked at: "
                    "inputs={...}",
                )
