"""Exported programs: a graph of ATen operators, run on shapes, node after node.

The law: *an operator of ATen is torch's function of that name.* Its rule takes its arguments by
the names that its schema gives them; the table below lists the operators whose name or arguments
are others. Sizes are values of the graph, so they are computed with, as formulas.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter as Argument
from inspect import signature
from itertools import takewhile
from math import prod
from typing import TYPE_CHECKING, Any, TypeGuard

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, Size
from symcnn.errors import (
    BadSpec,
    DataDependent,
    SymcnnError,
    UnsupportedOperation,
    needs,
)
from symcnn.frontends.program_sizes import UNREAD, Proportion, calculated, guard
from symcnn.lazy import uncollected
from symcnn.network import Network
from symcnn.ops.norm import KERNELS
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.dtype import named
from symcnn.trace.graph import OPS, Constant, Parameter, SymbolicTensor, tensor
from symcnn.trace.tape import Guard, Tape, entails

if TYPE_CHECKING:
    import sympy
    import torch
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node
    from torch.utils._sympy.value_ranges import ValueRanges


def from_exported(program: ExportedProgram) -> Network:
    """The network of a ``torch.export.ExportedProgram``, or of what ``torch.compile`` captured.

    Args:
        program: what ``torch.export.export`` returns. Its dynamic dimensions are the sizes, under
            the names of their ``Dim``; those that it was not given stay numbers.

    Returns:
        The network. The ranges of the dimensions belong to its domain.

    Raises:
        UnsupportedOperation: for ATen operators without a rule.
        BadSpec: for something that is no exported program.

    >>> import torch
    >>> H, W = torch.export.Dim("H", min=4), torch.export.Dim("W", min=4)
    >>> program = torch.export.export(
    ...     torch.nn.Conv2d(3, 8, 3).eval(),
    ...     (torch.zeros(1, 3, 32, 32),),
    ...     dynamic_shapes=({2: H, 3: W},),
    ... )
    >>> from_exported(program).output_shape
    (1, 8, H - 2, W - 2)
    """
    with needs("torch", "exported programs"):
        import torch

    if not isinstance(program, torch.export.ExportedProgram):
        raise BadSpec(
            f"{type(program).__name__} is no ExportedProgram",
            cure="symcnn.from_torch takes modules, symcnn.from_onnx files of ONNX",
        )
    held = program.graph_signature
    names = _dim_names(program.graph)
    users, numbers = set(held.user_inputs), {**program.constants, **program.state_dict}
    with uncollected():
        run = _Run(Tape())
        inputs: list[SymbolicTensor] = []
        with run.tape.running():
            for node in program.graph.find_nodes(op="placeholder"):
                if node.name in users:
                    value = _symbolic(node.meta["val"], names, node.name)
                    if isinstance(value, SymbolicTensor):
                        inputs.append(value)
                    run.values[node] = value
                else:
                    name, learned = _held(held, node.name)
                    run.values[node] = run.held(node.meta["val"], name, learned=learned)
                    if name in numbers:
                        run.real[node] = numbers[name]
            for symbol, span in program.range_constraints.items():
                run.require_range(_size(symbol, names), span)
            sizes = {x.name: x.dims for x in inputs}
            for text in getattr(program, "_guards_code", ()):  # torch 2.7 has none
                for requirement in guard(text, sizes):
                    run.require(requirement)
            outputs = run.whole(program.graph_module)
            count = len(outputs) - len(held.user_outputs)
            outputs = outputs[count:]  # what stands before is written to buffers
        return run.network(inputs, outputs[0] if len(outputs) == 1 else tuple(outputs))


def plain(module: object) -> object:
    """The module itself, where ``torch.compile`` wraps it.

    Raises BadSpec for what has no python forward, saying what to give instead.
    """
    import torch

    while isinstance(inner := getattr(module, "_orig_mod", None), torch.nn.Module):
        module = inner
    if isinstance(module, torch.export.ExportedProgram):
        raise BadSpec("this is an ExportedProgram", cure="give it to symcnn.from_exported")
    if isinstance(module, torch.jit.ScriptModule):
        raise BadSpec(
            f"{module.original_name} is scripted or traced: it has no python forward to run",
            cure="give the module that it was made from, or export it: symcnn.from_onnx",
        )
    return module


def is_exported(module: object) -> TypeGuard[torch.fx.GraphModule]:
    """Whether a module is the graph of an exported program: ``program.module()``."""
    import torch

    return isinstance(module, torch.fx.GraphModule) and any(
        hasattr(node.target, "overloadpacket") for node in module.graph.nodes
    )


def of_graph(
    module: GraphModule,
    specs: Sequence[str | SymbolicTensor],
    named: Mapping[str, str | SymbolicTensor],
) -> Network:
    """The network of ``program.module()``, for inputs of these shapes."""
    with uncollected():
        run = _Run(Tape())
        given = iter(specs)
        inputs = []
        with run.tape.running():
            places = [node for node in module.graph.nodes if node.op == "placeholder"]
            for node in places:
                spec = named.get(node.name) or next(given, None)
                if spec is None:
                    raise BadSpec(f"no shape for the input {node.name!r}", cure="one spec each")
                inputs.append(tensor(spec, node.name))
                run.values[node] = inputs[-1]
            outputs = run.whole(module)
        return run.network(inputs, outputs[0] if len(outputs) == 1 else tuple(outputs))


#: No program checks that a dimension is at least that: torch says so of all that are dynamic.
_LEAST = 2


class _Run:
    """One pass over a graph."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.values: dict[Node, Any] = {}
        self.real: dict[Node, object] = {}  # what the module holds
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, Constant] = {}

    def network(self, inputs: Sequence[SymbolicTensor], outputs: object) -> Network:
        """What has been run."""
        return Network(
            inputs,
            outputs,
            tape=self.tape,
            parameters=tuple(self.parameters.values()),
            buffers=tuple(self.buffers.values()),
        )

    def held(self, value: object, name: str, *, learned: bool = False) -> object:
        """A parameter or a buffer, once per name."""
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        dims, dtype = tuple(value.shape), named(value.dtype)
        if learned or isinstance(value, torch.nn.Parameter):
            leaf = Parameter(dims, name, trainable=value.requires_grad, dtype=dtype)
            return self.parameters.setdefault(name, leaf)
        return self.buffers.setdefault(name, Constant(dims, name, dtype=dtype, owned=True))

    def require_range(self, size: Int, span: ValueRanges[sympy.Expr]) -> None:
        """The range of a dimension belongs to the domain."""
        low, high = span.lower, span.upper
        why = "the range of the dimension in the exported program"
        if isinstance(size, Size) and low.is_Integer and int(low) > _LEAST:
            self.require(Condition(size, ">=", int(low), why))
        if isinstance(size, Size) and high.is_Integer:
            self.require(Condition(int(high), ">=", size, why))

    def require(self, requirement: Requirement) -> None:
        """A condition that the program checks."""
        if entails(requirement) is not True:
            place = "the exported program"
            self.tape.guards.append(Guard(requirement, place, len(self.tape.nodes) - 1))

    def whole(self, module: GraphModule) -> Sequence[object]:
        """Run it: the outputs."""
        found = self._graph(module)
        for _ in self.tape.scopes[1:]:
            self.tape.leave(self.tape.scopes[-1].output)
        return found

    def _graph(self, module: GraphModule) -> list[object]:
        for node in module.graph.nodes:
            if node.op == "output":
                (found,) = node.args
                flat = found if isinstance(found, (tuple, list)) else (found,)
                return [self._value(v) for v in flat]
            if node.op == "get_attr":
                held: Any = module
                for part in str(node.target).split("."):
                    held = getattr(held, part)
                self.real[node], self.values[node] = held, self.held(held, str(node.target))
            if node.op == "call_function":
                self._enter(node)
                try:
                    self.values[node] = self._call(node)
                except SymcnnError as error:
                    place = getattr(node, "stack_trace", None) or ""
                    line = place.strip().splitlines()[-1].strip() if place else ""
                    told = f"at {node.name}{f' ({line})' if line else ''}: {error.cause}"
                    raise type(error)(told, cure=error.cure) from error
                for scope in self.tape.scopes[1:]:
                    if isinstance(self.values[node], SymbolicTensor):
                        scope.output = self.values[node]
            elif node.op == "call_module" and "guard" not in str(node.target):
                raise UnsupportedOperation(f"the submodule {node.target} of a graph has no rule")
        raise BadSpec("the graph returns nothing")

    def _enter(self, node: Any) -> None:
        stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
        self.tape.go_to(stack)

    def _value(self, argument: Any) -> Any:
        import torch

        if isinstance(argument, torch.fx.Node):
            return self.values[argument]
        if isinstance(argument, (tuple, list)):
            return type(argument)(self._value(v) for v in argument)
        return argument

    def _call(self, node: Any) -> Any:
        import torch

        target = node.target
        args = tuple(self._value(a) for a in node.args)
        kwargs = {name: self._value(a) for name, a in node.kwargs.items()}
        packet = getattr(target, "overloadpacket", None)
        if isinstance(target, torch._ops.HigherOrderOperator):
            return self._wrapped(target.__name__, args)
        if packet is None:
            return self._python(target, args)
        name = packet.__name__
        if name.startswith(("_assert", "sym_constrain", "_guards")):
            if name == "_assert_scalar" and isinstance(args[0], Condition):
                self.require(args[0])
            return None
        if name == "sym_size":
            return args[0].dims[args[1]]
        if name == "sym_numel":
            return prod(args[0].dims)
        if name in ("item", "_local_scalar_dense"):
            return target(self._real(node.args[0]))
        schema = target._schema
        given = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
        given = {n: UNREAD if isinstance(v, Proportion) else v for n, v in given.items()}
        made_here = any(a.name == "device" for a in schema.arguments) and name not in OPS
        if made_here and not any(map(_is_open, given.values())):
            made = target(**given | {"device": "meta"})  # a window, say: numbers alone
            return self.held(made, node.name)
        return _aten(name, given, schema)

    def _real(self, node: Node) -> Any:
        """What a node makes of numbers that the module holds.

        Raises DataDependent for what is made of the input.
        """
        import torch

        if node not in self.real:
            if node.op != "call_function":
                raise DataDependent("the number that a tensor of the input holds is not known")
            args = torch.fx.map_arg(node.args, self._real)
            found: Any = node.target
            self.real[node] = found(*args, **torch.fx.map_arg(node.kwargs, self._real))
        return self.real[node]

    def _wrapped(self, name: str, args: tuple[Any, ...]) -> Any:
        """A graph within the graph, as ``with torch.no_grad():`` makes one: run in its place."""
        import torch

        places = [i for i, a in enumerate(args) if isinstance(a, torch.fx.GraphModule)]
        if len(places) != 1 or not name.startswith("wrap"):
            raise UnsupportedOperation(f"{name} has no rule")
        (place,) = places
        inner, given = args[place], args[place + 1 :]
        for node, value in zip(inner.graph.find_nodes(op="placeholder"), given, strict=False):
            self.values[node] = value
        before = len(self.tape.nodes)
        found = self._graph(inner)
        if name == "wrap_with_set_grad_enabled" and not args[0]:
            for made in self.tape.nodes[before:]:
                made.mode = made.mode._replace(grad=False)
        return found

    def _python(self, target: Any, args: tuple[Any, ...]) -> Any:
        """Sizes that are calculated with, and outputs that are taken from a tuple."""
        if target is operator.getitem:
            return target(*args)
        return calculated(target, *args)


# Operators ------------------------------------------------------------------------------------


def _resize(mode: str, **more: Any) -> Callable[[dict[str, Any]], Any]:
    def run(arguments: Mapping[str, object]) -> object:
        given: dict[str, Any] = dict(arguments)
        size = given.get("output_size")
        scale: Any = given.get("scale_factors") or [
            given[key] for key in ("scales", "scales_d", "scales_h", "scales_w") if key in given
        ]
        align = given.get("align_corners")
        chosen = {"size": tuple(size)} if size else {"scale_factor": tuple(scale or ())}
        return OPS["interpolate"](
            given.get("input", given.get("self")), **chosen, mode=mode, align_corners=align, **more
        )

    return run


def _padded(mode: str) -> Callable[[dict[str, Any]], Any]:
    return lambda given: OPS["pad"](
        given["self"], tuple(given["pad" if "pad" in given else "padding"]), mode
    )


def _first_of(name: str, **renamed: str) -> Callable[[dict[str, Any]], Any]:
    """A normalisation that also returns its statistics, of which nothing is asked."""

    def run(given: Mapping[str, object]) -> object:
        told = {renamed.get(key, key): value for key, value in given.items()}
        return (_rule(name, told), None, None)

    return run


def _is_open(value: object) -> bool:
    """Whether a tensor or a size is in an argument."""
    if isinstance(value, (list, tuple)):
        return any(map(_is_open, value))
    return isinstance(value, (SymbolicTensor, Size))


def _slice(given: dict[str, Any]) -> Any:
    x, end = given["self"], given.get("end")
    axis = given.get("dim", 0) % x.ndim
    far = isinstance(end, int) and end >= 1 << 31
    part = slice(given.get("start"), None if far else end, given.get("step", 1))
    return OPS["getitem"](x, (*[slice(None)] * axis, part))


def _convolution(given: dict[str, Any]) -> Any:
    n = given["input"].ndim - 2
    names = ("input", "weight", "bias", "stride", "padding")
    told = {name: given[name] for name in names if name in given}
    told |= {"groups": given.get("groups", 1), "dilation": given.get("dilation", 1)}
    if given.get("transposed"):
        told["output_padding"] = given.get("output_padding", 0)
        return OPS[f"conv_transpose{n}d"](**told)
    return OPS[f"conv{n}d"](**told)


def _places(given: dict[str, Any]) -> tuple[Any, ...]:
    """The indices as python writes them: an axis without one is taken whole."""
    return tuple(slice(None) if i is None else i for i in given["indices"])


def _unpooled(given: dict[str, Any]) -> Any:
    """Each value at the place that its index names, in an image of zeros."""
    x, indices, size = given["self"], given["indices"], given["output_size"]
    lead = x.dims[: x.ndim - len(size)]
    zeros = OPS["new_zeros"](x, *lead, prod(size))
    flat = (OPS["flatten"](t, len(lead)) for t in (indices, x))
    return OPS["view"](OPS["scatter"](zeros, len(lead), *flat), *lead, *size)


def _bag(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `embedding_bag` as torch.nn.functional names them."""
    return {"input" if k == "indices" else k: v for k, v in ({"mode": 0} | given).items()}


def _attention(given: dict[str, Any]) -> Any:
    out = OPS["scaled_dot_product_attention"](given["query"], given["key"], given["value"])
    return (out, *[None] * 8)


_ATEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "slice": _slice,
    **dict.fromkeys(
        ("index", "_unsafe_index"), lambda g: OPS["getitem"](g["self"], _places(g))
    ),
    **dict.fromkeys(
        ("index_put", "_unsafe_index_put"),
        lambda g: OPS["setitem"](g["self"], _places(g), g["values"]),
    ),
    "embedding": lambda g: OPS["embedding"](g["indices"], g["weight"]),
    "constant_pad_nd": _padded("constant"),
    "_softmax": lambda g: OPS["softmax"](g["self"], g["dim"]),
    "_log_softmax": lambda g: OPS["log_softmax"](g["self"], g["dim"]),
    "native_layer_norm": _first_of("layer_norm"),
    "native_group_norm": lambda g: (
        KERNELS["group_norm"](g["input"], g["group"], g.get("weight"), g.get("bias")),
        None,
        None,
    ),
    "_native_batch_norm_legit_no_training": _first_of("batch_norm"),
    "native_batch_norm": _first_of("batch_norm"),
    "_native_batch_norm_legit": _first_of("batch_norm"),
    "native_dropout": lambda g: (OPS["dropout"](g["input"]), None),
    "_adaptive_avg_pool2d": lambda g: OPS["adaptive_avg_pool2d"](g["self"], g["output_size"]),
    "_adaptive_avg_pool3d": lambda g: OPS["adaptive_avg_pool3d"](g["self"], g["output_size"]),
    "_to_copy": lambda g: OPS["to"](g["self"]),
    "_unsafe_view": lambda g: OPS["view"](g["self"], *g["size"]),
    "tensordot": lambda g: OPS["tensordot"](
        g["self"], g["other"], (g["dims_self"], g["dims_other"])
    ),
    "stft.default": lambda g: _rule("stft", g | {"center": False}),
    "unfold": lambda g: OPS["Tensor.unfold"](g["self"], g["dimension"], g["size"], g["step"]),
    "cross_entropy_loss": lambda g: _rule("cross_entropy", g),
    "nll_loss_nd": lambda g: _rule("nll_loss", g),
    "normal_": lambda g: OPS["clone"](g["self"]),
    "_unique2": lambda g: OPS["unique"](g["self"]),
    "embedding_bag": lambda g: (_rule("embedding_bag", _bag(g)), None, None, None),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), _unpooled),
    "log_sigmoid": lambda g: OPS["logsigmoid"](g["self"]),
    "lift_fresh_copy": lambda g: OPS["clone"](g["self"]),
    "alias": lambda g: g["self"],
    **{f"upsample_nearest{n}d": _resize("nearest") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _resize("nearest-exact") for n in (1, 2, 3)},
    "upsample_linear1d": _resize("linear"),
    "upsample_bilinear2d": _resize("bilinear"),
    "upsample_trilinear3d": _resize("trilinear"),
    "upsample_bicubic2d": _resize("bicubic"),
    "_upsample_bilinear2d_aa": _resize("bilinear", antialias=True),
    "_upsample_bicubic2d_aa": _resize("bicubic", antialias=True),
    **{f"{kind}_pad{n}d": _padded(mode) for kind, mode in (
        ("reflection", "reflect"), ("replication", "replicate")) for n in (1, 2, 3)},
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
}  # fmt: skip


def _aten(name: str, given: dict[str, Any], schema: Any) -> Any:
    """Run an operator of ATen."""
    for spelled in (f"{name}.{schema.overload_name or 'default'}", name, name.removesuffix("_")):
        if spelled in _ATEN:
            return _ATEN[spelled](given)
        if spelled in OPS:
            return _rule(spelled, given, schema)
    raise UnsupportedOperation(
        f"aten.{name} has no rule", cure=f'write one with @symcnn.rule("{name}"); see CONTRIBUTING'
    )


def _rule(name: str, given: Mapping[str, Any], schema: Any = None) -> Any:
    """Call a rule by the names of the schema.

    What the schema asks for under a name that the rule has not stands at the same place in both:
    ``self`` is the rule's ``input``. What it may leave out, under such a name, is not about shapes.
    """
    takes = signature(OPS[name]).parameters
    places = [p for p in takes.values() if p.kind is not Argument.VAR_KEYWORD]
    named = {p.name for p in places}
    more = len(named) < len(takes)
    asked = {a.name: a for a in schema.arguments} if schema else {}
    by_name = {n for n, a in asked.items() if a.kwarg_only}
    told: dict[str, Any] = {}
    if schema and len(schema.returns) > 1 and "return_indices" in named:
        told["return_indices"] = True
    row: list[Any] = []  # from the parameter on that takes any number
    for i, (n, value) in enumerate(given.items()):
        place = places[i] if i < len(places) else None
        if n in by_name:
            if n in named or more:
                told[n] = value
        elif row or (place is not None and place.kind is Argument.VAR_POSITIONAL):
            row.append(value)
        elif n in named:
            told[n] = value
        elif place is not None and (n not in asked or not asked[n].has_default_value()):
            told[place.name] = value
    before = takewhile(lambda p: row and p.kind is not Argument.VAR_POSITIONAL, places)
    first = [told.pop(p.name) for p in before]
    many = len(row) == 1 and isinstance(row[0], list) and row[0] and row[0][0]
    return KERNELS.get(name, OPS[name])(
        *first, *(row[0] if isinstance(many, SymbolicTensor) else row), **told
    )


# Sizes ----------------------------------------------------------------------------------------


def _held(signature: Any, name: str) -> tuple[str, bool]:
    """What a placeholder holds: its name in the module, and whether it is a parameter."""
    for spec in signature.input_specs:
        if getattr(spec.arg, "name", None) == name:
            return spec.target or name, spec.kind.name == "PARAMETER"
    return name, False


def _dim_names(graph: Any) -> dict[str, str]:
    """The names of the Dims, by the symbols that torch put in their place."""
    import torch

    for node in graph.find_nodes(op="placeholder"):
        value = node.meta.get("val")
        for size in value.shape if isinstance(value, torch.Tensor) else ():
            if isinstance(size, torch.SymInt):
                env = size.node.shape_env
                told = env.source_name_to_debug_name
                names = {str(v): told.get(s, s) for s, v in env.source_to_var.items()}
                return {v: n for v, n in names.items() if n.isidentifier()}
    return {}


def _size(value: Any, names: Mapping[str, str]) -> Int:
    """A dimension: a number, or a formula in the Dims."""
    import sympy

    expr = value.node.expr if hasattr(value, "node") else value
    if isinstance(expr, int) or expr.is_Integer:
        return int(expr)
    swap = {
        s: sympy.Symbol(names.get(s.name, s.name), integer=True, positive=True)
        for s in expr.free_symbols
    }
    found = from_sympy(expr.xreplace(swap))
    assert isinstance(found, (int, Size))
    return found


def _symbolic(value: Any, names: Mapping[str, str], name: str) -> Any:
    """What a placeholder stands for: a tensor with its shape, a size, a number."""
    import torch

    if isinstance(value, torch.Tensor):
        dims, dtype = tuple(_size(d, names) for d in value.shape), named(value.dtype)
        return SymbolicTensor(dims, name=name, dtype=dtype)
    return _size(value, names) if isinstance(value, torch.SymInt) else value
