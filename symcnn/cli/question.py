"""A question on the command line: a function from what is asked, `Ask`, to a `Reply`.

``@question`` makes a command of it: the network, ``--input``, ``--module``, ``--sizes``,
``--train`` and ``--json`` are said here for all. Where a forward branches on sizes, a question
whose answer is a derivation or a table is asked of each branch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from functools import wraps
from inspect import getdoc
from typing import TYPE_CHECKING, get_args

import click

from symcnn.algebra.factor import Floors, floors_written
from symcnn.cli import sizes as written
from symcnn.cli.group import main
from symcnn.cli.name import Name
from symcnn.cli.reply import NO, Reply, plain, to_json
from symcnn.cli.target import default_inputs, module_of, read, traced
from symcnn.lazy import cached_property
from symcnn.network import Network
from symcnn.progress import silent, waiting
from symcnn.trace.branches import Branch

if TYPE_CHECKING:
    from symcnn.cli.target import Module

Question = Callable[..., Reply]


class Ask:
    """What the shared options say: which network, which place in it, which sizes.

    Attributes:
        target: the name of the network. inputs: the shapes of its inputs, as written.
        module: the place to look at, or None. texts: the sizes, as written. train: which mode.
    """

    def __init__(
        self,
        target: str,
        inputs: tuple[str, ...] = (),
        *,
        module: str | None = None,
        texts: tuple[str, ...] = (),
        train: bool = False,
    ) -> None:
        self.target, self.inputs, self.module = target, inputs, module
        self.texts, self.train = texts, train
        self.branch: Branch[Network] | None = None
        self.other = ""  # the name again, of a network beside the first
        self.assumed: dict[str, tuple[str, ...]] = {}  # shapes of inputs that nobody gave

    @cached_property
    def whole(self) -> Network:
        """The network, with all its branches."""
        root = click.get_current_context().find_root()
        root.obj, before = self, root.obj  # of which an error is
        if self.target.endswith(".onnx"):
            found = read(self.target, self.inputs)
        else:
            module = module_of(self.target)
            found = module if isinstance(module, Network) else self.traced(module)
        root.obj = before
        return found

    def traced(self, module: Module) -> Network:
        """The network that a module is, on these inputs."""
        return traced(module, self.shapes(module), train=self.train)

    def shapes(self, module: Module) -> tuple[str, ...]:
        """The shapes of its inputs: as given, or as its first layer says."""
        if not self.inputs and self.target not in self.assumed:
            self.assumed[self.target] = default_inputs(module)
        return self.inputs or self.assumed[self.target]

    @property
    def notes(self) -> dict[str, object]:
        """What there is to know besides the answer: what it holds for, and what was assumed."""
        shapes = dict(self.assumed)
        alike = len(set(shapes.values())) == 1
        assumed = next(iter(shapes.values())) if alike else shapes
        found = {"network": self.other, "holds": self.scope, "assumed_inputs": plain(assumed)}
        return {key: value for key, value in found.items() if value}

    def say_assumed(self) -> None:
        """Say on standard error which shapes were assumed."""
        for shapes in dict.fromkeys(self.assumed.values()):
            listed = " ".join(f'--input "{shape}"' for shape in shapes)
            click.echo(f"with {listed}, as the first layer says", err=True)

    @property
    def scope(self) -> str:
        """For which sizes the answer holds, where it does not hold for all."""
        return self.__dict__["whole"].scope if "whole" in self.__dict__ else ""

    @property
    def network(self) -> Network:
        """The network, or the branch whose turn it is."""
        return self.whole if self.branch is None else self.branch.network

    @property
    def net(self) -> Network:
        """The same, up to the place that ``--module`` names."""
        return self.network.at(self.module) if self.module else self.network

    @property
    def sizes(self) -> dict[str, int]:
        """The numbers that ``--sizes`` gives."""
        return written.fixed(self.whole, self.texts)

    @property
    def ranges(self) -> dict[str, int | range]:
        """The numbers and ranges that ``--sizes`` gives."""
        return written.ranged(self.whole, self.texts)

    def of(self, target: str) -> Ask:
        """The same, asked of another network."""
        ask = Ask(target, self.inputs, module=self.module, texts=self.texts, train=self.train)
        ask.assumed, ask.other = self.assumed, target
        return ask


def question(
    *, sizes: str = "", required: bool = False, by_branch: bool = False
) -> Callable[[Question], click.Command]:
    """A command that asks a network.

    Args:
        sizes: what ``--sizes`` means for this question; "" if it takes no sizes.
        required: whether sizes must be given, where a network leaves any open beside the batch.
        by_branch: whether the answer is a derivation or a table: each branch has its own.
    """

    def register(function: Question) -> click.Command:
        def run(
            network: str,
            inputs: tuple[str, ...],
            module: str | None,
            at: str | None,
            train: bool,
            as_json: bool,
            debug: bool,
            texts: tuple[str, ...] = (),
            size: tuple[str, ...] = (),
            **options: object,
        ) -> None:
            texts += size
            if at and sizes and "=" in at:
                texts, at = (*texts, at), None
            ask = Ask(network, inputs, module=module or at, texts=texts, train=train)
            click.get_current_context().find_root().obj = ask
            if required and not texts and {*ask.whole.symbols} - ask.whole.batch - {"N"}:
                raise click.UsageError("Missing option '--sizes'.", click.get_current_context())
            answer(ask, function, options, as_json=as_json, by_branch=by_branch)

        shared = [*_sizes(sizes, required), *SHARED, _AT]
        return _registered(function, run, [_NETWORK], shared)

    return register


def floors_option(function: Question) -> Question:
    """``--floors``: how a question's text writes floors."""

    @wraps(function)
    def styled(*args: object, floors: Floors | None, **options: object) -> Reply:
        with floors_written(floors):
            return function(*args, **options)

    return click.option(
        "--floors",
        type=click.Choice(get_args(Floors)),
        help="How floors are written: (H - 1)//2 (division), floor((H - 1)/2) (brackets, "
        "inline: which differ in LaTeX only), or ceil(H/32) where shorter (shortest).",
    )(styled)


def command(function: Question) -> click.Command:
    """A command that is not about one network: its own arguments, and ``--json``."""

    def run(as_json: bool, debug: bool, **options: object) -> None:
        with _quiet(as_json), _patient(as_json):
            reply = function(**options)
        click.echo(to_json(reply.data) if as_json else str(reply))
        if not reply.ok:
            click.get_current_context().exit(NO)

    return _registered(function, run, [], [_JSON, _DEBUG])


_NETWORK = click.Argument(["network"], metavar="NETWORK", type=Name())
_INPUT = click.Option(
    ["--input", "inputs"],
    metavar="SHAPE",
    multiple=True,
    help='Shape of an input, such as "N 3 H W", once per input; by default what the first layer, '
    "or the file, says.",
)
_MODULE = click.Option(["--module"], metavar="NAME", help='A module or node, such as "layer4".')
_AT = click.Option(["--at"], hidden=True)  # as --module, or --sizes, was written once
_TRAIN = click.Option(["--train"], is_flag=True, help="Training mode (default: eval).")
_JSON = click.Option(["--json", "as_json"], is_flag=True, help="Answer in JSON, errors too.")
_DEBUG = click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.")


#: How sizes are written.
FORMS = "H=224,W=224, 224x224, or 224 for all axes; may be repeated"

#: The options of every question of a network.
SHARED: list[click.Parameter] = [_MODULE, _INPUT, _TRAIN, _JSON, _DEBUG]


def _sizes(meaning: str, required: bool) -> list[click.Parameter]:
    if not meaning:
        return []
    told = f"{meaning} {FORMS}{' (required)' if required else ''}."
    return [
        click.Option(["--sizes", "texts"], metavar="SIZES", multiple=True, help=told),
        click.Option(["--size"], multiple=True, hidden=True),
    ]


def _registered(
    function: Question,
    run: Callable[..., None],
    first: list[click.Parameter],
    last: list[click.Parameter],
) -> click.Command:
    """A command of `main`, its own options in front of those that all have."""
    own: list[click.Parameter] = getattr(function, "__click_params__", [])
    run.__module__ = function.__module__
    made = click.Command(
        function.__name__.strip("_"),
        params=[*first, *reversed(own), *last],
        callback=run,
        help=getdoc(function),
    )
    main.add_command(made)
    return made


def answer(
    ask: Ask, function: Question, options: dict[str, object], *, as_json: bool, by_branch: bool
) -> None:
    """Ask, of each branch where there are several, and say the answers."""
    context = click.get_current_context()
    said: list[tuple[Branch[Network] | None, Reply]] = []
    with _quiet(as_json), _patient(as_json):
        several = by_branch and not ask.texts and len(ask.whole.branches) > 1
        for branch in ask.whole.branches if several else (None,):
            ask.branch = branch
            said.append((branch, function(ask, **options)))
            if not as_json:
                _print(ask, *said[-1], first=len(said) == 1)
    mark = "% " if context.command.name == "latex" else ""
    if as_json:
        click.echo(to_json(_data(ask, said)))
    elif ask.scope and not any(ask.scope in str(reply) for _, reply in said):
        click.echo(f"{mark}holds {ask.scope}")
    if not all(reply.ok for _, reply in said):
        context.exit(NO)


def _print(ask: Ask, branch: Branch[Network] | None, reply: Reply, *, first: bool) -> None:
    if first:
        ask.say_assumed()
    if branch is not None:
        click.echo(f"{'' if first else chr(10)}for {branch.where.describe()}:")
    click.echo(str(reply))


def _data(ask: Ask, said: list[tuple[Branch[Network] | None, Reply]]) -> dict[str, object]:
    """The answer in JSON: of each branch, for which sizes it holds, and what was assumed."""
    (branch, reply), *_ = said
    data = reply.data
    if branch is not None:
        data = {"branches": [{"where": plain(b.where), **r.data} for b, r in said if b]}
    return data | ask.notes


def _quiet(as_json: bool) -> AbstractContextManager[object]:
    """Where JSON is asked for, what a model prints goes to standard error."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def _patient(as_json: bool) -> AbstractContextManager[object]:
    """A spinner for what takes long, where people read."""
    name = click.get_current_context().command.name
    return silent() if as_json else waiting(f"{name} ...")
