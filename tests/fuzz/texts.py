"""Hostile text: seeds of every kind that is read, mutated, for every place that reads text."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from symcnn.errors import SymcnnError

if TYPE_CHECKING:
    import click

__all__ = ["Fault", "entries", "faults", "mutated"]

_SEEDS = [
    "N 3 H W", "N C H W", "7x7", "7x*", "5..8x>=7", "H/4xW/4", "hxw", "2*Hx2*W", "H=224,W=224",
    "N=8,k=1..11", "H=224", "8 GiB", "4e9", "1.5G", ">=4e9", "1G..2G", "1e9999999", "224x224",
    "(H - 11)/4 + 1", "floor((H - 11)/4) + 1", "max(H, W, 7) - min(H, 3)", "2**2**2**2**2**n",
    "(((9**64)**64)**64)**64", "(H+W+N+C+1)**64", "3**-x % 5", "H % (H % x)", "1/0", "H//0",
    "H%(W%(N%(C%(H%(W%(N%(C%(H%(W%3)))))))))", "H % 32 == 0", "H >= 32 and W % 32 == 0",
    "H % 4 in {0, 3}", "H > 3", "not H", "H if W else N", "lambda: 0", "H[0]", "H.real", "f'{H}'",
    "H % 4 == 0 or W == 3 and N < 7", "4 <= H < 9", "H != 3", "H*W <= 65536", "conv1 = 55",
    "shape(0) = 8x8x8", "params = 18090", "field(0) = 427", "rf = 3", "size(" + 300 * " ",
    "size(0) = (H - 11)/4 + 1", "[16, H//2]", "16, 32, 32", "N 3 H W -> N 8 H/2 W/2",
    "__import__('os').system('true')", "H" * 3000, "(" * 300 + "H", "-" * 1500 + "H",
    "H" + "**H" * 300, "+".join("H" for _ in range(900)), "*".join("(H+1)" for _ in range(200)),
    "9" * 5000, "\n" * 20000, "\x00", "\u212b 3 H W", "\u2167x7", "\u0664x7", "\ud800", "H\u200bW",
    "0 3 H W", "9223372036854775808 3 H W", "1e400", "nan", "inf", "0x10", "1_000", "007", "H=-1",
    "H==3,W", "N=1,N=2", "", " ", ",", "x", "..", "7..3x7", "999999999999999999x7",
]  # fmt: skip

_PIECES = [
    *"HWNCx0179+-*/%()[]{}<>=!,.;:'\"_ \t\n\\|&^~@#$?", "**", "//", "==", ">=", "<=", "..", " and ",
    " or ", " in ", "not ", "min(", "max(", "floor(", "ceil(", "64", "9" * 20, "e9", "GiB", "1/0",
    "lambda ", "\u00b2", "\u0663", "if ", "(H%W)", "2**", "size(", "->",
]  # fmt: skip


def mutated(count: int, seed: int = 0) -> Iterator[str]:
    """The seeds, and texts made of them: pieces put in, taken out, repeated, crossed."""
    draw = random.Random(seed)
    yield from _SEEDS[:count]
    for _ in range(count - len(_SEEDS)):
        text = draw.choice(_SEEDS)
        for _ in range(draw.randint(1, 4)):
            place = draw.randint(0, len(text))
            match draw.randint(0, 4):
                case 0:
                    text = text[:place] + draw.choice(_PIECES) + text[place:]
                case 1:
                    text = text[:place] + text[place + draw.randint(1, 4) :]
                case 2:
                    other = draw.choice(_SEEDS)
                    text = text[:place] + other[draw.randint(0, len(other)) :]
                case 3:
                    text = text[:place] + text[max(0, place - 9) : place] * draw.randint(2, 30)
                case 4:
                    piece = draw.choice(_PIECES)
                    text = text[:place] + piece * draw.randint(2, 40) + text[place:]
        yield text


def entries(main: click.Command) -> dict[str, Callable[[str], object]]:
    """Every place where a user's text is read, by name; main: the command line."""
    import symcnn
    from symcnn import nn
    from symcnn.contracts import check_module
    from symcnn.sets import grammar
    from symcnn.sets.formula import Formula

    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten()).trace("N 3 H W")
    layer = nn.Conv2d(3, 8, 3, padding=1)
    found: dict[str, Callable[[str], object]] = {
        name: getattr(grammar, name)
        for name in grammar.__all__
        if name.startswith("parse_") and name not in ("parse_amount", "parse_numbers")
    }
    return found | {
        "parse_numbers": lambda text: grammar.parse_numbers(text, "x", "8x8"),
        "parse_amount": lambda text: grammar.parse_amount(text, "memory"),
        "tensor": symcnn.tensor,
        "trace": lambda text: layer.trace(text),
        "output=": lambda text: net.solve(output=text),
        "macs=": lambda text: net.solve(macs=text, H=224, N=1),
        "memory=": lambda text: net.solve(memory=text, H=224, N=1),
        "receptive_field=": lambda text: net.solve(receptive_field=text),
        "check": lambda text: symcnn.check(net, [text]),
        "check at sizes": lambda text: symcnn.check(net, [text], at={"H": 32, "W": 32}),
        "check a value": lambda text: symcnn.check(net, {"0": text}),
        "contract": lambda text: check_module(layer, text),
        "contract domain": lambda text: check_module(layer, "N 3 H W -> N 8 H W", domain=text),
        "under": lambda text: Formula(symcnn.H * symcnn.W // 4).under(text),
        "solve": symcnn.solve,
        "explain": lambda text: net.explain("solution", output=text),
        "explain what": lambda text: net.explain(text),
        "axis": lambda text: net.valid_inputs().axis(text),
        "at": net.at,
        "multiple": lambda text: symcnn.multiple("C", of=text),
        "inverse": lambda text: layer.inverse(text),
        **_commands(main),
    }


def _commands(main: click.Command) -> dict[str, Callable[[str], object]]:
    """The command line, on a network in a file."""
    from click.testing import CliRunner

    folder = Path(tempfile.mkdtemp())
    (folder / "net.py").write_text(
        "from symcnn import nn\nnet = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())\n"
    )
    target = f"{folder / 'net.py'}:net"

    def run(*arguments: str) -> None:
        result = CliRunner().invoke(main, [*arguments])
        error = result.exception
        if error is not None and not isinstance(error, SystemExit):
            raise error
        if result.exit_code not in (0, 1, 2):
            raise AssertionError(f"exit status {result.exit_code}")
        if result.exit_code == 2:
            raise SymcnnError(result.output)

    fixed = ("--sizes", "N=1,H=224")
    return {
        "symcnn --input": lambda text: run("shapes", target, "--input", text),
        "symcnn solve --output": lambda text: run("solve", target, "--output", text),
        "symcnn solve --macs": lambda text: run("solve", target, "--macs", text, *fixed),
        "symcnn solve --sizes": lambda text: run("solve", target, "--sizes", text),
        "symcnn shapes --sizes": lambda text: run("shapes", target, "--sizes", text),
    }


@dataclass(frozen=True, slots=True)
class Fault:
    """A text that was not read and not refused, or not in time."""

    entry: str
    text: str
    what: str

    def __str__(self) -> str:
        return f"{self.entry}({json.dumps(self.text[:200])}): {self.what}"


def faults(main: click.Command, count: int, seed: int = 0, seconds: float = 0.2) -> Iterator[Fault]:
    """What is wrong with `count` texts: errors that are no `SymcnnError`, refusals that take more
    than some seconds of processor time. main: the command line.
    """
    places = entries(main)
    names = sorted(places)
    draw = random.Random(seed)
    for number, text in enumerate(mutated(count, seed)):
        several = names if number < len(_SEEDS) else [draw.choice(names)]
        for name in several:
            try:
                took = _refusal(places[name], text)
                # What a first call loads, or a collection of garbage, is not the text's work.
                if took > seconds:
                    took = min(took, _refusal(places[name], text))
            except Exception as error:  # the very thing that is looked for
                yield Fault(name, text, f"{type(error).__name__}: {str(error)[:200]}")
                continue
            if took > seconds:
                yield Fault(name, text, f"refused after {took:.2f} s")


def _refusal(read: Callable[[str], object], text: str) -> float:
    """Seconds of processor time until a reader refused a text in words; 0 if it was read."""
    start = time.process_time()
    try:
        read(text)
    except SymcnnError as error:
        return time.process_time() - start if str(error) else 0.0
    return 0.0
