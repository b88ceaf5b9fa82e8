"""Shell completion: the script for each shell."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, add_completion_class, get_completion_class

from symcnn.cli.question import command
from symcnn.cli.reply import Reply


class _Bash(BashComplete):
    """Bash takes a colon for the end of a word, unless it is told not to."""

    source_template = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}\n" + BashComplete.source_template


add_completion_class(_Bash)


@command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> Reply:
    """The script that completes commands, files and names: eval "$(symcnn completion bash)"."""
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root()
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = kind(root.command, {}, "symcnn", "_SYMCNN_COMPLETE").source()
    return Reply({"shell": shell, "script": script}, script)
