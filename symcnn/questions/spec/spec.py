"""Specifications for other tools: the domain in their words, and what their words cannot say.

A table of formats: each writes one part (a `Box` of sizes) as data and as text, and lists what it
loses. See `symcnn.questions.spec.parts` for the law behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symcnn.algebra.size import Int, Size, Symbol, symbols_of, with_values
from symcnn.errors import BadSpec, SymcnnError, suggested
from symcnn.lazy import cached_property
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.spec.parts import Box, Wish, boxes, compares, wishes
from symcnn.sets.runs import Run
from symcnn.shown import Shown
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Part(Shown):
    """One part of a specification: sizes that form a product of arithmetic progressions.

    Attributes:
        where: the sizes, in plain words.
        sizes: first, last (None: without end) and step by name.
        value: what the format says of them, as data.
        text: the same as the format writes it.
    """

    where: str
    sizes: Mapping[str, tuple[int, int | None, int]] = field(hash=False)
    value: Any = field(hash=False)
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Spec(Shown):
    """What a tool is to be told of the sizes that a network takes.

    Attributes:
        target: the tool.
        parts: one for each residue class and branch; a network that takes every size above a
            bound has one.
        loses: what the format cannot say, in words; empty if it says all.
        text: all parts, as the format writes them.
    """

    target: str
    parts: tuple[Part, ...]
    loses: tuple[str, ...]
    text: str = field(repr=False)

    def __str__(self) -> str:
        lost = [f"# loses: {line}" for line in self.loses]
        return "\n".join([self.text, *lost])


def spec(net: Trace, target: str, sizes: Mapping[str, int | range]) -> Spec:
    """See `Network.spec`."""
    if target not in _FORMATS:
        raise BadSpec(f"no format is called {target!r}", cure=suggested(target, _FORMATS))
    told = wishes(net, sizes)
    own = _FORMATS[target]
    found = boxes(net, told, as_program=target == "torch.export")
    job = _Job(net, told)
    if not net.complete:
        job.lose(net.scope)
    if target == "spandrel":  # which has words for one of them
        found = sorted(found, key=lambda box: any(r.first % r.step for r in box.runs.values()))
        if others := "; ".join(map(str, found[1:])):
            job.lose(f"all parts but one: {others}")
    parts = []
    for box in found[:1] if target == "spandrel" else found:
        job.loses += [line for line in box.loses if line not in job.loses]
        value, text = own(job, box)
        named = {n: (run.first, run.last, run.step) for n, run in box.runs.items()}
        parts.append(Part(str(box), named, value, text))
    text = parts[0].text
    if len(parts) > 1:
        text = "\n\n".join(
            f"# part {i} of {len(parts)}: {part.where}\n{part.text}"
            for i, part in enumerate(parts, 1)
        )
    return Spec(target, tuple(parts), tuple(job.loses), text)


class _Job:
    """What all parts of one specification share."""

    def __init__(self, net: Trace, told: Mapping[str, Wish]) -> None:
        self.net, self.told = net, told
        self.loses: list[str] = []

    @cached_property
    def compares(self) -> bool:
        """See `symcnn.questions.spec.parts.compares`."""
        return any(compares(branch.network) for branch in self.net.branches)

    def lose(self, line: str) -> None:
        """Something that the format cannot say."""
        if line not in self.loses:
            self.loses.append(line)

    @property
    def inputs(self) -> list[tuple[str, tuple[Int, ...]]]:
        """Names and sizes of the inputs; those without a name are x, or x0, x1, ..."""
        tensors = self.net.input_tensors
        alone = len(tensors) == 1
        return [(t.name or ("x" if alone else f"x{i}"), t.dims) for i, t in enumerate(tensors)]

    @property
    def outputs(self) -> list[tuple[str, tuple[Int, ...]]]:
        """The same of the outputs: y, or y0, y1, ..."""
        tensors = self.net.output_tensors
        alone = len(tensors) == 1
        return [("y" if alone else f"y{i}", t.dims) for i, t in enumerate(tensors)]


# Sizes as a multiple and a rest ---------------------------------------------------------------


@dataclass(frozen=True)
class _Root:
    """A size as ``step*root + rest``, the root from `first` to `last`."""

    name: str
    step: int
    rest: int
    first: int
    last: int | None

    @property
    def size(self) -> Int:
        return Size.symbol(self.name) * self.step + self.rest


def _roots(box: Box, shift: int = 0) -> dict[str, _Root]:
    """The sizes that vary. ``H % 4 == 0`` is ``4*_h``; where the step is 1, H is itself.

    shift: in its place, ``H = _h + shift``, but for the batch.
    """
    found: dict[str, _Root] = {}
    lowered = {f"_{name.lower()}" for name in box.runs}
    plain = len(lowered) == len(box.runs)
    for name, run in box.runs.items():
        if run.first == run.last:
            continue
        source = box.ties.get(name, name)
        rest = run.first % run.step
        if run.step == 1 and shift and run.first > shift:
            rest = shift
        itself = run.step == 1 and not rest
        root = source if itself else f"_{source.lower() if plain else source}"
        last = None if run.last is None else (run.last - rest) // run.step
        found[name] = _Root(root, run.step, rest, (run.first - rest) // run.step, last)
    return found


def _in_roots(dims: Sequence[Int], box: Box, roots: Mapping[str, _Root]) -> list[Int]:
    """Sizes in the roots, and in numbers where a size is fixed."""
    values: dict[str, Int] = {
        name: roots[name].size if name in roots else run.first for name, run in box.runs.items()
    }
    return [with_values(d, values) for d in dims]


def _is_affine(size: Int) -> bool:
    """Whether it is a number times a symbol, plus a number."""
    if isinstance(size, int):
        return True
    terms = [mono for mono in size.terms if mono]
    return len(terms) == 1 and len(terms[0]) == 1 and (
        isinstance(terms[0][0][0], Symbol) and terms[0][0][1] == 1
    )  # fmt: skip


# Formats --------------------------------------------------------------------------------------


def _torch_export(job: _Job, box: Box) -> tuple[Any, str]:
    """``dynamic_shapes`` of torch.export, with a Dim per size.

    Where the forward compares floors of sizes, torch proves nothing for a plain Dim and refuses the
    program; a size derived from one, ``_h + 1``, it takes as it is.
    """
    roots = _roots(box, shift=1 if job.compares else 0)
    lines = ["from torch.export import Dim", ""]
    dims: dict[str, dict[str, int | None]] = {}
    for root in roots.values():
        if root.name in dims:
            continue
        first = root.first if root.first > 1 else None
        dims[root.name] = {"min": first, "max": root.last}
        ends = [f", {end}={n}" for end, n in dims[root.name].items() if n is not None]
        lines.append(f'{root.name} = Dim("{root.name}"{"".join(ends)})')
    shapes = []
    for name, sizes in job.inputs:
        own: dict[int, str] = {}
        for axis, size in enumerate(_in_roots(sizes, box, roots)):
            if isinstance(size, int):
                continue
            if not _is_affine(size):
                job.lose(f"axis {axis} of {name} is {size}, no multiple of one Dim: it is fixed")
                continue
            own[axis] = str(size)
        shapes.append(own)
    written = ", ".join(
        "{" + ", ".join(f"{axis}: {text}" for axis, text in own.items()) + "}" for own in shapes
    )
    lines.append(f"dynamic_shapes = ({written},)")
    return {"dims": dims, "dynamic_shapes": shapes}, "\n".join(lines)


def _jax(job: _Job, box: Box) -> tuple[Any, str]:
    """Symbolic shapes of jax.export, with constraints."""
    roots = _roots(box)
    constraints: dict[str, None] = {}
    for root in roots.values():
        if root.first > 1:
            constraints[f"{root.name} >= {root.first}"] = None
        if root.last is not None:
            constraints[f"{root.name} <= {root.last}"] = None
    shapes = {name: ", ".join(map(str, _in_roots(sizes, box, roots))) for name, sizes in job.inputs}
    listed = "".join(f'"{c}", ' for c in constraints)
    lines = ["from jax import export", "", f"scope = export.SymbolicScope(({listed.rstrip()}))"]
    lines += [f'{n} = export.symbolic_shape("{s}", scope=scope)' for n, s in shapes.items()]
    return {"shapes": shapes, "constraints": [*constraints]}, "\n".join(lines)


def _ends(job: _Job, box: Box, name: str, *, bounded: bool) -> tuple[int, int, int | None]:
    """Least, best and greatest size; with a greatest one made up, and told, where there is none."""
    run = box.runs[name]
    wish = job.told.get(name)
    last = run.last
    if last is None and bounded:
        batch = name in job.net.batch
        at_least = run.first if batch else max(1024, 2 * run.first)
        last = run.first + -(-(at_least - run.first) // run.step) * run.step
        job.lose(f"{name} has no end; the profile ends at {last}: give {name}=(min, opt, max)")
    best = wish.best if wish is not None and wish.best is not None else None
    if best is None:
        best = run.first if name in job.net.batch else 224
    best = min(max(best, run.first), last if last is not None else max(best, run.first))
    return run.first, best - (best - run.first) % run.step, last


def _lose_steps(job: _Job, box: Box, what: str) -> None:
    for name, run in box.runs.items():
        if run.step > 1 and run.first != run.last:
            job.lose(
                f"{name} % {run.step} == {run.first % run.step}: {what} holds every size between"
            )
    for name, other in box.ties.items():
        job.lose(f"{name} == {other}: {what} holds them apart")


def _tensorrt(job: _Job, box: Box) -> tuple[Any, str]:
    """An optimization profile: the least, the best and the greatest shape of every input."""
    _lose_steps(job, box, "a profile")
    ends = {name: _ends(job, box, name, bounded=True) for name in box.runs}
    profile: dict[str, dict[str, list[int]]] = {}
    for name, sizes in job.inputs:
        profile[name] = {
            kind: [_at(size, {n: e[i] for n, e in ends.items()}) for size in sizes]
            for i, kind in enumerate(("min", "opt", "max"))
        }
    flags = [
        f"--{kind}Shapes="
        + ",".join(f"{name}:{'x'.join(map(str, own[kind]))}" for name, own in profile.items())
        for kind in ("min", "opt", "max")
    ]
    return profile, " ".join(["trtexec --onnx=model.onnx", *flags])


def _at(size: Int, values: Mapping[str, Any]) -> int:
    if isinstance(size, int):
        return size
    found = size.subs({n: v for n, v in values.items() if v is not None})
    assert isinstance(found, int)
    return found


def _openvino(job: _Job, box: Box) -> tuple[Any, str]:
    """A partial shape per input: every axis a number, or from least to greatest."""
    _lose_steps(job, box, "a partial shape")
    shapes: dict[str, str] = {}
    for name, sizes in job.inputs:
        axes = []
        for size in sizes:
            names = symbols_of(size)
            first = _at(size, {n: box.runs[n].first for n in names})
            ends = {n: box.runs[n].last for n in names}
            last = None if None in ends.values() else _at(size, ends)
            axes.append(str(first) if first == last else f"{first}..{'' if last is None else last}")
        shapes[name] = f"[{','.join(axes)}]"
    listed = ", ".join(f'"{name}": "{shape}"' for name, shape in shapes.items())
    return shapes, f"model.reshape({{{listed}}})"


def _onnx(job: _Job, box: Box) -> tuple[Any, str]:
    """Names of dimensions, for the exporter; of the outputs as formulas."""
    for name, run in box.runs.items():
        if run.first == run.last:
            continue
        free = run.first <= 1 and run.last is None and run.step == 1
        if not free:
            job.lose(f"{run.text(name)}: a dim_param is a name, without a range")
    for name, other in box.ties.items():
        job.lose(f"{name} == {other}: two names are two sizes")
    fixed = {n: run.first for n, run in box.runs.items() if run.first == run.last}
    told = {
        name: [with_values(d, fixed) for d in sizes] for name, sizes in (*job.inputs, *job.outputs)
    }
    named = {
        name: {i: str(d) for i, d in enumerate(sizes) if isinstance(d, Size)}
        for name, sizes in told.items()
    }
    value = {name: [d if isinstance(d, int) else str(d) for d in s] for name, s in told.items()}
    lines = [f"    {name!r}: {axes!r}," for name, axes in named.items()]
    return value, "\n".join(["dynamic_axes = {", *lines, "}"])


def _spandrel(job: _Job, box: Box) -> tuple[Any, str]:
    """Spandrel's SizeRequirements: one minimum and one multiple for both axes."""
    from math import lcm

    shown = [n for n in box.runs if n not in job.net.batch]
    runs = [box.runs[n] for n in shown]
    if not runs:
        raise BadSpec("no size of an image may vary")
    multiple = lcm(*(run.step for run in runs))
    for name, run in zip(shown, runs, strict=True):
        if run.first % run.step:
            job.lose(f"{run.text(name)}: a rest has no word, and no multiple is valid")
        if run.last is not None:
            job.lose(f"{name} <= {run.last}: there is no greatest size")
    least = max(run.first for run in runs)
    if len({(run.first, run.step) for run in runs}) > 1:
        job.lose(f"that the axes differ: {box}")
    least = -(-least // multiple) * multiple
    if least <= multiple:
        least = 0 if multiple > 1 or least <= 1 else least
    value = {"minimum": least, "multiple_of": multiple, "square": bool(box.ties)}
    words = ", ".join(f"{k}={v}" for k, v in value.items())
    return value, f"SizeRequirements({words})"


def _jaxtyping(job: _Job, box: Box) -> tuple[Any, str]:
    """Annotations of a forward: symbols where a size stands for the first time, then formulas."""
    for name, run in box.runs.items():
        if not (run.first <= 1 and run.last is None and run.step == 1):
            job.lose(f"{run.text(name)}: an annotation names sizes and bounds none")
    value = {
        name: f'Float[Tensor, "{" ".join(str(d).replace(" ", "") for d in sizes)}"]'
        for name, sizes in (*job.inputs, *job.outputs)
    }
    takes = ", ".join(f"{name}: {value[name]}" for name, _ in job.inputs)
    gives = [value[name] for name, _ in job.outputs]
    given = gives[0] if len(gives) == 1 else f"tuple[{', '.join(gives)}]"
    return value, f"def forward(self, {takes}) -> {given}: ..."


# bioimage.io ----------------------------------------------------------------------------------

_SPACE = {1: ["x"], 2: ["y", "x"], 3: ["z", "y", "x"]}


def _bioimageio(job: _Job, box: Box) -> tuple[Any, str]:
    """Inputs and outputs of a model description (format 0.5): min and step, scale, offset, halo."""
    roots = _roots(box)
    inputs = []
    places: dict[str, tuple[str, str]] = {}  # a size -> the axis that has it
    for name, sizes in job.inputs:
        axes: list[dict[str, Any]] = []
        space = iter(_SPACE.get(len(sizes) - 2, [f"a{i}" for i in range(len(sizes))]))
        for i, size in enumerate(sizes):
            if i == 0 and len(sizes) > 2:
                axes.append({"type": "batch"})
                continue
            if i == 1 and len(sizes) > 2:
                axes.append(_channels(size, box))
                continue
            axis: dict[str, Any] = {"type": "space", "id": next(space)}
            run = _run_of(size, box)
            if run is None:
                job.lose(f"axis {axis['id']} of {name} is {size}, no size of its own")
                axis["size"] = _at(size, {n: r.first for n, r in box.runs.items()})
            elif run.first == run.last:
                axis["size"] = run.first
            else:
                axis["size"] = {"min": run.first, "step": run.step}
                places.setdefault(str(size), (name, axis["id"]))
                if run.last is not None:
                    job.lose(f"{size} <= {run.last}: a parameterized size has no end")
            axes.append(axis)
        inputs.append({"id": name, "axes": axes})
    for name, other in box.ties.items():
        job.lose(f"{name} == {other}: sizes of axes are free of each other")
    outputs = [_output(job, name, sizes, box, roots, places) for name, sizes in job.outputs]
    value = {"inputs": inputs, "outputs": outputs}
    return value, _yaml(value)


def _channels(size: Int, box: Box) -> dict[str, Any]:
    count = _at(size, {n: run.first for n, run in box.runs.items()})
    return {"type": "channel", "channel_names": [f"channel{i}" for i in range(count)]}


def _run_of(size: Int, box: Box) -> Run | None:
    """The run of an axis: a number's, or that of the size that it is."""
    if isinstance(size, int):
        return Run(size, size)
    return box.runs.get(str(size))


def _output(
    job: _Job,
    name: str,
    sizes: Sequence[Int],
    box: Box,
    roots: Mapping[str, _Root],
    places: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    axes: list[dict[str, Any]] = []
    rank = len(sizes) - 2
    space = iter(_SPACE.get(rank, [f"a{i}" for i in range(len(sizes))]))
    halo = _halo(job, rank) if rank > 0 else {}
    for i, size in enumerate(sizes):
        if i == 0:
            axes.append({"type": "batch"})
            continue
        if i == 1 or rank not in _SPACE:
            axes.append(_channels(size, box))
            continue
        axis: dict[str, Any] = {"type": "space", "id": next(space)}
        (told,) = _in_roots([size], box, roots)
        if isinstance(told, int):
            axis["size"] = told
        elif not _is_affine(told):
            job.lose(f"axis {axis['id']} of {name} is {size}: no scale and offset give it")
            axis["size"] = {"min": 1}  # of an output whose size the data decides
        else:
            ((mono, slope),) = [(m, c) for m, c in told.terms.items() if m]
            root = next(r for r in roots.values() if r.name == str(mono[0][0].size()))
            source = next(n for n, r in roots.items() if r.name == root.name)
            offset = told.const - slope * root.rest // root.step
            exact = slope * root.rest % root.step == 0
            if source in places and exact:
                tensor, axis_id = places[source]
                axis["scale"] = _ratio(root.step, int(slope))
                axis["size"] = {"tensor_id": tensor, "axis_id": axis_id, "offset": int(offset)}
                if halo.get(i - 2):
                    axis["halo"] = halo[i - 2]
            else:
                job.lose(f"axis {axis['id']} of {name} is {size}: no scale and offset give it")
                axis["size"] = {"min": 1}
        axes.append(axis)
    return {"id": name, "axes": axes}


def _ratio(step: int, slope: int) -> float | int:
    """How much larger a pixel of the output is: ``step/slope``, as the format wants scales."""
    return step // slope if step % slope == 0 else step / slope


def _halo(job: _Job, rank: int) -> dict[int, int]:
    """Rows of the output, per axis and side, that see beyond the border of the input."""
    try:
        seen = receptive_field(job.net)
        found = {}
        for axis in range(rank):
            stride, pads = seen.stride[axis], seen.padding[axis]
            if stride == 0 or not all(str(v).lstrip("-").isdigit() for v in (stride, *pads)):
                raise BadSpec("the field is no number")
            found[axis] = max(0, -(-max(int(p) for p in pads) // int(stride)))
        return found
    except (SymcnnError, IndexError, TypeError, ValueError) as error:
        cause = error.cause if isinstance(error, SymcnnError) else str(error)
        job.lose(f"the halo: what an output sees is no number of pixels ({cause})")
        return {}


def _yaml(value: Any, indent: str = "") -> str:
    """Dicts, lists, numbers and words as YAML."""
    if isinstance(value, dict):
        lines = []
        for key, one in value.items():
            nested = isinstance(one, list) and one and isinstance(one[0], dict)
            flow = _flow(one)
            lines.append(
                f"{indent}{key}:\n{_yaml(one, indent)}" if nested else f"{indent}{key}: {flow}"
            )
        return "\n".join(lines)
    if isinstance(value, list):
        rows = [_yaml(one, f"{indent}  ") for one in value]
        return "\n".join(f"{indent}- {row[len(indent) + 2 :]}" for row in rows)
    return f"{indent}{_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    # y is a word of YAML 1.1, where it means true
    return f'"{value}"' if value in ("y", "n") else str(value)


Format = Callable[[_Job, Box], "tuple[Any, str]"]

#: The formats, by the name of the tool.
_FORMATS: dict[str, Format] = {
    "torch.export": _torch_export,
    "jax": _jax,
    "tensorrt": _tensorrt,
    "openvino": _openvino,
    "onnx": _onnx,
    "bioimageio": _bioimageio,
    "spandrel": _spandrel,
    "jaxtyping": _jaxtyping,
}
