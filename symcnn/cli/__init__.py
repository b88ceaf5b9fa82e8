"""The command line: the questions of the library, asked of a network in a file or a package.

A command is a function from what is asked, an `Ask`, to a `Reply`, in the module of its subject.
Everything that commands share is said once: how a network is named (`target`), how sizes are
written (`sizes`), how an answer or an error becomes text or JSON and an exit status (`reply`,
`group`), which options every question takes (`question`).

To add a command: write it under ``@question(...)`` in a module here, and list the module below.
"""

from importlib import import_module

from symcnn.cli.group import main

__all__ = ["main"]

#: The modules of commands, in the order in which ``symcnn --help`` lists them.
SUBJECTS = (
    "table",
    "review",
    "inputs",
    "mend",
    "field",
    "cost",
    "place",
    "proof",
    "words",
    "page",
    "pictures",
    "files",
    "completion",
)

for _subject in SUBJECTS:
    import_module(f"symcnn.cli.{_subject}")
