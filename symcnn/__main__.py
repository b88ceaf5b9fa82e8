"""``python -m symcnn``: the command line."""

from symcnn.cli import main

main(prog_name="symcnn")
