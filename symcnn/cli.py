"""The command line: the questions of the library, asked of a network in a file.

Exit status: 0 answered; 1 no solution, or a size that is not valid; 2 bad use.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import Any

import click

from symcnn import __version__
from symcnn.errors import (
    BadSpec,
    InvalidInput,
    NoSolution,
    ShapeMismatch,
    SymcnnError,
    Undecidable,
)
from symcnn.network import Network
from symcnn.progress import silent, waiting
from symcnn.questions.inputs.budget import BudgetedSet
from symcnn.questions.inputs.choices import Choices
from symcnn.sets.grammar import (
    parse_assignments,
    parse_numbers,
    parse_ranges,
    parse_target,
)
from symcnn.sets.inputset import InputSet
from symcnn.sets.relation import Relation

__all__ = ["main"]

_ANSWERED_NO = (NoSolution, InvalidInput, ShapeMismatch)


def _load(target: str) -> tuple[Any, str]:
    """The object that ``FILE.py:NAME`` names, and NAME."""
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise BadSpec(f"{target!r} is not FILE.py:NAME", cure="for example net.py:Net")
    path = Path(file)
    if not path.is_file():
        raise BadSpec(f"there is no file {file}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BadSpec(f"{file} is not a python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadSpec(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [n for n in vars(found) if not n.startswith("_")]
            near = get_close_matches(part, public, n=3, cutoff=0.5)
            cure = f"did you mean {', '.join(near)}" if near else ""
            raise BadSpec(f"{file} has no {part}", cure=cure)
        found = getattr(found, part)
    return found, name


def _network(target: str, inputs: tuple[str, ...], *, train: bool) -> Network:
    """Trace what FILE.py:NAME names, a module instance, a class or a factory without arguments;
    or read FILE.onnx.
    """
    from symcnn import nn
    from symcnn.frontends import from_torch

    if target.endswith(".onnx"):
        from symcnn.frontends.onnx import from_onnx

        return from_onnx(target, _named(inputs))
    if not inputs:
        raise BadSpec("no shape of an input", cure='--input "N 3 H W", once per input')
    module = _module(target)
    if isinstance(module, nn.Module):
        return module.trace(*inputs)
    return _branch(from_torch(module.train(train), *inputs))


@dataclass
class _Asking:
    """What a command is about to say: of a network with branches, of one after the other."""

    whole: Network | None = None  # with branches
    branch: int = 0
    scope: str = ""
    said: list[dict[str, Any]] = field(default_factory=list)


#: Questions whose answers are derivations and tables: each branch has its own.
_BY_BRANCH = frozenset({"shapes", "rf", "cost", "explain", "summary"})


def _branch(net: Network) -> Network:
    """The network to ask: the whole, or the branch whose turn it is."""
    context = click.get_current_context()
    asking: _Asking = context.ensure_object(_Asking)
    asking.scope = net.scope
    if len(net.branches) == 1 or context.command.name not in _BY_BRANCH:
        return net
    place = context.params.get("sizes") or context.params.get("at") or ""
    if "=" in place:  # the branch that these sizes take
        return net.branch_at(**({"N": 1} | _sizes(net, place)))
    asking.whole = net
    branch = net.branches[asking.branch]
    if not context.params["as_json"]:
        click.echo(f"{'' if asking.branch == 0 else chr(10)}for {branch.where.describe()}:")
    return branch.network


def _named(inputs: tuple[str, ...]) -> Any:
    """Shapes of inputs by name, ``x=N 3 H W``, or in the file's order."""
    if not inputs:
        return None
    pairs = [text.partition("=") for text in inputs]
    if all(mark for _, mark, _ in pairs):
        return {name.strip(): shape for name, _, shape in pairs}
    return inputs


def _module(target: str, device: str = "meta") -> Any:
    """The module that FILE.py:NAME names or makes, of `symcnn.nn` or torch's."""
    from symcnn import nn

    if target.endswith(".onnx"):
        raise BadSpec(f"{target} is no torch module", cure="name the module: FILE.py:NAME")
    found, name = _load(target)
    if isinstance(found, nn.Module) or (isinstance(found, type) and issubclass(found, nn.Module)):
        return found() if isinstance(found, type) else found
    import torch

    if not isinstance(found, torch.nn.Module):
        if not callable(found):
            raise BadSpec(f"{name} is a {type(found).__name__}, not a module, class or factory")
        found = _build(found, name, device)
    if not isinstance(found, (nn.Module, torch.nn.Module)):
        raise BadSpec(f"{name}() gave a {type(found).__name__}, not a torch.nn.Module")
    return found


def _build(factory: Callable[[], Any], name: str, device: str) -> Any:
    """Call a factory, on the device (meta: no weights are needed) where it lets us."""
    import torch

    try:
        with torch.device(device):
            return factory()
    except Exception:
        try:
            return factory()
        except Exception as error:
            raise BadSpec(
                f"{name}() raised {type(error).__name__}: {error}",
                cure="name a module instance, or a class or factory that needs no arguments",
            ) from error


def _answers(command: Callable[..., None]) -> Callable[..., None]:
    """Errors as one clear message and an exit status; --debug shows the traceback."""

    @wraps(command)
    def run(debug: bool, **options: Any) -> None:
        try:
            with silent() if options.get("as_json") else waiting(f"{command.__name__} ..."):
                command(**options)
                asking: _Asking = click.get_current_context().ensure_object(_Asking)
                while asking.whole and asking.branch + 1 < len(asking.whole.branches):
                    asking.branch += 1
                    command(**options)
            _close(asking, bool(options.get("as_json")))
        except SymcnnError as error:
            if debug:
                traceback.print_exc()
            click.echo(f"{type(error).__name__}: {error}", err=True)
            if scope := click.get_current_context().ensure_object(_Asking).scope:
                click.echo(f"holds {scope}", err=True)
            sys.exit(1 if isinstance(error, _ANSWERED_NO) else 2)

    return run


def _network_command(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that every question to a network takes."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
        click.option("--train", is_flag=True, help="Training mode (default: eval)."),
        click.option(
            "--at",
            metavar="NAME",
            help='A module or node to look at, such as "layer4"; with `shapes` also sizes.',
        ),
        click.option(
            "--input",
            "inputs",
            metavar="SHAPE",
            multiple=True,
            help='Shape of an input, such as "N 3 H W"; once per input. A file names its own.',
        ),
        click.argument("network", metavar="FILE.py:NAME|FILE.onnx"),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="symcnn")
def main() -> None:
    """A symbolic shape algebra for convolutional networks.

    FILE.py:NAME is a torch.nn.Module instance, a class, or a factory without arguments; FILE.onnx
    is a model of ONNX. Letters in a shape are sizes that stay symbols.
    """


@main.command()
@_network_command
@_answers
def shapes(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool
) -> None:
    """Output shape of every layer, as formulas; at sizes with --at H=224,W=224."""
    net = _network(network, inputs, train=train)
    sizes = parse_assignments(at) if at and "=" in at else None
    if at and sizes is None:
        net = net.at(at)
    if sizes is not None:
        shape = net.shape_at(**sizes)
        _show({"sizes": sizes, "output": shape}, str(shape), as_json)
        return
    answer = {
        "inputs": [_plain(s) for s in net.inputs],
        "output": _plain(net.output_shape),
        "params": _plain(net.params),
        "macs": str(net.macs),
        "nodes": [
            {
                "name": n.name,
                "op": n.op,
                "inputs": [_plain(s) for s in n.input_shapes],
                "outputs": [_plain(s) for s in n.output_shapes],
                "params": _plain(n.params),
                "macs": _plain(n.macs),
            }
            for n in net.nodes
        ],
    }
    if as_json:
        _show(answer, "", as_json)
        return
    from rich.console import Console

    from symcnn.words.text import shapes_table

    Console().print(shapes_table(net))
    click.echo(f"\noutput {net.describe_output()}\nparams {net.params:,}")


@main.command()
@click.option("--sizes", metavar="H=224,W=224", help="Sizes at which cells are numbers.")
@click.option("--depth", type=int, metavar="N", help="One row per module down to this depth.")
@click.option(
    "--columns",
    metavar="COLUMN,...",
    default="op,output,params,macs",
    help="Of op, input, output, params, macs, memory, field, source.",
)
@_network_command
@_answers
def summary(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    sizes: str | None,
    depth: int | None,
    columns: str,
) -> None:
    """The table of a network: layers, shapes, parameters, MACs, and the totals."""
    net = _network(network, inputs, train=train)
    net = net.at(at) if at else net
    numbers = parse_assignments(sizes) if sizes else None
    found = net.summary(at=numbers, depth=depth, columns=columns.replace(" ", "").split(","))
    _show(found.to_dict() if as_json else {}, str(found).rstrip(), as_json)


@main.command()
@click.option(
    "--output",
    "targets",
    metavar="7x7",
    multiple=True,
    help='Sizes of the map: 7, * (any), 5..8, ">=7", H/4, or h (a formula). NAME=7x7 for a module;'
    " may be repeated.",
)
@click.option("--flatten", type=int, metavar="K", help="Elements per image of what is flattened.")
@click.option("--even", is_flag=True, help="No window drops a row or pads on one side only.")
@click.option("--unread", type=int, metavar="0", help="0: every row of the input is read.")
@click.option("--square", is_flag=True, help="Only inputs with H = W.")
@click.option("--aspect", metavar="16:9", help="Width to height.")
@click.option("--multiple-of", metavar="M", help="8, or 8x16 for each axis.")
@click.option("--within", metavar="LOW..HIGH", help="200..300, or 200..300x100..400.")
@click.option("--receptive-field", metavar="R", help='At least so many pixels; "<=64", 64..128.')
@click.option("--macs", metavar="AMOUNT", help='At most so many: 4e9, 4G; ">=1G", 1G..4G.')
@click.option("--flops", metavar="AMOUNT", help="So many FLOPs.")
@click.option("--params", metavar="AMOUNT", help="So many parameters.")
@click.option("--memory", metavar="AMOUNT", help='Bytes of all activations: "8 GiB".')
@click.option("--saved", metavar="AMOUNT", help="Bytes kept for the backward pass.")
@click.option("--peak", metavar="AMOUNT", help="The most bytes alive at once in inference.")
@click.option(
    "--dtype", metavar="NAME", help="What activations are made of, where not the module's own."
)
@click.option(
    "--size", "sizes", metavar="NAME=SIZE", help="Fixed sizes or hyperparameters: N=8,k=1..11."
)
@_network_command
@_answers
def solve(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    targets: tuple[str, ...],
    sizes: str | None,
    **wishes: Any,
) -> None:
    """Which inputs reach a target: --output 7x7, --flatten 9216, --macs 4e9, or several at once."""
    given = {name: v for name, v in wishes.items() if v is not None and v is not False}
    if not targets and not given and not sizes:
        raise click.UsageError("give a target, such as --output 7x7 or --flatten K")
    fixed: dict[str, Any] = {} if sizes is None else {**parse_ranges(sizes)}
    wanted = _targets(targets)
    if "aspect" in given:
        given["aspect"] = parse_numbers(given["aspect"], ":", "16:9")
    if "multiple_of" in given:
        several = parse_numbers(given["multiple_of"], "x", "8")
        given["multiple_of"] = several[0] if len(several) == 1 else several
    if "within" in given:
        spans = [parse_numbers(span, "..", "200..300") for span in given["within"].split("x")]
        given["within"] = spans[0] if len(spans) == 1 else tuple(spans)
    net = _network(network, inputs, train=train)
    found = net.solve(wanted, at=at, **given, **fixed)
    if isinstance(found, Choices):
        rows = [{"values": dict(one), **_set_answer(one.inputs)} for one in found]
        _show({"choices": rows}, str(found), as_json)
        return
    goals = [*targets, *([f"{given['flatten']} features"] if "flatten" in given else [])]
    answer = _set_answer(found)
    if len(goals) == 1 and not isinstance(wanted, dict):
        part = net.at(found.at) if found.at else net
        text = f"{goals[0]} at {found.at or 'the output'}, which is {part.describe_output()}\n"
        text += f"comes from {found}\n{_ends(found)}{_noted(found)}"
        answer |= {"target": goals[0], "shape": part.describe_output()}
    else:
        text = f"{found}\n{_ends(found)}{_noted(found)}"
    _show(answer, text, as_json)


def _noted(found: InputSet) -> str:
    return f"{found.note}\n" if found.note else ""


def _targets(targets: tuple[str, ...]) -> Any:
    """What --output says: one target, or a dict of them by module."""
    named = [t for t in targets if re.match(r"[^<>=]+=(?!=)", t)]
    if not named:
        if len(targets) > 1:
            raise BadSpec("--output twice without a module", cure="--output layer3=14x14")
        return parse_target(targets[0]) if targets else None
    pairs = [t.partition("=") if t in named else ("", "", t) for t in targets]
    return {name or None: parse_target(text) for name, _, text in pairs}


@main.command()
@_network_command
@_answers
def valid(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool
) -> None:
    """Which inputs the network accepts, and which layers ask for what."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    from symcnn.questions.inputs.scramble import scrambled

    found = net.valid_inputs()
    reasons = net.reasons()
    text = f"valid inputs: {found.describe()}\n{_ends(found)}"
    if reasons:
        text += "because\n" + "\n".join(f"  {reason}" for reason in reasons)
    mixed = scrambled(net)
    if mixed:
        text += f"\nat {len(mixed)} of them a view runs axes together: see diagnose"
    answer = _set_answer(found) | {"scrambled": mixed}
    answer["reasons"] = [
        {"node": r.node, "requires": str(r.requirement), "why": r.requirement.why} for r in reasons
    ]
    _show(answer, text.rstrip("\n"), as_json)
    if not found:
        sys.exit(1)


@main.command()
@click.argument("input", metavar="224")
@click.argument("output", metavar="112")
@click.option("--layer", default="Conv2d", help="Conv2d, ConvTranspose2d, MaxPool2d, ...")
@click.option("--with", "fixed", metavar="NAME=N", help="Hyperparameters: kernel_size=3,stride=2.")
@click.option("--limit", type=int, default=10, help="At most so many (10).")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@_answers
def layer(
    input: str, output: str, layer: str, fixed: str | None, limit: int, as_json: bool
) -> None:
    """The hyperparameters that lead from one size to another: 224 to 112, 224x112 to 112x112."""
    from symcnn.questions.layer.hyper import solve_layer

    sizes = [parse_target(size) for size in (input, output)]
    pair = [size[0] if len(size) == 1 else size for size in sizes]
    found = solve_layer(layer, *pair, limit=limit, **(parse_ranges(fixed) if fixed else {}))
    _show(
        {"layers": [{"layer": c.layer, **c.values} for c in found]},
        "\n".join(map(repr, found)),
        as_json,
    )


@main.command()
@click.option("--size", metavar="500x375", required=True, help="The size there is.")
@_network_command
@_answers
def nearest(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool, size: str
) -> None:
    """The nearest input that works, by padding, cropping or resizing."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    found = net.nearest_valid(**_sizes(net, size))
    answer = {"sizes": dict(found.sizes), "valid": found.valid}
    for way in found.ways:
        answer[way.kind] = {"sizes": dict(way.sizes), "pad": way.pad, "output_crop": way.crop}
    _show(answer, str(found), as_json)


@main.command()
@click.option("--size", metavar="227x227", required=True, help="Or N=1,H=227,W=227.")
@_network_command
@_answers
def diagnose(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool, size: str
) -> None:
    """What happens at a size: where it fails, why, and every way out."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    found = net.diagnose(**_sizes(net, size))
    failure = None if found.failure is None else asdict(found.failure)
    traps = [asdict(trap) for trap in found.traps]
    answer = {"sizes": dict(found.sizes), "ok": found.ok, "failure": failure}
    answer |= {"ways": found.ways, "traps": traps, "unread": dict(found.unread)}
    _show(answer, str(found), as_json)
    if not found.ok:
        sys.exit(1)


@main.command()
@click.option("--size", metavar="227x227", help="Give numbers for this size.")
@click.option(
    "--output", metavar="HxW", help="Instead: the padding that makes the output so large."
)
@_network_command
@_answers
def fix(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    size: str | None,
    output: str | None,
) -> None:
    """What every Linear and view constant should be; or the padding that keeps the size."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    if output is not None:
        ways = net.fix(output=output)
        _show({"ways": ways}, "\n".join(map(str, ways)), as_json)
        return
    found = net.fix(**({} if size is None else _sizes(net, size)))
    answer = [
        {"node": f.node, "kind": f.kind, "was": f.was, "formula": str(f.formula)}
        | {"value": f.value, "right": None if f.value is None else f.right, "line": f.line}
        for f in found
    ]
    text = "\n".join(map(str, found)) or "no constant of this network fixes the input size"
    _show({"fixes": answer}, text, as_json)


def _sizes(net: Network, text: str) -> dict[str, int]:
    """``N=1,H=227,W=227``, or ``227x227`` for the axes that the domain speaks of."""
    if "=" in text:
        return parse_assignments(text)
    sizes = parse_target(text)
    names = net.valid_inputs().shown
    if len(sizes) != len(names) or not all(isinstance(s, int) for s in sizes):
        raise BadSpec(f"{text!r} is not a size for each of {', '.join(names)}")
    return dict(zip(names, sizes, strict=True))  # type: ignore[arg-type]


def _without(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what may be left out of account."""
    for option in (
        click.option("--no-statistics", is_flag=True, help="Leave out the statistics of norms."),
        click.option("--no-gates", is_flag=True, help="Leave out squeeze-excite and its kin."),
    ):
        command = option(command)
    return command


@main.command()
@click.option("--size", metavar="1000x1000", required=True, help="The size of the whole.")
@click.option("--tile", metavar="256", help="Rows of the input per tile, or 256x128.")
@click.option("--peak", metavar="AMOUNT", help='Instead: the memory of a tile, "8 GiB".')
@click.option("--svg", metavar="FILE", help="Write a picture of the first axis.")
@_without
@_network_command
@_answers
def tiles(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    size: str,
    tile: str | None,
    peak: str | None,
    svg: str | None,
    no_statistics: bool,
    no_gates: bool,
) -> None:
    """Tiles that, run one by one, give the output of the whole, exactly."""
    net = _network(network, inputs, train=train)
    wanted = None if tile is None else parse_numbers(tile, "x", "256")
    sizes: dict[str, Any] = {**_sizes(net, size)}
    found = net.tiles(
        wanted[0] if wanted and len(wanted) == 1 else wanted,
        peak=peak,
        at=at,
        gates=not no_gates,
        statistics=not no_statistics,
        **sizes,
    )
    if svg is not None:
        Path(svg).write_text(found.draw())
    _show(_plain(found), str(found), as_json)


@main.command()
@click.option("--size", metavar="H=1024", required=True, help="The size of what is divided.")
@click.option("--parts", metavar="4", required=True, help="How many parts, or 4x2.")
@_without
@_network_command
@_answers
def shards(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    size: str,
    parts: str,
    no_statistics: bool,
    no_gates: bool,
) -> None:
    """The rows that each part of a divided input needs of its neighbours."""
    net = _network(network, inputs, train=train)
    counts = parse_numbers(parts, "x", "4")
    found = net.shards(
        counts[0] if len(counts) == 1 else counts,
        at=at,
        gates=not no_gates,
        statistics=not no_statistics,
        **_sizes(net, size),
    )
    _show(_plain(found), str(found), as_json)


@main.command()
@click.option("--axis", metavar="L", help="The axis that has no end, where there are several.")
@_without
@_network_command
@_answers
def stream(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    axis: str | None,
    no_statistics: bool,
    no_gates: bool,
) -> None:
    """How it runs along an axis without end: what it keeps, and what it waits for."""
    net = _network(network, inputs, train=train)
    options = {"gates": not no_gates, "statistics": not no_statistics}
    found = net.stream(axis, at=at, **options)
    _show(_plain(found) | {"final": str(found.final("n"))}, str(found), as_json)


@main.command()
@_network_command
@click.argument("other", metavar="OTHER.py:NAME")
@_answers
def agree(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool, other: str
) -> None:
    """At which sizes two networks make the same shapes and read the same places."""
    from symcnn.questions.place.agree import agree

    nets = [_network(target, inputs, train=train) for target in (network, other)]
    found = agree(*(net.at(at) if at else net for net in nets))
    _show(_plain(found), str(found), as_json)
    if not found.sizes:
        sys.exit(1)


@main.command()
@_network_command
@_answers
def pools(
    network: str, inputs: tuple[str, ...], at: str | None, train: bool, as_json: bool
) -> None:
    """For each adaptive pool the plain pool that it is, and where."""
    net = _network(network, inputs, train=train)
    found = (net.at(at) if at else net).plain_pools()
    text = "\n".join(map(str, found)) or "the network has no adaptive pool"
    _show({"pools": found}, text, as_json)


@main.command()
@click.option("--images", metavar="300x400=12,640x640", required=True, help="Sizes, and how many.")
@click.option("--buckets", "k", type=int, metavar="K", required=True, help="How many at most.")
@click.option("--cost", default="macs", show_default=True, help="macs, peak, pixels, or H*W.")
@_network_command
@_answers
def buckets(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    images: str,
    k: int,
    cost: str,
) -> None:
    """The sizes to pad images to, at the least cost."""
    from symcnn.questions.place.buckets import buckets

    net = _network(network, inputs, train=train)
    histogram: dict[tuple[int, ...], int] = {}
    for item in images.split(","):
        size, _, count = item.partition("=")
        (number,) = parse_numbers(count, "x", "12") if count else (1,)
        key = parse_numbers(size, "x", "300x400")
        histogram[key] = histogram.get(key, 0) + number
    found = buckets(net.at(at) if at else net, histogram, k, cost)
    _show(_plain(found), str(found), as_json)


@main.command()
@click.option("--wrt", metavar="NAME", help="A module, node or input to look back to.")
@click.option("--sizes", metavar="H=224,W=224", help="Exact and clipped, at these sizes.")
@click.option("--index", type=int, metavar="I", help="The interval of one output index.")
@click.option("--table", "as_table", is_flag=True, help="One row per layer.")
@click.option("--plot", metavar="FILE.png", help="The effective field, with --sizes.")
@click.option("--no-gates", is_flag=True, help="Look through squeeze-excite and its kin.")
@click.option("--no-statistics", is_flag=True, help="Look through group, layer, instance norms.")
@_network_command
@_answers
def rf(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    wrt: str | None,
    sizes: str | None,
    index: int | None,
    as_table: bool,
    plot: str | None,
    no_gates: bool,
    no_statistics: bool,
) -> None:
    """What an output place sees of the input: size, stride, padding, interval."""
    net = _network(network, inputs, train=train)
    field = net.receptive_field(at, wrt, gates=not no_gates, statistics=not no_statistics)
    values = parse_assignments(sizes) if sizes else None
    count = range(len(field.axes))
    if plot is not None:
        _plot_effective(network, inputs, at, plot, values)
    if values is not None:
        exact = field.at(**values)
        answer: dict[str, Any] = {"sizes": exact.values, "axes": {}}
        for k, name in zip(count, field.axes, strict=True):
            answer["axes"][name] = {
                "min": exact.min[k],
                "max": exact.max[k],
                "mean": round(exact.mean[k], 3),
                "density": round(exact.density(k), 3),
                "unread": exact.unread(k),
                "padding_only": exact.padding_only(k),
                "interval": None if index is None else exact.interval(index, k),
            }
        lines = [
            f"{name}: {row['min']} to {row['max']} wide, {row['mean']} on average"
            + (f"; output {index} sees {row['interval']}" if index is not None else "")
            + (f"; input {row['unread']} is never read" if row["unread"] else "")
            + (f"; outputs {row['padding_only']} see only padding" if row["padding_only"] else "")
            for name, row in answer["axes"].items()
        ]
        _show(answer, "\n".join(lines), as_json)
        return
    answer = {
        "axes": list(field.axes),
        **field.row(),
        "intervals": [field.interval_text_or_none(k) for k in count],
        "assumptions": [str(c) for c in field.assumptions],
        "branches": [str(b) for b in field.branches],
        "checkerboard": list(field.checkerboard),
        "smallest": field.smallest.row(),
        "feasible": field.feasible,
        "alignment": _alignment(field),
    }
    if index is not None:
        answer["interval"] = [field.interval(index, k) for k in count]
    if as_table:
        answer["layers"] = field.table()
    if as_json:
        _show(answer, "", as_json)
        return
    from rich.console import Console

    from symcnn.words.text import layers_table, receptive_field_table

    console = Console()
    if as_table:
        console.print(layers_table(field))
        click.echo()
    console.print(receptive_field_table(field))
    for k, name in zip(count, field.axes, strict=True):
        if index is not None:
            click.echo(f"{name}: output {index} sees {answer['interval'][k]}")
    least, most = field.feasible
    if least != most:
        click.echo(f"for images of {' x '.join(map(str, least))} to {' x '.join(map(str, most))}")
    for title, lines in (
        ("for sizes with", answer["assumptions"]),
        ("branches that are not aligned:", answer["branches"]),
        ("checkerboard risk:", answer["checkerboard"]),
    ):
        if lines:
            click.echo(f"{title} {'; '.join(lines)}")


@main.command()
@click.option("--by", type=click.Choice(["module", "node"]), default="module", show_default=True)
@click.option("--depth", type=int, metavar="N", help="How deep the module tree is shown.")
@click.option(
    "--convention",
    default="macs",
    show_default=True,
    metavar="NAME",
    help="macs, flops, fvcore, thop, ptflops or torchinfo.",
)
@click.option("--under", metavar="CONDITION", multiple=True, help='Such as "H % 32 == 0".')
@click.option(
    "--show", "columns", metavar="COLUMN", multiple=True, help="Columns of the table, in order."
)
@click.option("--peak", type=float, metavar="FLOP/S", help="With --bandwidth: a roofline.")
@click.option("--bandwidth", type=float, metavar="BYTE/S", help="With --peak: a roofline.")
@click.option("--partial", is_flag=True, help="Operations without a cost count as nothing.")
@_network_command
@_answers
def cost(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    by: str,
    depth: int | None,
    convention: str,
    under: tuple[str, ...],
    columns: tuple[str, ...],
    peak: float | None,
    bandwidth: float | None,
    partial: bool,
) -> None:
    """What it costs: parameters and work per module, as formulas or at sizes (--at H=224,W=224)."""
    net = _network(network, inputs, train=train)
    sizes = parse_assignments(at) if at and "=" in at else None
    if at and sizes is None:
        net = net.at(at)
    found = net.cost(convention, partial=partial)
    if under:
        found = found.under(*under)
    if sizes is not None:
        found = found.at(**sizes)
    if (peak is None) != (bandwidth is None):
        raise click.UsageError("give both --peak and --bandwidth")
    from symcnn.words.cost import cost_table, roofline_table, totals
    from symcnn.words.text import to_text

    width = shutil.get_terminal_size((100, 24)).columns

    if peak is not None and bandwidth is not None:
        roofs = found.roofline(peak, bandwidth)
        if as_json:
            _show({"roofline": [asdict(r) for r in roofs]}, "", as_json)
        else:
            click.echo(to_text(roofline_table(roofs), width))
        return
    shown = columns or ("params", "work", "share")
    if as_json:
        _show(found.to_dict(by, shown, depth), "", as_json)
        return
    click.echo(to_text(cost_table(found, by, shown, depth), width).rstrip("\n"))
    click.echo(f"\n{totals(found)}")


@main.command()
@click.option("--what", help="size, field, params, macs, domain or solution.")
@click.option("--axis", help="The axis of size and field, such as H.")
@click.option("--output", "target", metavar="7x7", help="Derive which inputs give this.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "html"]),
    default="text",
    help="How the derivation is written.",
)
@_network_command
@_answers
def explain(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    what: str | None,
    axis: str | None,
    target: str | None,
    form: str,
) -> None:
    """Derive a formula, layer by layer, every step checked."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    derivation = net.explain(
        what, axis=axis, output=None if target is None else parse_target(target)
    )
    parts = derivation.parts or (derivation,)
    answer = {
        "result": derivation.result,
        "derivations": [
            {
                "title": part.title,
                "result": part.result,
                "steps": [
                    {
                        "where": step.where,
                        "about": step.about,
                        "law": step.law,
                        "lines": [{"text": str(li), "note": li.note} for li in step.lines],
                    }
                    for step in part.steps
                ],
            }
            for part in parts
        ],
    }
    written = str(derivation) if form == "text" else getattr(derivation, f"to_{form}")()
    _show(answer, written, as_json)


@main.command()
@click.option("--what", default="table", help="table, formulas, derivation or document.")
@click.option("--sizes", metavar="H=224,W=224", help="Sizes at which the table has numbers.")
@click.option("--depth", type=int, help="One row per module at this depth.")
@click.option("--siunitx", is_flag=True, help="Numbers for the package siunitx.")
@click.option("--floors", default="brackets", help="brackets, inline, division or shortest.")
@_network_command
@_answers
def latex(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    what: str,
    sizes: str | None,
    depth: int | None,
    siunitx: bool,
    floors: str,
) -> None:
    """LaTeX for a paper: the architecture table, the formulas, the derivation, a document."""
    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    values = parse_assignments(sizes) if sizes else None
    text = net.to_latex(what, at=values, depth=depth, siunitx=siunitx, floors=floors)
    _show({"what": what, "latex": text}, text, as_json)


@main.command()
@click.option("--sizes", metavar="H=227,W=227", help="The sizes at which figures are claimed.")
@click.option("--claim", "claims", multiple=True, required=True, help='Such as "conv1 = 55".')
@_network_command
@_answers
def check(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    sizes: str | None,
    claims: tuple[str, ...],
) -> None:
    """Check other people's figures and formulas; exit status 1 if one is wrong."""
    from symcnn.questions.proof.claims import check as check_claims

    net = _network(network, inputs, train=train)
    if at:
        net = net.at(at)
    report = check_claims(net, claims, at=parse_assignments(sizes) if sizes else None)
    answer = {"right": bool(report), "verdicts": [asdict(verdict) for verdict in report]}
    _show(answer, str(report), as_json)
    if not report:
        sys.exit(1)


def _alignment(field: Any) -> list[dict[str, Any]]:
    """Where the centres lie, per axis; none where every place sees the same."""
    try:
        return [asdict(axis) for axis in field.alignment]
    except Undecidable:
        return []


def _plot_effective(
    network: str, inputs: tuple[str, ...], at: str | None, path: str, values: dict[str, int] | None
) -> None:
    """Gradient magnitudes of the centre output as a picture."""
    from symcnn.frontends.effective import effective_receptive_field

    if values is None or len(inputs) != 1:
        raise click.UsageError("--plot takes --sizes H=224,W=224, and a network of one input")
    module = _module(network, "cpu")
    if not hasattr(module, "register_forward_hook"):
        raise BadSpec(f"{network} is no torch.nn.Module: there are no weights to look at")
    effective_receptive_field(module, inputs[0], at=at, **values).plot(path)
    click.echo(f"wrote {path}")


@main.command()
@click.option("--device", default="meta", show_default=True, help="meta, cpu or cuda.")
@click.option("--samples", default=24, show_default=True, help="How many sizes.")
@click.option("--seed", default=0, show_default=True, help="Reproduces the sizes.")
@click.option("--dtype", metavar="NAME", help="Cast to float16, bfloat16, float32 or float64.")
@click.option("--channels-last", is_flag=True, help="In torch.channels_last.")
@click.option("--junit", type=click.Path(dir_okay=False), metavar="FILE", help="JUnit XML, too.")
@_network_command
@_answers
def validate(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    device: str,
    samples: int,
    seed: int,
    junit: str | None,
    dtype: str | None,
    channels_last: bool,
) -> None:
    """Compare with torch at many sizes; exit status 1 if they differ anywhere."""
    from symcnn.frontends import from_torch

    if at:
        raise BadSpec("validate looks at the whole network", cure="leave out --at")
    module = _module(network, "meta" if device == "meta" else "cpu")
    if not hasattr(module, "register_forward_hook"):
        raise BadSpec("this is a symcnn.nn module", cure="name the torch.nn.Module to compare with")
    net = from_torch(module.train(train), *inputs)
    report = net.validate(
        module, device, samples=samples, seed=seed, dtype=dtype, channels_last=channels_last
    )
    if junit:
        Path(junit).write_text(report.to_junit(), encoding="utf-8")
    _show(report.to_dict(), str(report), as_json)
    if not report:
        sys.exit(1)


@main.command()
@click.option("--by", default="isl", type=click.Choice(["isl", "z3", "both"]), help="The prover.")
@click.option("--smtlib", metavar="FOLDER", help="Write each claim as SMT-LIB 2 there.")
@_network_command
@_answers
def prove(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    by: str,
    smtlib: str | None,
) -> None:
    """Prove the closed forms, layer by layer, for all sizes; exit status 1 if one is wrong."""
    net = _network(network, inputs, train=train)
    proof = (net.at(at) if at else net).prove(by=by)
    if smtlib:
        proof.to_smtlib(smtlib)
    _show(proof.to_dict(), str(proof), as_json)
    if not proof:
        sys.exit(1)


@main.command()
@click.option(
    "--for",
    "target",
    required=True,
    metavar="TOOL",
    help="torch.export, jax, tensorrt, openvino, onnx, bioimageio, spandrel or jaxtyping.",
)
@click.option("--sizes", metavar="N=1,H=32..1024", help="What is asked of sizes: fixed, or ranges.")
@_network_command
@_answers
def spec(
    network: str,
    inputs: tuple[str, ...],
    at: str | None,
    train: bool,
    as_json: bool,
    target: str,
    sizes: str | None,
) -> None:
    """The sizes that the network takes, as another tool wants them said."""
    net = _network(network, inputs, train=train)
    found = (net.at(at) if at else net).spec(target, **(parse_ranges(sizes) if sizes else {}))
    _show(asdict(found), str(found), as_json)


@main.command()
@click.argument("model", metavar="FILE.onnx")
@click.argument("out", metavar="OUT.onnx")
@click.option(
    "--input",
    "inputs",
    metavar="SHAPE",
    multiple=True,
    help='Shape of an input, such as "N 3 H W" or "x=N 3 H W"; by default as the file says.',
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@_answers
def annotate(model: str, out: str, inputs: tuple[str, ...], as_json: bool) -> None:
    """Write the shape of every tensor into a model of ONNX, as formulas, for viewers."""
    from symcnn.frontends.onnx.annotate import annotate as annotate_model

    told = annotate_model(model, out, _named(inputs))
    count = len(told.graph.value_info) + len(told.graph.output)
    _show({"out": out, "tensors": count}, f"wrote {out}: {count} tensors with shapes", as_json)


@main.command()
@click.option("--layers", default=200_000, show_default=True, help="How many layer cases.")
@click.option("--networks", default=2_000, show_default=True, help="How many networks.")
@click.option("--domains", default=100, show_default=True, help="How many at every size.")
@click.option("--fields", default=100, show_default=True, help="How many receptive fields.")
@click.option("--places", default=100, show_default=True, help="Tiles, shards, streams, agreement.")
@click.option("--seed", default=0, show_default=True, help="Reproduces every case.")
@click.option("--device", default="", help="Where they run; else layers on CPU, networks on meta.")
@click.option("--processes", type=click.IntRange(min=1), help="How many (default: one per core).")
@click.option("--state", metavar="FILE", help="Keep what is done, and go on from there.")
@click.option("--report", metavar="FILE.md", help="Write a summary in Markdown.")
@click.option("--case", metavar="layer:N", help="Only this; network:N, domain:N, field:N, place:N.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@_answers
def sweep(
    layers: int,
    networks: int,
    domains: int,
    fields: int,
    places: int,
    seed: int,
    device: str,
    processes: int | None,
    state: str | None,
    report: str | None,
    case: str | None,
    as_json: bool,
) -> None:
    """Random layers, networks, domains, receptive fields, judged by torch; 1: one differs."""
    try:
        from symcnn.judge.validate import check_device
        from symcnn.testing.campaign import Campaign
        from symcnn.testing.sweep import judge_cases, parse_case, told
    except ImportError as error:
        raise BadSpec(f"{error.name} is missing", cure="pip install 'symcnn[torch,test]'") from None
    if device:
        check_device(device)
    if case is not None:
        what, number = parse_case(case)
        tally = judge_cases(what, seed, [number], device)
        text = "\n".join([told(what, seed, number), *map(str, tally.mismatches)])
        _show(tally.to_dict(), f"{text}\n{tally.wrong} mismatches", as_json)
        sys.exit(1 if tally.wrong else 0)
    file = Path(state) if state else None
    campaign = Campaign(seed, device) if file is None else Campaign.load(file, seed, device)
    asked = {"layer": layers, "network": networks, "domain": domains, "field": fields}
    asked["place"] = places
    counts = {what: n for what, n in asked.items() if n > 0}
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        bars = {what: progress.add_task(f"{what}s", total=n) for what, n in counts.items()}

        def show(now: Campaign) -> None:
            for what, bar in bars.items():
                progress.update(bar, completed=now.done_below(what, counts[what]))

        show(campaign)
        complete = campaign.run(
            counts, processes=processes or os.cpu_count() or 1, path=file, told=show
        )
    if report:
        Path(report).write_text(campaign.to_markdown(), encoding="utf-8")
    text = str(campaign) if complete else f"{campaign}\nstopped early"
    _show(campaign.to_dict() | {"complete": complete}, text, as_json)
    sys.exit(0 if complete and not campaign.tally.wrong else 1)


def _ends(found: InputSet) -> str:
    if not found or isinstance(found, Relation):
        return ""
    text = f"smallest {_member(found.smallest())}"
    count = found.count()
    if count is not None:
        text += f", largest {_member(found.largest())}, {count:,} in all"
    return text + "\n"


def _member(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _set_answer(found: InputSet) -> dict[str, Any]:
    answer: dict[str, Any] = {"at": found.at or None, "set": found.describe()}
    if found.note:
        answer["note"] = found.note
    if isinstance(found, Relation):
        return answer | {"set": str(found), "parameters": found.parameters}
    bounded = bool(found) and found.bounded
    if not isinstance(found, BudgetedSet):
        answer["axes"] = {
            name: [[r.first, r.last, r.step] for r in found.axis(name).runs()]
            for name in found.shown
        }
    elif bounded and len(found.shown) == 2:
        answer["frontier"] = found.frontier()
    return answer | {
        "smallest": found.smallest() if found else None,
        "largest": found.largest() if bounded else None,
        "count": found.count() if found else 0,
    }


def _plain(value: Any) -> Any:
    """Sympy expressions as text, for JSON."""
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k if isinstance(k, str) else str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, slice):
        return [value.start, value.stop]
    if isinstance(value, InputSet):
        return value.describe()
    if is_dataclass(value) and not isinstance(value, type):
        shown = [f.name for f in fields(value) if not f.name.startswith("_")]
        return {name: _plain(getattr(value, name)) for name in shown}
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


def _show(answer: dict[str, Any], text: str, as_json: bool) -> None:
    """Print an answer; JSON of a network with branches waits until each has said its own."""
    asking: _Asking = click.get_current_context().ensure_object(_Asking)
    if not as_json:
        click.echo(text.rstrip("\n"))
    elif asking.whole is not None:
        where = asking.whole.branches[asking.branch].where.describe()
        asking.said.append({"where": where, **answer})
    else:
        holds = {"holds": asking.scope} if asking.scope else {}  # the network is not complete
        click.echo(json.dumps(_plain({**answer, **holds}), indent=2))


def _close(asking: _Asking, as_json: bool) -> None:
    """What is to be said after the answers of all branches."""
    if asking.said:
        asking.whole = None
        _show({"branches": asking.said}, "", as_json)
    if asking.scope and not as_json:
        mark = "% " if click.get_current_context().command.name == "latex" else ""
        click.echo(f"{mark}holds {asking.scope}")
