"""Which dtypes an operation takes: torch is the judge, on every device that has a kernel.

The law: an operation computes in one dtype, and takes some. That dtype is what its tensors (and
numbers, if its result does) are promoted to where it promotes, else the dtype of its first tensor.
What it does not promote must be alike. A tensor with a part of its own, a mask, an index, a target,
has dtypes of its own; a network's input that nobody gave a dtype is of those.

Dtypes are said in words: a kind (`bool int float complex`), or a dtype's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import dtypes
from symcnn.ops.dtypes import CASTABLE, Law, kind_of
from symcnn.trace.dtype import BYTES, Stated
from symcnn.trace.graph import Node, SymbolicTensor, tensors_in

_KINDS = ("bool", "int", "float", "complex")

#: Laws of what is promoted: numbers too, or tensors only.
_NUMBERS = {dtypes.promotes, dtypes.floats, dtypes.divides, dtypes.doubles}
_TENSORS = {dtypes.of_tensors, dtypes.tensor_floats, dtypes.tensor_real, dtypes.parts_or_not}

#: What an operation promotes before it computes.
Promotes = Literal["", "tensors", "numbers"]


def promotes_by(law: Law | None, *, pointwise: bool) -> Promotes:
    """What an operation promotes whose result has the dtype that a law says."""
    if law in _NUMBERS:
        return "numbers"
    return "tensors" if pointwise or law in _TENSORS else ""


@cache
def meant(words: str) -> frozenset[str]:
    """The dtypes that words name; all of them if there are none.

    >>> sorted(meant("uint8 complex"))
    ['', 'complex128', 'complex32', 'complex64', 'uint8']
    """
    said = set(words.split())
    named = {d for d in BYTES if not said or d in said or _KINDS[kind_of(d)] in said}
    return frozenset(named | {""})  # where nothing says which dtype it is, nothing is refused


@dataclass(frozen=True, slots=True)
class Takes:
    """The dtypes that an operation takes.

    computes: of what it computes in.
    parts: of tensors with a part of their own, by parameter.
    same_dtype: the parameters whose tensors must have one dtype, or who names those of a node.
    mixed_precision: beside an input of 16 bits those may be float32.
    everywhere: the dtypes that all tensors may have at once.
    """

    computes: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    same_dtype: str | Callable[[Node], str] = ""
    mixed_precision: bool = False
    everywhere: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, said: str | Mapping[str, str], same_dtype: str | Callable[[Node], str], mixed: bool
    ) -> Takes | None:
        """As a record says it; None where it says nothing."""
        parts = {"": said} if isinstance(said, str) else dict(said)
        computes = parts.pop("", "")
        if not (computes or parts or same_dtype):
            return None
        named = tuple((name, words) for names, words in parts.items() for name in names.split())
        everywhere = meant(computes).intersection(*map(meant, parts.values()))
        return cls(computes, named, same_dtype, mixed, everywhere)

    def all_of(self, inputs: Iterable[SymbolicTensor]) -> bool:
        """Whether it is plain that it takes them: tensors of one dtype, none with its own part."""
        found = {t.dtype for t in inputs}
        return len(found) < 2 and found <= self.everywhere


def require_dtypes(takes: Takes, node: Node, promotes: Promotes, default: str, cast: str) -> None:
    """Raises ShapeMismatch for a dtype that an operation does not take.

    Args:
        takes: what it takes.
        node: how it is called.
        promotes: what it promotes.
        default: the dtype of a python float.
        cast: the dtype in which it reads floats under autocast; "" without.
    """
    for name, words in takes.parts:
        for t in _named(node, name):
            require_part(f"{node.op} of {t.dtype}, its {name}", t, words)
    computes = _computes(promotes, node, default) if takes.computes else ""
    if cast and computes in CASTABLE:
        computes = cast
    if computes not in meant(takes.computes):
        raise not_taken(f"{node.op} of {computes}", takes.computes, leaf=_leaf(node.inputs))
    same_dtype = takes.same_dtype if isinstance(takes.same_dtype, str) else takes.same_dtype(node)
    found = [cast if cast and t.dtype in CASTABLE else t.dtype for t in _named(node, same_dtype)]
    if takes.mixed_precision and node.inputs[0].dtype in ("float16", "bfloat16"):
        found = [dtype for dtype in found if dtype != "float32"]
    require_same_dtype(node.op, found)


def require_part(given: str, t: SymbolicTensor, words: str) -> None:
    """Raises ShapeMismatch for a tensor of a dtype that its part does not have."""
    if t.dtype not in meant(words) and not _infers_dtype(t, words):
        raise not_taken(given, words, leaf=_leaf([t]))


def require_sizes(given: str, *values: object) -> None:
    """Raises DataDependent for what a tensor holds, where a size is meant."""
    if any(isinstance(value, SymbolicTensor) for value in values):
        raise DataDependent(
            f"{given} that a tensor holds: how long it is depends on the values",
            cure="let it begin and end at sizes, or gather as many places as there are",
        )


def require_same_dtype(op: str, found: Iterable[str]) -> None:
    """Raises ShapeMismatch for operands of several dtypes where nothing is promoted."""
    several = [*dict.fromkeys(filter(None, found))]
    if len(several) > 1:
        raise ShapeMismatch(
            f"{op}: {' and '.join(several)} are not combined with each other",
            cure="cast one of them, as x.to(y.dtype) does, or run under torch.autocast",
        )


def require_number(op: str, number: object, dtype: str) -> None:
    """Raises ShapeMismatch for what fills a tensor of a dtype, and is no number that this holds:
    an attention mask of -1e9 in float16, a pad of infinity in whole numbers. What python computed
    of sizes is not asked: that would be a branch.
    """
    if isinstance(number, SymbolicTensor):
        if number.ndim:
            raise ShapeMismatch(f"{op} takes one value", cure="where(mask, a, b) takes a tensor")
    elif (
        isinstance(number, (int, float, complex))
        and type(number) in (bool, int, float, complex)
        and not dtypes.holds(dtype, number)
    ):
        raise ShapeMismatch(
            f"{op}: {dtype} does not hold {number}",
            cure="take a number of the dtype, as torch.finfo(x.dtype).min is, or cast the tensor",
        )


def _named(node: Node, names: str) -> list[SymbolicTensor]:
    """The tensors of some parameters."""
    given = node.arguments if names else {}
    return tensors_in(*(given.get(name) for name in names.split()))


def _computes(promotes: Promotes, node: Node, default: str) -> str:
    """The dtype in which it computes."""
    call = node.call
    if call is not None and (said := dtypes.said(call.args, call.kwargs)):
        return said
    if promotes == "numbers":
        return dtypes.promotes(node, default)
    if promotes == "tensors":
        return dtypes.of_tensors(node, default)
    return node.inputs[0].dtype if node.inputs else default


def _infers_dtype(index: SymbolicTensor, words: str) -> bool:
    """Inputs of a network from which it comes are of what is read, if nobody gave them a dtype."""
    stack, leaves = [index], []
    while stack:
        t = stack.pop()
        if kind_of(t.dtype) == kind_of("float32"):
            stack += t.node.inputs if t.node is not None else ()
            if t.node is None and type(t) is SymbolicTensor:
                leaves.append(t)
    if any(isinstance(t.dtype, Stated) for t in leaves):
        return False
    for t in leaves:
        t.dtype = "int64" if "int64" in meant(words) else "bool"
    return bool(leaves)


def _leaf(tensors: Iterable[SymbolicTensor]) -> SymbolicTensor | None:
    """The first of them that is an input of a network."""
    return next((t for t in tensors if t.node is None and type(t) is SymbolicTensor), None)


def not_taken(given: str, words: str, *, leaf: SymbolicTensor | None = None) -> ShapeMismatch:
    """The refusal of a dtype, with the cast that is taken; an input may be given its dtype."""
    *others, last = words.split()
    taken = f"{', '.join(others)} or {last}" if others else last
    casts = {"float32": "float()", "int64": "long()", "bool": "bool()", "complex64": "cfloat()"}
    dtype = next((dtype for dtype in casts if dtype in meant(words)), "float32")
    cure = f"cast it first, as x.{casts[dtype]} does"
    if leaf is not None:
        spec = " ".join(map(str, leaf.dims))
        cure += f', or say the dtype of the input: symcnn.tensor("{spec}", dtype="{dtype}")'
    return ShapeMismatch(f"{given}: torch takes {taken}", cure=cure)
