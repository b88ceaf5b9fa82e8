"""Writing shapes back into a model: every tensor with its sizes as formulas, for viewers.

The standard lets a dimension be named by any text, its ``dim_param``. Here that is the closed form
in the sizes of the inputs: ``(H + 3)//4``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symcnn.errors import BadSpec
from symcnn.frontends.onnx import traced
from symcnn.frontends.onnx.file import require_onnx

if TYPE_CHECKING:
    from onnx import ModelProto


def annotate(
    model: str | Path | ModelProto,
    out: str | Path | None = None,
    inputs: Mapping[str, str] | Sequence[str] | None = None,
) -> ModelProto:
    """The model with the shape of every tensor, as formulas in the sizes of its inputs.

    Args:
        model: a path, or the model itself, which stays as it is. Nodes and weights are not
            touched; data in other files is not read.
        out: where to write the annotated model; None writes nothing.
        inputs: the shapes of the inputs, as for `symcnn.from_onnx`.

    Returns:
        The annotated model: its ``value_info``, inputs and outputs hold the shapes.

    Raises:
        BadSpec: if `out` lies in another folder than data that the model keeps in files of its
            own; and whatever `symcnn.from_onnx` raises.

    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    >>> nodes = [
    ...     helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
    ...     helper.make_node("Flatten", ["p"], ["y"]),
    ... ]
    >>> told = annotate(helper.make_model(helper.make_graph(nodes, "g", [x], [y])))
    >>> [d.dim_param or d.dim_value for d in told.graph.value_info[0].type.tensor_type.shape.dim]
    ['N', 3, 'H//2', 'W//2']
    """
    onnx = require_onnx()
    _, run = traced(model, inputs)
    if isinstance(model, (str, Path)):
        whole = onnx.load(str(model), load_external_data=False)
        if out is not None and Path(model).parent.resolve() != Path(out).parent.resolve():
            _refuse_data_elsewhere(whole, Path(model))
    else:
        whole = onnx.ModelProto()
        whole.CopyFrom(model)
    graph = whole.graph
    outer = {info.name: info for info in (*graph.input, *graph.output)}
    inner = {info.name: info for info in graph.value_info}
    held = {tensor.name for tensor in graph.initializer}
    for name, value in run.seen.items():
        if name in held or isinstance(value, list) or value is None:
            continue
        info = outer.get(name) or inner.get(name)
        if info is None:
            info = graph.value_info.add(name=name)
            if not value.dtype:  # of less than a byte: the standard's own inference says which
                graph.value_info.pop()
                continue
        value.write(info.type.tensor_type)
    if out is not None:
        onnx.save(whole, str(out))
    return whole  # type: ignore[no-any-return]


def _refuse_data_elsewhere(model: ModelProto, path: Path) -> None:
    files = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == 1
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if files:
        raise BadSpec(
            f"{path} keeps its weights in {', '.join(sorted(files))}",
            cure=f"write the annotated model into the same folder, {path.parent}",
        )
