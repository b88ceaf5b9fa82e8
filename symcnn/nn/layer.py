"""A layer that is one operation: its hyperparameters are fields, its forward calls the operation.

The law: torch names a layer after its function, and hyperparameters after the parameters of that
function. So a class says which hyperparameters there are, in torch's order, and the rest follows:
its constructor stores them, ``forward(x)`` is ``operation(x, **hyperparameters)``, and
``MaxPool2d`` is ``max_pool2d`` over n = 2 axes. Editors and mypy read the constructor off the
fields (`typing.dataclass_transform`).
"""

import re
from collections.abc import Callable
from dataclasses import InitVar, dataclass, fields
from typing import Annotated, Any, ClassVar, dataclass_transform

from symcnn.nn.hyper import each, positive, whole
from symcnn.nn.module import Module
from symcnn.trace.graph import apply

#: Hyperparameters as users give them: a whole number, one that is at least 1, or a number, None,
#: or several of them. The function reads what is given, and refuses the rest by name.
Whole = Annotated[Any, whole]
Positive = Annotated[Any, positive]
Each = Annotated[Any, each]
#: Where tensors would lie, and of which dtype: nothing depends on it here.
Unused = InitVar[Any]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass_transform(eq_default=False)
@dataclass(eq=False, repr=False)
class Layer(Module):
    """A layer whose class lists its hyperparameters, as a dataclass lists its fields.

    ``class Softplus(Layer)`` calls the operation "softplus"; where torch's function has another
    name, ``op=`` says so. In brackets the repr shows the fields `bare` and, by name, `shown`.

    >>> class Softplus(Layer):
    ...     beta: float = 1.0
    ...     threshold: float = 20.0
    >>> Softplus(beta=2.0).trace("N C").output_shape
    (N, C)
    """

    op: ClassVar[str]
    n: ClassVar[int]
    bare: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()
    _readers: ClassVar[dict[str, Callable[[Any, str], Any]]] = {}
    _passed: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, op: str = "") -> None:
        if "__init__" not in vars(cls) and "__annotations__" in vars(cls):
            dataclass(eq=False, repr=False)(cls)
            kinds = {n: k for n, k in cls.__annotations__.items() if hasattr(k, "__metadata__")}
            cls._readers = cls._readers | {name: k.__metadata__[0] for name, k in kinds.items()}
            cls._passed = tuple(f.name for f in fields(cls) if f.name != "inplace")
            said = cls.__init__.__annotations__  # as help() shows them
            said.update(dict.fromkeys(cls._readers, Any))
            said.update({n: k.type for n, k in said.items() if isinstance(k, InitVar)})
        if op or not (cls.__name__.startswith("_") or hasattr(cls, "op")):
            cls.op = op or _HUMP.sub("_", cls.__name__).lower()
        if re.search(r"[123]d$", cls.__name__) and not hasattr(cls, "n"):
            cls.n = int(cls.__name__[-2])

    def __post_init__(self, *unused: object) -> None:
        for name, read in self._readers.items():
            setattr(self, name, read(getattr(self, name), name))
        self.check()

    def check(self) -> None:
        """Make the parameters. Raises ShapeMismatch for what no such layer can have."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The operation on the inputs, with the hyperparameters, or those that are `named`."""
        return apply(self.op, *inputs, **{k: getattr(self, k) for k in self._passed} | named)

    def extra_repr(self) -> str:
        """The fields that torch shows, as torch does."""
        bare = [str(getattr(self, name)) for name in self.bare]
        return ", ".join([*bare, *(f"{name}={getattr(self, name)!r}" for name in self.shown)])
