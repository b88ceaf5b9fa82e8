"""The name of a network: ``PATH.py:NAME``, ``pkg.mod:NAME``, ``NAME(depth=18)``, ``FILE.onnx``.

NAME is an instance, a class or a factory; arguments are literals of python, read and never run. A
file is imported as python would import it where it stands: inside its package, with its neighbours.
The modules of one folder are forgotten before those of another are imported, so that two versions
of a model can be compared; two networks of one folder share them.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeGuard, Union

import click

from symcnn.errors import BadSpec
from symcnn.network import Network
from symcnn.nn import Module as OwnModule

if TYPE_CHECKING:
    import torch

    Module = Union[OwnModule, "torch.nn.Module"]

_EXAMPLES = "for example net.py:Net, timm:create_model('resnet18'), or net.onnx"
_TARGET = re.compile(r"(?P<where>.+?):(?P<name>[^\W\d][\w.]*)\s*(?P<arguments>\(.*\))?", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """The parts of a name.

    >>> Target.parse("net.py:Net(18, weights=None)")
    Target(where='net.py', name='Net', args=(18,), kwargs={'weights': None}, called=True)
    """

    where: str
    name: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    called: bool = False

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises BadSpec for what is no name of a network."""
        match = _TARGET.fullmatch(text.strip())
        if match is None:
            where, colon, name = text.strip().partition(":")
            if where and not (colon and name):
                listed = _network_names(_imported(where))
                raise BadSpec(f"{text!r} names no network in {where}", cure=f"there is {listed}")
            raise BadSpec(f"{text!r} is not PATH.py:NAME or pkg.mod:NAME", cure=_EXAMPLES)
        args, kwargs = _arguments(match["arguments"] or "()", text)
        return cls(match["where"], match["name"], args, kwargs, match["arguments"] is not None)

    def found(self) -> object:
        """What the name stands for. Raises BadSpec, with what there is."""
        found: object = (module := _imported(self.where))
        at = self.where
        for part in self.name.split("."):
            if not hasattr(found, part):
                raise BadSpec(f"{at} has no {part}", cure=_there_is(found, part))
            found, at = getattr(found, part), f"{at}:{part}" if found is module else f"{at}.{part}"
        return found


def _arguments(text: str, whole: str) -> tuple[tuple[object, ...], dict[str, object]]:
    """The literals in ``(18, weights=None)``."""
    cure = "for example NAME(depth=18, weights=None)"
    try:
        call = ast.parse(f"f{text}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not one call")
        args = tuple(map(ast.literal_eval, call.args))
        kwargs = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if None in [word.arg for word in call.keywords] or len(kwargs) < len(call.keywords):
            raise ValueError("** is no name, and each name stands once")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise BadSpec(f"the arguments of {whole!r} are not literals", cure=cure) from None
    return args, kwargs


# Importing -------------------------------------------------------------------------------------


@dataclass
class _Folder:
    """Where modules are imported from now; `before`: those that python had until then.

    The networks of one command share what it has run: a file may register what it may not twice.
    """

    root: Path
    before: frozenset[str]
    command: weakref.ref[click.Context] | None
    files: dict[Path, ModuleType] = field(default_factory=dict)


_now: list[_Folder] = []


def _imported(where: str) -> ModuleType:
    """The module of a file or a package."""
    path = Path(where)
    if not where.isidentifier() and (path / "__init__.py").is_file():
        path = path / "__init__.py"
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise BadSpec(f"there is no file {where}")
        if path.suffix != ".py":
            raise BadSpec(f"{where} is not a python file", cure=_EXAMPLES)
        return _from_file(path.resolve(), where)
    if not all(part.isidentifier() for part in where.split(".")):
        raise BadSpec(f"there is no file or package {where}", cure=_EXAMPLES)
    _enter(Path.cwd())
    return _import(where, where)


def _from_file(path: Path, told: str) -> ModuleType:
    """A file as a module: of its package, if it is in one."""
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, names = root.parent, [root.name, *names]
    if len(names) == 1:
        return _alone(path, told)
    _enter(root)
    names = names[:-1] if names[-1] == "__init__" else names
    module = _import(".".join(names), told)
    if module.__file__ is None or not path.samefile(module.__file__):
        raise BadSpec(
            f"{told} is {module.__name__}, and python imports that from {module.__file__}",
            cure=f"name it {module.__name__}:NAME, or move the file",
        )
    return module


def _alone(path: Path, told: str) -> ModuleType:
    """A file that is in no package, or in one without ``__init__.py`` if its imports say so."""
    files = _enter(path.parent).files
    if path in files:
        return files[path]
    name = path.stem
    while name in sys.modules:
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadSpec(f"{told} is not a python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" not in str(error):
            raise _not_imported(told, error) from error
        return _above(path, told, error)
    except (Exception, SystemExit) as error:
        raise _not_imported(told, error) from error
    files[path] = module
    return module


def _above(path: Path, told: str, error: ImportError) -> ModuleType:
    """A file whose relative imports need the folders above it: as many as they ask for."""
    names = [path.stem]
    for root in path.parents:
        if len(names) > 1:
            _enter(root)
            try:
                return importlib.import_module(".".join(names))
            except ImportError as again:
                if "beyond top-level package" not in str(again):
                    raise _not_imported(told, again) from again
            except (Exception, SystemExit) as again:
                raise _not_imported(told, again) from again
        if not root.name.isidentifier():
            break
        names.insert(0, root.name)
    raise _not_imported(told, error)


def _import(name: str, told: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise _not_imported(told, error) from error
        raise BadSpec(
            f"there is no module {error.name}",
            cure="install its package here, or name a file: PATH.py:NAME",
        ) from None
    except (Exception, SystemExit) as error:
        raise _not_imported(told, error) from error


def _not_imported(told: str, error: BaseException) -> BadSpec:
    return BadSpec(f"{told} cannot be imported: {type(error).__name__}: {error}")


def _enter(root: Path) -> _Folder:
    """Import from this folder, and from none that was named before."""
    context = click.get_current_context(silent=True)
    command = None if context is None else context.find_root()
    if command and _now and _now[-1].root == root and _now[-1].command == weakref.ref(command):
        return _now[-1]
    while _now:
        old = _now.pop()
        if str(old.root) in sys.path:
            sys.path.remove(str(old.root))
        new = sys.modules.keys() - old.before
        # found first and deleted then: a folder without __init__.py looks its parent up
        for name in [name for name in new if _stands_in(old.root, name)]:
            del sys.modules[name]
    told = weakref.ref(command) if command else None
    _now.append(_Folder(root, frozenset(sys.modules), told))
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    return _now[-1]


def _stands_in(root: Path, name: str) -> bool:
    """Whether a module was found in this folder, and not further down, in an environment.

    Its record is read and no attribute asked for: some modules import others when they are.
    """
    record: Mapping[str, object] = getattr(sys.modules.get(name), "__dict__", {})
    *above, last = name.split(".")
    stem = root.joinpath(*above, last)
    if isinstance(file := record.get("__file__"), str):
        alone = Path(file).with_suffix("")
        named = alone.name == last.rstrip("_") or alone == stem  # see `_alone`
        return (alone.parent == stem.parent and named) or Path(file) == stem / "__init__.py"
    paths = record.get("__path__") or ()
    return isinstance(paths, Iterable) and str(stem) in map(str, paths)


# What there is ---------------------------------------------------------------------------------


def _there_is(found: object, part: str) -> str:
    """What has a name like this, or everything."""
    names = _networks(found) or [n for n in dir(found) if not n.startswith("_")]
    near = get_close_matches(part, names, n=3, cutoff=0.5)
    listed = f"there is {_several(names)}"
    if near:  # all attributes of a class are no help
        more = f" {listed}" if isinstance(found, ModuleType) else ""
        return f"did you mean {', '.join(near)}?{more}"
    return listed


def _network_names(found: object) -> str:
    return _several(_networks(found))


def _several(names: Sequence[str], most: int = 12) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing that makes a network") + more


def _networks(found: object) -> list[str]:
    """Instances, and the classes and functions that a module or its package defines."""
    if not isinstance(found, ModuleType):
        return []
    top = found.__name__.partition(".")[0]
    names = []
    for name, value in vars(found).items():
        home = str(getattr(value, "__module__", "")).partition(".")[0]
        made_here = (inspect.isclass(value) or inspect.isfunction(value)) and home == top
        if not name.startswith("_") and (made_here or _is_module(value)):
            names.append(name)
    return names


# Making ----------------------------------------------------------------------------------------


def _is_module(value: object) -> TypeGuard[Module]:
    """Whether this is a module, of `symcnn.nn` or torch's."""
    if isinstance(value, OwnModule):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def module_of(text: str, device: str = "meta") -> Module | Network:
    """The module that a name stands for or makes: an instance, or what a class or factory gives.

    Raises BadSpec for what is none, with what there is.
    """
    if text.endswith(".onnx"):
        raise BadSpec(f"{text} is no torch module", cure="name the module: PATH.py:NAME")
    target = Target.parse(text)
    found = target.found()
    if not isinstance(found, Network) and not _is_module(found):
        if isinstance(found, ModuleType):
            raise BadSpec(
                f"{target.name} is a python module, not a network",
                cure=f"name something in it: {target.where}:{target.name}.NAME; "
                f"there is {_network_names(found)}",
            )
        if not callable(found):
            raise BadSpec(
                f"{target.name} is a {type(found).__name__}, not a module, class or factory",
                cure=f"there is {_network_names(_imported(target.where))}",
            )
        return _built(target, found, device)
    if target.called:
        raise BadSpec(f"{target.name} is a module already", cure=f"{target.where}:{target.name}")
    return found


def _built(target: Target, factory: object, device: str) -> Module | Network:
    """Call a class or factory, on the device (meta: no weights are needed) where it lets us."""
    made = None
    if "torch" in sys.modules:
        import torch

        try:
            with torch.device(device):
                made = factory(*target.args, **target.kwargs)  # type: ignore[operator]
        except Exception:
            made = None
    if made is None:
        try:
            made = factory(*target.args, **target.kwargs)  # type: ignore[operator]
        except Exception as error:
            raise BadSpec(
                f"{target.name}() raised {type(error).__name__}: {error}",
                cure=_cure(target, factory),
            ) from error
    if not isinstance(made, Network) and not _is_module(made):
        raise BadSpec(f"{target.name}() gave a {type(made).__name__}, not a torch.nn.Module")
    return made


def _cure(target: Target, factory: object) -> str:
    """How the factory is called, as far as its signature says."""
    try:
        signature = inspect.signature(factory)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "give its arguments: NAME(depth=18)"
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    shown = signature.replace(parameters=bare, return_annotation=signature.empty)
    return (
        f"its arguments, as literals: {target.name}{shown}; "
        "for what is no literal, name a function without arguments in a file: PATH.py:NAME"
    )


def torch_module_of(text: str, device: str = "meta") -> torch.nn.Module:
    """The same, where it must be torch's own: there is nothing to compare the others with."""
    module = module_of(text, device)
    if isinstance(module, (OwnModule, Network)):
        raise BadSpec(f"{text} is no torch.nn.Module", cure="name the torch.nn.Module itself")
    return module


def read(text: str, inputs: tuple[str, ...]) -> Network:
    """The network in a file of ONNX."""
    from symcnn.frontends.onnx import from_onnx

    return from_onnx(text, named_inputs(inputs))


def traced(module: Module, shapes: Sequence[str], *, train: bool = False) -> Network:
    """The network that a module is."""
    if isinstance(module, OwnModule):
        return module.trace(*shapes)
    from symcnn.frontends import from_torch

    module.train(train)  # which need not return the module
    return from_torch(module, *shapes)


def named_inputs(inputs: tuple[str, ...]) -> Mapping[str, str] | Sequence[str] | None:
    """Shapes of inputs by name, ``x=N 3 H W``, or in the file's order."""
    if not inputs:
        return None
    pairs = [text.partition("=") for text in inputs]
    if all(mark for _, mark, _ in pairs):
        return {name.strip(): shape for name, _, shape in pairs}
    return inputs


def default_inputs(module: Module) -> tuple[str, ...]:
    """The shape of the input, as the first layer with weights says.

    Raises BadSpec where there is no such layer, or more than one input.

    >>> from symcnn import nn
    >>> default_inputs(nn.Sequential(nn.ReLU(), nn.Conv1d(2, 8, 3)))
    ('N 2 L',)
    """
    cure = 'give the shape: --input "N 3 H W", once per input'
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.kind in positional and p.default is p.empty]
    if len(needed) > 1:
        raise BadSpec(f"the network has the inputs {', '.join(needed)}", cure=cure)
    for _, layer in module.named_modules():
        if hasattr(layer, "num_embeddings"):
            raise BadSpec("the first layer takes indices, of any shape", cure=cure)
        if shape := _says(layer):
            return (shape,)
    raise BadSpec("no layer says what the shape of the input is", cure=cure)


def _says(layer: object) -> str:
    """The shape that a convolution or a linear layer wants."""
    kernel, channels = (getattr(layer, key, None) for key in ("kernel_size", "in_channels"))
    kind = re.search(r"([123])d", type(layer).__name__)
    if isinstance(channels, int) and channels and kernel is not None:
        rank = len(kernel) if isinstance(kernel, tuple) else int(kind[1]) if kind else 0
        return f"N {channels} {_AXES[rank]}" if rank in _AXES else ""
    features = getattr(layer, "in_features", None)
    if type(layer).__name__.endswith("Linear") and isinstance(features, int) and features:
        return f"N {features}"
    return ""


_AXES = {1: "L", 2: "H W", 3: "D H W"}
