"""Torch-free modules: hyperparameters, parameters and a forward; no values anywhere.

Layers carry torch.nn's names, signatures and defaults; sizes may be sympy symbols. A user's own
network subclasses `Module` as in torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import Signature, signature
from typing import Any, Self, SupportsIndex

from symcnn.algebra.axis import Window
from symcnn.errors import BadArgument, SymcnnError
from symcnn.network import Network
from symcnn.nn.drawn import drawn
from symcnn.nn.sizes import are_sizes, inverse, sizes_after, windows
from symcnn.questions.blame import blamed
from symcnn.sets.grammar import Spec, Target
from symcnn.sets.inputset import InputSet
from symcnn.trace.graph import Parameter, SymbolicTensor, tensor
from symcnn.trace.tape import Tape, current_tape
from symcnn.words.pictures.drawing import Drawing


@cache
def _taken(kind: type[Any]) -> Signature:
    """What a module's constructor takes, those arguments too that it only hands on."""
    made = signature(kind.__init__)
    if hasattr(kind, "_set") and any(p.kind is p.VAR_KEYWORD for p in made.parameters.values()):
        first, *others = signature(kind._set).parameters.values()
        hidden = [first.replace(name=name, default=None) for name in kind.hidden]
        made = made.replace(parameters=[first, *others[:3], *hidden, *others[3:]])
    return made


class Module:
    """Base of all layers and networks. Subclasses define `forward`.

    >>> from symcnn import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.conv = nn.Conv2d(3, 8, 3)
    ...     def forward(self, x):
    ...         return self.conv(x) + 1
    >>> net = Net().trace("N 3 H W")
    >>> net.output_shape, [node.name for node in net.nodes], net.params
    ((N, 8, H - 2, W - 2), ['conv', 'add'], 224)
    """

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """A module. Raises BadArgument for arguments that its constructor does not take."""
        taken = _taken(cls)  # type: ignore[arg-type]
        try:
            taken.bind(None, *args, **kwargs)
        except TypeError as error:
            _, *names = taken.parameters
            for name in kwargs.keys() - set(names):
                raise BadArgument.unknown(cls.__name__, name, names) from None
            cure = f"{cls.__name__}({', '.join(names)})"
            raise BadArgument(f"{cls.__name__}: {error}", cure=cure) from None
        return super().__new__(cls)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        _, *state = tuple(super().__reduce_ex__(protocol))
        return (object.__new__, *state)  # a copy is constructed without arguments

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module computes, on symbolic tensors."""
        raise SymcnnError(f"{type(self).__name__} has no forward", cure="define forward(self, x)")

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """The output for symbolic tensors; for sizes, one per axis, the sizes of the output.

        inputs: tensors, or sizes: ints, sympy expressions, names, or arrays of ints, for which the
            answer is arrays.
        Raises InvalidInput for numbers that the module refuses.

        >>> from symcnn import H, W, nn
        >>> nn.Conv2d(3, 64, 7, stride=2, padding=3)(H, W)
        ((H + 1)//2, (W + 1)//2)
        >>> nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))(224, 225)
        (111, 111)
        """
        tape = current_tape()
        if tape is None and not kwargs and are_sizes(inputs):
            return sizes_after(self, inputs)
        path = tape.paths.get(id(self)) if tape is not None else None
        if tape is None or not path:
            return self.forward(*inputs, **kwargs)
        tape.enter(path)
        output = None
        try:
            output = self.forward(*inputs, **kwargs)
        finally:
            tape.leave(output)
        return output

    def trace(self, *specs: Spec | SymbolicTensor) -> Network:
        """The network for inputs of these shapes: ``trace("N 3 H W")``, one spec per input.

        Raises BadSpec for malformed specs, ShapeMismatch or InvalidInput where no size works.
        """
        inputs = tuple(tensor(spec) for spec in specs)
        outputs, tape, error = self._traced(inputs)
        net = Network(inputs, outputs, tape=tape, parameters=list(self.parameters()))
        if error is not None:
            raise blamed(error, net, self, lambda module: module._again(inputs))
        return net

    def _traced(self, inputs: Sequence[Any]) -> tuple[Any, Tape, SymcnnError | None]:
        """The outputs of a trace; of one that fails the last, and why."""
        tape = Tape(paths={id(m): path for path, m in self.named_modules()})
        try:
            with tape.running():
                return self(*inputs), tape, None
        except SymcnnError as error:
            return tape.nodes[-1].made if tape.nodes else inputs, tape, error

    def _again(self, inputs: Sequence[Any]) -> tuple[SymcnnError | None, int]:
        _, tape, error = self._traced(inputs)
        return error, len(tape.nodes)

    def inverse(self, *sizes: Target) -> InputSet:
        """The sizes in front of the module after which these sizes come, exactly.

        sizes: one per axis: numbers, ranges, ``">=7"``, or names, ``layer.inverse("h", "w")``: the
            answer is then formulas in h and w.
        Raises NoSolution where there are none.

        >>> from symcnn import nn
        >>> stem = nn.Conv2d(3, 64, 7, stride=2, padding=3) >> nn.MaxPool2d(3, stride=2, padding=1)
        >>> print(stem.inverse(7, 7))
        25 <= H <= 28 and 25 <= W <= 28
        >>> print(stem.inverse("h", "w"))
        4*h - 3 <= H <= 4*h and 4*w - 3 <= W <= 4*w
        """
        return inverse(self, sizes)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The window that the module is along each axis: extent, stride, padding left and right.

        Raises BadSpec for a module that is none.

        >>> from symcnn import nn
        >>> (nn.Conv1d(3, 64, 7, stride=2, padding=3) >> nn.MaxPool1d(3, 2, padding=1)).windows
        (Window(extent=11, stride=4, left=5, right=5),)
        """
        return windows(self)

    def draw(
        self,
        i: int | Sequence[int] = 6,
        format: str = "svg",
        *,
        place: Sequence[int] | None = None,
        animate: bool = False,
    ) -> Drawing:
        """One layer, cell by cell: what an output reads, the padding, the rows that nobody reads.

        In the manner of Dumoulin and Visin's guide; a transposed convolution is drawn as the
        direct one that equals it, with zeros between the cells of its input.

        Args:
            i: the size of the input, one number for all axes or one per axis.
            format: "svg", or "tikz" for a LaTeX document.
            place: the output whose reads are marked, an index per axis; by default one inside.
            animate: whether the mark of an SVG of two axes moves over all outputs.

        Returns:
            The text, which a notebook shows as the picture; ``.save("layer.svg")`` writes it.

        Raises:
            BadSpec: another format, a layer of three axes, or a module that is no layer of maps.
            InvalidInput: a size that the layer refuses.

        >>> from symcnn import nn
        >>> picture = nn.Conv2d(1, 1, 3, stride=2, padding=1).draw(i=6)
        >>> picture.startswith("<svg"), "6×6 → 3×3" in picture
        (True, True)
        """
        return drawn(self, i, format, place, animate=animate)

    def __rshift__(self, other: Any) -> Any:
        """``f >> g``: first f, then g, as one `Sequential`."""
        return Sequential.of(self, other) if isinstance(other, Module) else NotImplemented

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules set as attributes."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below it."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        seen: dict[Parameter, None] = {}
        for _, module in self.named_modules():
            for value in vars(module).values():
                if isinstance(value, Parameter):
                    seen[value] = None
        yield from seen

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr."""
        return ""

    def __repr__(self) -> str:
        head = type(self).__name__
        children = list(self.children())
        if not children:
            return f"{head}({self.extra_repr()})"
        rows = "\n".join(f"({name}): {child!r}" for name, child in children)
        return f"{head}(\n  " + rows.replace("\n", "\n  ") + "\n)"


class _Modules(Module):
    """Modules in an order."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._modules = [*modules]
        self._names: tuple[str, ...] | None = None  # their indices

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) pairs."""
        names = map(str, range(len(self))) if self._names is None else self._names
        yield from zip(names, self._modules, strict=True)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> Module:
        return self._modules[index]


class Sequential(_Modules):
    """Modules one after the other, given in order or as one dict of names.

    >>> from symcnn import nn
    >>> nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W").output_shape
    (N, 8, H - 2, W - 2)
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            super().__init__(modules[0].values())
            self._names = tuple(modules[0])
        else:
            super().__init__(modules)

    @classmethod
    def of(cls, *parts: Module) -> Sequential:
        """The parts one after the other, those of a part that is a plain sequence among them."""
        every: list[Module] = []
        for part in parts:
            if isinstance(part, Sequential) and type(part) is cls and part._names is None:
                every += part
            else:
                every.append(part)
        return cls(*every)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Each module on the output of the one before."""
        for module in self:
            input = module(input)
        return input


class ModuleList(_Modules):
    """Modules in a list; the network's own forward calls them."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


class ModuleDict(Module):
    """Modules by name; the network's own forward calls them."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self._modules = dict(modules or {})

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) pairs."""
        yield from self._modules.items()

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
