"""The names of dtypes, torch's, and how many bytes an element of each takes."""

from __future__ import annotations

from collections.abc import Mapping

from symcnn.errors import BadSpec

#: Bytes per element.
BYTES: Mapping[str, int] = {
    "": 4, "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "uint64": 8, "int64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
    "complex32": 4, "complex64": 8, "complex128": 16,
}  # fmt: skip

#: The largest finite number of a float.
LARGEST: Mapping[str, float] = {
    "float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38,
}  # fmt: skip


class Stated(str):
    """The dtype that a user gave an input: nothing chooses another."""

    __slots__ = ()


def named(dtype: object) -> str:
    """The name of a dtype: of ``torch.int64`` or ``"int64"``. Raises BadSpec if torch has none."""
    name = str(dtype).strip().removeprefix("torch.")
    if not name or name not in BYTES:
        raise BadSpec(f"{name!r} is no dtype", cure=f"torch has {', '.join(filter(None, BYTES))}")
    return name
