"""The command itself: its subcommands by subject, and what is said where one fails.

Every error ends here, that of an option too: as one clear message, or as JSON where ``--json``
stands anywhere on the line, and with the exit status of its kind.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

import click

from symcnn import __version__
from symcnn.cli.reply import BAD_USE, FAULT, INTERRUPTED, as_error, status_of, to_json
from symcnn.errors import SymcnnError


class Shell(click.Group):
    """A group whose errors are said once, and whose default question is ``summary``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note which of the options that errors ask for stand on the line."""
        ctx.meta["json"], ctx.meta["debug"] = "--json" in args, "--debug" in args
        with _said(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, and say what went wrong."""
        with _said(ctx):
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of this name; a network without a command asks for its summary."""
        name = args[0]
        if name not in self.commands:
            if ":" in name or name.endswith((".onnx", ".py")):
                return super().resolve_command(ctx, ["summary", *args])
            near = get_close_matches(name, self.commands, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "symcnn --help lists them"
            ctx.fail(f"there is no command {name}; {hint}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of their subjects."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under the subject that the first line of their module names."""
        subjects: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                subject = subject_of(command)
                subjects.setdefault(subject, []).append((name, command.get_short_help_str(200)))
        for subject, rows in subjects.items():
            with formatter.section(subject):
                formatter.write_dl(rows)


def subject_of(command: click.Command) -> str:
    """What a command is about: the first words of the module in which it stands."""
    module = sys.modules[command.callback.__module__ if command.callback else __name__]
    return (module.__doc__ or "").partition(".")[0].partition(":")[0]


@contextmanager
def _said(ctx: click.Context) -> Iterator[None]:
    """Errors as a message, or as JSON; --debug shows the traceback."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.UsageError as error:
        if not ctx.meta["json"]:
            raise
        usage = error.ctx.get_usage() if error.ctx else ""
        click.echo(to_json(as_error("UsageError", error.format_message(), usage, BAD_USE)))
        ctx.exit(BAD_USE)
    except SymcnnError as error:
        _show(ctx, type(error).__name__, error.cause, error.cure, status_of(error), str(error))
    except KeyboardInterrupt:
        _show(ctx, "KeyboardInterrupt", "interrupted", "", INTERRUPTED, "interrupted")
    except Exception as error:
        kind = type(error).__name__
        cure = "this is a fault of symcnn: please report it, with what --debug shows"
        _show(ctx, kind, str(error), cure, FAULT, f"{error}\n  {cure}")


def _show(ctx: click.Context, kind: str, cause: str, cure: str, status: int, message: str) -> None:
    if ctx.meta["debug"]:
        traceback.print_exc()
    ask = ctx.obj  # None where the command asks no network
    if ctx.meta["json"]:
        click.echo(to_json({**as_error(kind, cause, cure, status), **(ask.notes if ask else {})}))
    else:
        if ask:
            ask.say_assumed()
        if cure:
            message = message.replace(cure, _as_options(cure, ctx))
        click.echo(f"{f'{ask.other}: ' if ask and ask.other else ''}{kind}: {message}", err=True)
        if ask and ask.scope and ask.scope not in message:
            click.echo(f"holds {ask.scope}", err=True)
    ctx.exit(status)


def _as_options(cure: str, ctx: click.Context) -> str:
    """What python is told to give, as the command is given it: ``--module layer4`` for
    ``at="layer4"``. JSON has python's words.
    """
    command = getattr(ctx.command, "commands", {}).get(ctx.invoked_subcommand)
    options = {option.name: option.opts[0] for option in command.params} if command else {}

    def spelled(found: re.Match[str]) -> str:
        name, value = found.groups()
        flag = options.get("module" if name == "at" else name, "")
        if not flag.startswith("--") or value == "True":
            return found[0]
        said = value if " " in value else value.strip('"')
        return flag if value == "False" else f"{flag} {said}"

    return re.sub(r'\b(\w+)=("[^"]*"|\w+)', spelled, cure)


@click.group(cls=Shell, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="symcnn")
def main() -> None:
    """A symbolic shape algebra for convolutional networks.

    NETWORK is PATH.py:NAME, pkg.mod:NAME, either with arguments, NAME(depth=18, weights=None), or
    FILE.onnx. NAME is a torch.nn.Module instance, a class, or a factory. Letters in a shape are
    sizes that stay symbols.

    Exit status: 0 answered; 1 no solution, a mismatch, or a change; 2 bad use.
    """
