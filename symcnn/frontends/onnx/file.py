"""Reading an ONNX file: the graph, and not the weights.

The law: *a shape never depends on the value of a weight.* So what a file mostly consists of is
skipped while its bytes are walked: the raw data of large initializers. What is left, some hundred
kilobytes of a file of a hundred megabytes, goes to the ``onnx`` package. Data in other files is
not opened, but for small tables of whole numbers, which may be shapes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from symcnn.errors import BadSpec, UnsupportedOperation, needs

if TYPE_CHECKING:
    from onnx import ModelProto

#: The newest operator set of ai.onnx that the operators here are written for.
NEWEST_OPSET = 28

#: Raw data of an initializer above so many bytes is not read.
_SKIPPED = 1 << 16

# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = 7, 5, 9


def require_onnx() -> ModuleType:
    """The package ``onnx``. Raises MissingExtra where it is not installed."""
    with needs("onnx", "ONNX files"):
        import onnx
    return onnx


def read(path: Path) -> ModelProto:
    """The model in a file, the raw data of its large initializers left out.

    Raises BadSpec for a file that is missing, cut off, or something else.
    """
    onnx = require_onnx()
    if not path.is_file():
        raise BadSpec(f"there is no file {path}")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            model = onnx.ModelProto.FromString(_without_weights(data))
    except Exception as error:  # of the wire format, or of protobuf: its class has no fixed home
        raise BadSpec(
            f"{path} is not a whole ONNX model: {error or type(error).__name__}",
            cure="it may be cut off, or of another format: copy or export it again",
        ) from None
    return require_readable(model, str(path))


def require_readable(model: ModelProto, name: str) -> ModelProto:
    """The model, if it is one that can be read.

    Raises BadSpec without a graph; UnsupportedOperation for an operator set that is too new.
    """
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise BadSpec(f"{name} has no graph", cure="it may be cut off: copy or export it again")
    for used in model.opset_import:
        if used.domain in ("", "ai.onnx") and used.version > NEWEST_OPSET:
            raise UnsupportedOperation(
                f"{name} uses operator set {used.version}; the newest known here is {NEWEST_OPSET}",
                cure=f"export with opset_version={NEWEST_OPSET} or older, or "
                f"onnx.version_converter.convert_version(model, {NEWEST_OPSET})",
            )
    return model


def _without_weights(data: Any) -> bytes:
    """A ModelProto's bytes without the raw data of large initializers."""
    pieces: list[bytes] = []
    for field, start, body, end in _fields(data, 0, len(data)):
        if field == _MODEL_GRAPH:
            pieces.append(_message(field, _graph(data, body, end)))
        else:
            pieces.append(data[start:end])
    return b"".join(pieces)


def _graph(data: Any, start: int, end: int) -> bytes:
    pieces: list[bytes] = []
    done = start
    for field, first, body, last in _fields(data, start, end):
        if field == _GRAPH_INITIALIZER and last - body > _SKIPPED:
            tensor = b"".join(
                data[at:after]
                for part, at, value, after in _fields(data, body, last)
                if part != _TENSOR_RAW_DATA or after - value <= _SKIPPED
            )
            pieces += [data[done:first], _message(field, tensor)]
            done = last
    return b"".join([*pieces, data[done:end]])


def _fields(data: Any, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Every field of a message: number, where it starts, where its value does, where it ends."""
    at = start
    while at < end:
        first = at
        key, at = _varint(data, at)
        body, kind = at, key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, body = _varint(data, at)
            at = body + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no field of a message at byte {first}")
        if at > end:
            raise ValueError(f"the field at byte {first} ends after the file does")
        yield key >> 3, first, body, at


def _varint(data: Any, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _message(field: int, body: bytes) -> bytes:
    return _written(field << 3 | 2) + _written(len(body)) + body


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
