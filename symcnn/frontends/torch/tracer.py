"""The trace of a torch forward: torch calls become nodes, python's questions about sizes guards.

Python executes the forward; every torch function called on a `TracedTensor` arrives at
`Tracer.dispatch`, which looks up its rule by name in `symcnn.ops`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.overrides import TorchFunctionMode

from symcnn.algebra.size import Atom, Int, Size
from symcnn.errors import (
    DataDependent,
    InvalidInput,
    ShapeMismatch,
    SymcnnError,
    UnsupportedOperation,
    without_frames,
)
from symcnn.frontends.torch.aliases import (
    AliasFound,
    base_of,
    classes_of,
    of_class,
    on_bases,
    own_function,
)
from symcnn.frontends.torch.answers import Answers
from symcnn.frontends.torch.arguments import (
    INDEXED,
    NAMES,
    PLAIN,
    UNSIDED,
    Parts,
    as_taken,
    constant_of,
    flat,
    hold_traced,
    holds_scalar,
    is_tensor,
    with_dtypes,
)
from symcnn.frontends.torch.arrays import Array, tensor_of
from symcnn.frontends.torch.branches import Choice, Comparison, Refused
from symcnn.frontends.torch.complaint import Complaint
from symcnn.frontends.torch.forms import NUMPY, Kind, numbers, placed, require_floats
from symcnn.frontends.torch.layout import Layouts, asks, repeats, require_whole
from symcnn.frontends.torch.lazy import call_lazy, lazy_parameters
from symcnn.frontends.torch.operations import (
    RESIZES,
    Served,
    homonyms,
    operations,
)
from symcnn.frontends.torch.ranges import LATE, counted
from symcnn.frontends.torch.repeated import Repeated, of_repeated
from symcnn.frontends.torch.script import Script
from symcnn.frontends.torch.sizes import SIZES, Dim, formula_of, hold_sizes
from symcnn.frontends.torch.tensors import MADE, State, TracedTensor, as_subclass, assignment
from symcnn.frontends.torch.values import Values
from symcnn.frontends.torch.weights import SET_DATA, Weights
from symcnn.frontends.torch.where import at_place, caller, custom_function, misfit, without_rule
from symcnn.frontends.torch.writes import TENSORS, Writes, saving
from symcnn.lazy import cached_property
from symcnn.ops.dtypes import WHOLES, result_type
from symcnn.ops.index import part_written, setitem
from symcnn.ops.moves import written
from symcnn.ops.operation import TARGETS, Operation, record_of
from symcnn.ops.registry import as_sizes
from symcnn.ops.storage.pointwise import may_share, returns_input
from symcnn.ops.storage.views import shares_memory
from symcnn.sets.inputset import InputSet
from symcnn.trace.graph import (
    OPS,
    Constant,
    Custom,
    Node,
    Parameter,
    SymbolicTensor,
    as_index,
    tensors_in,
    tree_map,
)
from symcnn.trace.objects import opened
from symcnn.trace.tape import Attempt, Tape, current_tape


class Tracer(Script, Answers, Values, Weights, TorchFunctionMode):
    """One trace: turns torch calls into nodes, and python's questions about sizes into guards."""

    def __init__(
        self,
        parts: Parts,
        tape: Tape,
        example: Mapping[str, int],
        region: InputSet | None = None,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.same: Comparison | None = None
        self.writes = Writes(tape, self.reshaped)
        self.complaint = Complaint()
        self.tape = tape
        tape.fix, tape.decide = self.fix, self.decide
        self.example = example
        self.region = region  # the sizes that the run is to describe; None: all
        self.fixed, self.constants, self.askers = fixed or {}, {}, set()
        self.last: Mapping[str, int] = {}  # the point, once it is not the example
        self.left: Exception | None = None  # the first error of ours that the forward met
        self.forced: Sequence[Choice] = ()
        self.choices: list[Choice] = []
        self.numbers: dict[Atom, int] = {}
        self.operations = operations(len(OPS))
        self.leaves: dict[int, SymbolicTensor] = {}
        self.lazy: dict[torch.nn.Module, dict[str, Parameter | None]] = {}
        self.memories: dict[int, object] = {}  # of constants, by their storages
        self.held, self.given = {}, {}
        self.customs = WeakKeyDictionary[Any, Custom]()  # by their contexts, which hold tensors
        self.calls, self.called = 0, None  # functions of torch, and the last of them
        self.device = torch.device("cpu")
        self._layouts: Layouts | None = None
        self.wrote = False  # to a traced tensor
        self.aliased = self.within = False  # whether classes made tensors of traced ones
        self.parameters: list[Parameter] = []
        self.kind = "cpu"  # the device as autocast calls it
        tape.dtype = NAMES[torch.get_default_dtype()]
        self.modules = parts.modules
        for name, p in parts.parameters:
            if not self.parameters or p.is_meta:  # torch computes beside these on meta only
                self.device = p.device
                self.kind = "cuda" if p.is_cuda else "cpu"
            if type(p) not in TENSORS and torch.nn.parameter.is_lazy(p):
                continue  # made when its module is called
            leaf = Parameter((*p.shape,), name, trainable=p.requires_grad, dtype=NAMES[p.dtype])
            if not p.is_contiguous():
                leaf.strides = p.stride()
            self.parameters.append(leaf)
            self.leaves[id(p)] = leaf
        self.buffers = {id(b): b for _, b in parts.buffers}
        for name, b in parts.buffers:
            if type(b) in TENSORS or not torch.nn.parameter.is_lazy(b):
                self.leaves[id(b)] = constant_of(b, name, owned=True)
        self.buffer_leaves = [t for t in self.leaves.values() if type(t) is Constant]
        self.weights = [p for _, p in parts.parameters]
        self.grad = torch.is_grad_enabled()

    @cached_property
    def own(self) -> set[int]:
        """The storages of the module's parameters and buffers."""
        return {
            t.untyped_storage()._cdata
            for t in (*self.weights, *self.buffers.values())
            if not torch.nn.parameter.is_lazy(t)
        }

    # torch calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _LATE.isdisjoint(map(type, (*args, *kwargs.values()))):
            with self:
                named = {k: tensor_of(counted(v)) for k, v in kwargs.items()}
                return of_repeated(func, [tensor_of(counted(v)) for v in args], named)
        self.calls, self.called = self.calls + 1, func
        if self.writes.busy or current_tape() is not self.tape:  # another trace runs in this one
            return func(*args, **kwargs)
        if self.writes.parts:
            args = self.writes.traced(args, self.joined)
            kwargs = self.writes.traced(kwargs, self.joined)
        traced = hold_traced(args) or (kwargs and hold_traced(kwargs.values()))
        if self.aliased or not traced:
            kinds = classes_of([*args, *kwargs.values()])
            if kinds:
                return self._of_classes([*kinds], func, args, kwargs)
        if traced:
            try:
                return self.dispatch(func, args, kwargs)
            except AliasFound:
                return self.__torch_function__(func, types, args, kwargs)
        result = self._of_values(func, args, kwargs)
        self._note_real(func, args, kwargs, result)
        return result

    def _of_classes(self, kinds: Sequence[type], func: Any, args: Any, kwargs: Any) -> Any:
        """A function of tensors that classes made of traced ones."""
        self.aliased = True
        own = next((f for f in map(own_function, kinds) if f is not None), None)
        if own is not None and not self.within:
            self.within = True
            try:
                with self:
                    return own(func, tuple(kinds), args, kwargs)
            finally:
                self.within = False
        result = self.dispatch(func, on_bases(args), {k: on_bases(v) for k, v in kwargs.items()})
        if own is not None:  # converts it itself
            return result
        least = [k for k in kinds if all(issubclass(k, other) for other in kinds)]
        return of_class(result, least[0] if least else torch.Tensor)

    def dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the rule of a torch function."""
        if func in TARGETS:
            return self.apply(TARGETS[func], func.__name__, args, kwargs)
        called: str = getattr(func, "__name__", str(func))
        served = self.operations.get(func)
        if called == "__get__":  # a property: `H`, `real`; or one that is no operation, as `names`
            called = getattr(getattr(func, "__self__", None), "__name__", "")
            if called in vars(TracedTensor):
                return getattr(args[0], called)
            if called not in OPS:
                with torch._C.DisableTorchFunctionSubclass():
                    return func(*args, **kwargs)
        elif called == "__set__" and func == SET_DATA:
            return self.set_data(*args)
        elif served is None:
            packet: Any = getattr(func, "overloadpacket", None)  # of an operation of a library
            if packet in TARGETS:
                return self.apply(TARGETS[packet], packet.__name__, args, kwargs)
            if called.startswith("sym_") or func is torch.ops.aten.alias.default:
                with torch._C.DisableTorchFunction():  # they ask the sizes, and nobody
                    return func(*args, **kwargs)
            if called == "_assert_async":  # of values; shapes do not depend on it
                return None
            if called == "as_subclass":
                return as_subclass(*args, **kwargs)
            if func in MADE:
                return MADE[func](self, *args, **kwargs)
            if called in vars(TracedTensor) and func in homonyms(called):
                return getattr(TracedTensor, called)(*args, **kwargs)
            if called == "_parse_to":  # ``module.to(x)``: to its device, in its dtype
                return args[0].device, args[0].dtype, False, None
            if func is torch.result_type:
                return getattr(torch, result_type(map(self.unwrap, args), self.tape.dtype))
        if served is None and called in OPS:  # with full names of their own: linalg_vector_norm
            served = Served(called)
        if served is None:
            raise self.unsupported(called, func)
        name, reflected, writes = served
        if reflected:
            args = (*args[1::-1], *args[2:])
        else:
            args, kwargs = self._in_place_of_names(func, OPS[name], args, kwargs)
        return self._run(name, args, kwargs, inplace=writes)

    def _in_place_of_names(
        self, func: Any, operation: Any, args: Any, kwargs: Any
    ) -> tuple[Any, Any]:
        """The arguments as the rule takes them: in its names, 0-d tensors as numbers."""
        count, said = len(args), kwargs
        require_floats(func, args, kwargs)
        args, kwargs = with_dtypes(args, kwargs)
        args, kwargs = placed(func, operation, args, kwargs)
        if not any(map(holds_scalar, (*args, *kwargs.values()))):
            return args, kwargs
        form = frozenset(NUMPY.get(k, k) for k in said if k != "out")
        places, names, rest = numbers(func, operation, count, form)
        kinds = [*places[: len(args)], *[rest] * (len(args) - len(places))]
        return tuple(map(self._as_number, args, kinds)), {
            k: self._as_number(v, names.get(k, Kind.ANY)) for k, v in kwargs.items()
        }

    def _as_number(self, value: Any, kind: Kind) -> Any:
        """Tensors of one element, at any depth, as the numbers that they hold, where numbers are
        expected.

        Raises DataDependent for a size that only the tensor's value tells.
        """
        if not kind or not holds_scalar(value):
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(self._as_number(v, kind) for v in value)
        plain: Any = self.sole(value)
        if kind is Kind.SIZE and plain is value:
            return value._values() if isinstance(value, TracedTensor) else value.item()
        return plain

    def written(self, target: Any, result: Any) -> Any:
        """The tensor written to is what was written to it; and so is what it is a view of."""
        if type(result) is not TracedTensor or not is_tensor(target):
            return result
        if type(target) is not TracedTensor:  # one with values, which are none any more
            self.writes.write(target, result)
            return result
        self.wrote = True
        self._part(target)
        number, base = result._number, target._source
        whole = None if base is None or base._source is not None else base._number
        target.count()
        target._value, target._number = result._value, number
        if base is not None and number is not None and target._whole:
            base._number = number
        elif base is not None and not (whole is None or target._at is None or number is None):
            base._number = written(whole, target._at, number)
        view, base = target, target._source
        while base is not None:
            whole = base._value
            if view._whole:
                base._value = view._value
            elif view._at is not None:
                base._value = setitem(whole, self.unwrap(view._at), view._value)
                if base._value.node is not None:
                    self.ran(base._value.node, True)
            else:
                base._value = part_written(whole, view._value)
            view.tear()
            view._since, view, base = target._memory._writes, base, base._source
        return target

    def reread(self, *tensors: torch.Tensor | State) -> None:
        """Views as they are after a write to what they are a view of."""
        for view in tensors:
            if isinstance(view, State) and view._stale:
                self._reread(view)

    def _reread(self, view: State) -> None:
        base, made = view._source, view._made
        assert base is not None
        self.reread(base)
        self._part(view)
        if view._source is None:
            return
        node = made.node
        call = None if node is None else node.call
        if view._whole:
            view._value = base._value
        elif node and call and call.args[:1] == node.inputs[:1]:
            assert isinstance(call.operation, Operation)
            again = call.operation.node((base._value, *call.args[1:]), {**call.kwargs}, (), None)
            self.ran(again, False)
            again.mode = again.mode._replace(grad=again.mode.grad and node.mode.grad)
            view._value = again.outputs[node.outputs.index(made)]
        else:
            view._value = part_written(view._value, base._value)
        view.tear()
        view._since = view._memory._writes

    def _part(self, view: State) -> None:
        """What turns out to be a copy is a view of nothing; all of all of a tensor is all of it."""
        chain = [view]
        while chain[-1]._source is not None and not chain[-1]._sure:
            chain.append(chain[-1]._source)
        for part in reversed(chain):
            base = part._source
            if base is None or part._sure:
                continue
            try:
                own, whole = (self.layouts.of(t._value, self.place(), "") for t in (part, base))
                part._sure = any(whole.storage is storage for storage, _ in own.storage.parts())
            except DataDependent:
                part._sure = not part._whole  # what is taken for one
            if not part._sure:
                part._writes, part._source = part._memory._writes, None
            elif part._whole and base._whole and base._source is not None:
                part._source = base._source

    def joined(self, whole: object, part: TracedTensor) -> TracedTensor:
        """A tensor, traced or real, of which a traced one is part."""
        return TracedTensor.of(part_written(self.unwrap(whole), part._value), self)

    def method(self, name: str, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        """Run the rule of a tensor method."""
        if name not in OPS:
            plain = name.removesuffix("_")
            if plain not in OPS:
                raise self.unsupported(name)
            name, inplace = plain, True
        if self.writes.parts:
            args, kwargs = self.writes.traced((args, kwargs), self.joined)
        try:
            return self._run(name, args, kwargs, inplace=inplace)
        except AliasFound:  # such tensors are looked for from now on
            return self._run(name, args, kwargs, inplace=inplace)

    def _run(self, name: str, args: Any, kwargs: Any, *, inplace: bool = False) -> Any:
        """Run the rule called `name`."""
        operation, left = OPS[name], self.left
        if name in INDEXED:
            args = (*args[:1], *map(as_index, args[1:2]), *args[2:])
        if name in INDEXED and len(args) == 3:  # an assignment
            operation, args = assignment(operation, args)
        try:
            made = self.apply(operation, name, args, kwargs, inplace=inplace)
        except DataDependent as error:
            made = self.picked(operation, name, args, kwargs, error)
            self.left = left  # whoever asks for its size is refused
            return made
        return self.finished(name, args, kwargs, inplace, made)

    def finished(self, name: str, args: Any, kwargs: Any, inplace: bool, result: Any) -> Any:
        """The result of a call, and what it does to the tensors that it was called with."""
        if kwargs.get("out") is not None:
            return self._into(kwargs["out"], result)
        if args and (inplace or kwargs.get("inplace") is True):
            if type(args[0]) is not TracedTensor and not hold_traced((*args, *kwargs.values())):
                return result  # with values, as `writes` knows
            if not shares_memory(name):
                return self.written(args[0], result)
            if type(args[0]) is TracedTensor:  # another shape for it; its elements stay
                args[0]._value = result._value
                return args[0]
        if args and type(args[0]) is TracedTensor and may_share(name):
            if type(result) is TracedTensor and returns_input(result._value.node):
                args[0]._value = result._value  # python may ask whether it is the same object
                return args[0]
            index = self.plain_index(args[1]) if name in INDEXED else None
            for part in result if isinstance(result, tuple) else (result,):
                part.look_into(args[0], index, shares_memory(name))
        return result

    def _into(self, out: Any, result: Any) -> Any:
        """What was computed into `out`, which takes its shape."""
        pairs = [(out, result)] if is_tensor(out) else [*zip(out, result, strict=True)]
        for target, made in pairs:
            if type(target) is TracedTensor:
                target._memory._writes += 1
                target._value, target._number = made._value, made._number
            else:
                self.writes.write(target, made)
        return out

    def run_module(self, module: torch.nn.Module, *args: object, **kwargs: object) -> object:
        """Run the rule of a module class in place of its forward."""
        reads = tuple(map(self.leaf, module.parameters()))
        kind = type(module)
        return self.apply(TARGETS[kind], kind.__name__, (module, *args), kwargs, reads=reads)

    def run_lazy(self, module: torch.nn.Module, x: object) -> object:
        """Run a lazy module with the parameters it would make, the same at every call."""
        if self.script:
            return self.wrap(self.replay("lazy"))
        mark, made = len(self.steps), self.lazy.get(module)
        if made is None:
            made = self.lazy[module] = lazy_parameters(module, self.unwrap(x), self.place())
            self.parameters += [p for p in made.values() if p is not None]
        result = call_lazy(module, self.unwrap(x), made)
        self.note(mark, "lazy", result)
        return self.wrap(result)

    def apply(
        self,
        operation: Any,
        name: str,
        args: Any,
        kwargs: Any,
        *,
        inplace: bool = False,
        reads: Sequence[SymbolicTensor] = (),
    ) -> Any:
        """Run a rule on unwrapped arguments; `reads` are tensors beside them."""
        if self.wrote:
            self.reread(*flat([*args, *kwargs.values()]))
        if self.script:
            return self.traced(name, *self.replay(name, (*args, *kwargs.values())))
        mark = len(self.steps)
        try:
            answer = self._applied(operation, name, args, kwargs, inplace, reads)
        except (InvalidInput, ShapeMismatch) as error:
            self.note(mark, name, Refused.by(name, without_frames(error)))
            raise Refused.by(name, error) from error  # nobody else holds what holds the frames
        except Exception as error:
            if isinstance(error, SymcnnError):
                self.note(mark, name, without_frames(error))
            elif hold_sizes((*args, *kwargs.values())):  # what python says of our sizes
                said = f"{name} takes a number where a size stands, at {caller()}: {error}"
                raise self.leaving(UnsupportedOperation(said, cure="give a number")) from error
            raise self.leaving(error) from error.__cause__
        self.note(mark, name, answer)
        return self.traced(name, *answer)

    def leaving(self, error: Exception) -> Exception:
        """An error on its way into the forward. What torch would raise too is the model's to catch;
        any other that it catches is ours all the same, and is raised when the forward has ended.
        """
        torchs = Refused if isinstance(error, SymcnnError) else _TORCHS
        if self.left is None and not isinstance(error, torchs):
            self.left = error
        return error

    def traced(self, name: str, made: Sequence[SymbolicTensor], single: bool, number: Any) -> Any:
        """What a rule answered, for the forward."""
        numbers = number
        if single:
            traced = TracedTensor.of(made[0], self)
            if number is not None:
                traced._number = self._again(number)
            return traced
        several: Any = tuple(None if r is None else TracedTensor.of(r, self) for r in made)
        for part, number in zip(several, () if numbers is None else numbers, strict=False):
            part._number = self._again(number)
        tupled = getattr(torch.return_types, name, None)  # max(dim=...) has .values and .indices
        return several if tupled is None else tupled(several)

    def _applied(
        self,
        operation: Any,
        name: str,
        args: Any,
        kwargs: Any,
        inplace: bool,
        reads: Sequence[SymbolicTensor],
    ) -> tuple[Sequence[SymbolicTensor], bool, Any]:
        """The outputs of a rule, whether it is one, and its number if it has one."""
        args, kwargs = as_taken(name, args, kwargs, self.as_list)
        record = operation if type(operation) is Operation else record_of(name)
        sized = record is not None and record.sizes
        if sized:
            args = (*args[:1], *tree_map(self.plain, list(args[1:])))
            kwargs = tree_map(self.plain, kwargs)
        elif name in INDEXED and len(args) > 1:
            args = (args[0], *tree_map(self.plain, [args[1]]), *args[2:])
        self.tape.autocast = self._autocast() if torch.is_autocast_enabled(self.kind) else None
        ours = tuple([a if type(a) in PLAIN else self.unwrap(a) for a in args])
        named = {k: self.unwrap(a) for k, a in kwargs.items() if k != "out"} if kwargs else kwargs
        if not sized:
            ours = self._sided(ours)
            named = {k: self._sided(v) for k, v in named.items()} if named else named
        alone: tuple[Int, ...] | None = None
        try:
            if type(operation) is Operation:
                target = (
                    ours[0] if inplace and not (name in RESIZES or shares_memory(name)) else None
                )
                asked, given, lying = asks(operation, name), named, None
                if asked is not None:
                    lying = asked[1](self.layouts, ours[0], self.place())
                    given = {**named, asked[0]: lying}
                if target is not None:
                    alone = repeats(self.layouts, operation, ours, self.place())
                node = operation.node(ours, given, reads, target, alone or ())
                if asked and lying and node.call is not None:
                    node.call = node.call._replace(kwargs={**named, asked[0]: lying.found})
                result, single = node.outputs, node.result.single
            else:  # made of operations
                result = operation(*ours, **named)
                single = isinstance(result, SymbolicTensor)
                result = (result,) if single else result
                node = result[0].node
        except SymcnnError as error:
            error.attempt = error.attempt or Attempt.of(name, ())
            raise at_place(error, self.place(), name) from None
        except (AttributeError, TypeError) as error:
            if said := misfit(error, self.place(), name, (*ours, *named.values())):
                raise said from error
            raise
        self.ran(node, inplace, alone)
        out, writes = kwargs.get("out"), inplace or kwargs.get("inplace") is True
        if (writes or self.wrote or out is not None) and torch.is_grad_enabled():
            require_whole(self, node, writes, out)
        number = None
        if record is not None and record.value is not None:
            several = None if single else self._each_number(record, args, kwargs, result)
            number = self.number(record, args, kwargs, result[0]) if single else several
        return result, single, number

    def ran(self, node: Node, inplace: bool, once: tuple[Int, ...] | None = None) -> None:
        """What is to be said of every new node."""
        if self.same is not None:
            self.same.nodes()
        if inplace:
            node.mode = node.mode._replace(inplace=True, once=once)
        if self.grad and (not torch.is_grad_enabled() or saving(True) is not None):
            custom = self._custom()
            grad = custom is None and torch.is_grad_enabled()
            node.mode = node.mode._replace(custom=custom, grad=grad)

    def _custom(self) -> Custom | None:
        """The torch.autograd.Function that runs, and what it tells its context to save: so far, and
        from now on (with a `setup_context` that is said when all is done, and not seen); or the
        checkpoint, which saves what it is called with.
        """
        found = custom_function()
        if found is None:
            return None
        name, args, context = found
        given = tuple(map(self.unwrap, filter(is_tensor, args)))
        if not context:
            return Custom(name, (), None) if context is None else Custom(name, None, given)
        if context not in self.customs:

            def save(*tensors: object) -> None:  # the context would hold them
                custom.saves = tuple(tensors_in(*map(self.unwrap, tensors)))

            custom = Custom(name, given, ())
            self.customs[context] = custom
            save(*(context.to_save or ()))
            context.to_save, context.save_for_backward = None, save
        return self.customs[context]

    def _autocast(self) -> tuple[str, str]:
        kind = "script" if self.tape.scripted else self.kind
        return kind, NAMES[torch.get_autocast_dtype(self.kind)]

    def unwrap(self, value: Any) -> Any:
        """Torch's view of an argument as the kernel's."""
        kind = type(value)
        if kind is TracedTensor:
            return value._value if value._number_since is None else self.with_extremes(value)
        if kind in PLAIN:
            return value
        if kind is tuple or kind is list:
            if PLAIN.issuperset(map(type, value)):
                return kind(value)  # a list may change later
            return kind([self.unwrap(v) for v in value])
        if leaf := self.leaves.get(id(value)):  # their tensors live as long, so the id is theirs
            return self.with_ends(leaf, value) if leaf.dtype in WHOLES else leaf
        if kind is Dim:
            return self.put_numbers(value.expr) if self.numbers else value.expr
        if isinstance(value, torch.Tensor):
            return self.leaf(value)
        if isinstance(value, (tuple, list)):
            return (list if isinstance(value, list) else tuple)([self.unwrap(v) for v in value])
        if kind is slice:
            return slice(*map(self.unwrap, (value.start, value.stop, value.step)))
        return as_sizes(value)

    def leaf(self, real: torch.Tensor) -> SymbolicTensor:
        """A real tensor (weight, buffer, constant) as a symbolic one, always the same."""
        found = self.leaves.get(id(real))
        if found is None:
            base = base_of(real)
            if base is not None:
                if not self.aliased:
                    self.aliased = True
                    raise AliasFound
                return base._value
            with torch._C.DisableTorchFunction():
                storage = self.writes.reserve(real.untyped_storage())
                found = constant_of(real, owned=storage in self.own)
                found.memory = self.memories.setdefault(storage, object())
                found.held = not self.writes.made_here(storage)
            self.hold(real, self.with_ends(found, real))
        return found

    def reshaped(self, real: torch.Tensor, now: torch.Tensor) -> None:
        """A real tensor has another shape from now on."""
        self.hold(real, constant_of(now, owned=False))

    @property
    def layouts(self) -> Layouts:
        """Where the tensors of this run lie."""
        if self._layouts is None or self._layouts.tape is not self.tape:
            self._layouts = Layouts(self)
        return self._layouts

    def place(self) -> str:
        """The path of the module that is running."""
        return self.tape.scopes[-1].path

    def unsupported(self, op: str, func: object = None) -> Exception:
        """The error for an operation without a rule, or a module without python."""
        return self.leaving(without_rule(self.place(), op, func))

    def _sided(self, value: Any) -> Any:
        if type(value) is Size:
            return self.sided(value)
        if type(value) is tuple and not UNSIDED.issuperset(map(type, value)):
            return tuple([self._sided(v) for v in value])
        return value

    def wrap(self, value: Any) -> Any:
        """Symbolic tensors in nested values as traced ones."""
        return tree_map(
            lambda v: TracedTensor.of(v, self) if isinstance(v, SymbolicTensor) else v, value
        )

    def result(self, value: Any) -> Any:
        """Traced tensors in nested values as symbolic ones, and sizes without their trace."""
        if self.writes.parts:
            value = self.writes.traced(value, self.joined)
        self.aliased = True
        if type(value) is TracedTensor:
            return value._value
        value = opened(value, lambda v: is_tensor(v) or type(v) in SIZES)
        return tree_map(lambda v: self.unwrap(v) if is_tensor(v) else formula_of(v), value)


#: What is no tensor yet.
_LATE = frozenset({Array, Repeated, *LATE})

#: What torch's functions raise.
_TORCHS = (TypeError, ValueError, IndexError, RuntimeError, NotImplementedError)
