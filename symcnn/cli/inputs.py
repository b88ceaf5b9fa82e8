"""Inputs: which a network accepts, which reach a target, which fit."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, TypeVar

import click

from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.errors import BadSpec, Undecidable
from symcnn.questions.inputs.budget import BudgetedSet
from symcnn.questions.inputs.choices import Choices
from symcnn.sets.grammar import parse_numbers, parse_target
from symcnn.sets.inputset import InputSet
from symcnn.sets.relation import Relation
from symcnn.shown import assignment, by_x

T = TypeVar("T")
_Target = tuple[object, ...]


@question(sizes="Fixed sizes, ranges, or hyperparameters (N=8,k=1..11):")
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
def solve(ask: Ask, targets: tuple[str, ...], **wishes: str | int | bool | None) -> Reply:
    """Which inputs reach a target: --output 7x7, --flatten 9216, --macs 4e9, or several at once."""
    given: dict[str, Any] = {
        name: _wish(name, value)
        for name, value in wishes.items()
        if value is not None and value is not False
    }
    if not targets and not given and not ask.texts:
        raise click.UsageError("give a target, such as --output 7x7 or --flatten K")
    wanted = _targets(targets)
    given |= ask.ranges
    found = ask.network.solve(wanted, at=ask.module, **given)
    if isinstance(found, Choices):
        rows = [{"values": dict(one), **set_answer(one.inputs)} for one in found]
        return Reply({"choices": rows}, str(found))
    goals = [*targets, *([f"{given['flatten']} features"] if "flatten" in given else [])]
    answer = set_answer(found)
    text = f"{found}\n"
    if len(goals) == 1 and not isinstance(wanted, dict):
        part = ask.network.at(found.at) if found.at else ask.network
        shape = part.describe_output()
        text = f"{goals[0]} at {found.at or 'the output'}, which is {shape}\ncomes from {text}"
        answer |= {"target": goals[0], "shape": shape}
    return Reply(answer, f"{text}{_ends(found)}{found.note}")


def _wish(name: str, value: object) -> object:
    """What an option says, as the question takes it."""
    if not isinstance(value, str):
        return value
    if name == "aspect":
        return parse_numbers(value, ":", "16:9")
    if name == "multiple_of":
        return one_or_all(parse_numbers(value, "x", "8"))
    if name == "within":
        return one_or_all(tuple(parse_numbers(s, "..", "200..300") for s in value.split("x")))
    return value


def one_or_all(several: tuple[T, ...]) -> T | tuple[T, ...]:
    """The only one, for all axes, or one for each."""
    return several[0] if len(several) == 1 else several


def _targets(targets: tuple[str, ...]) -> _Target | dict[str | None, _Target] | None:
    """What --output says: one target, or a dict of them by module."""
    named = [t for t in targets if re.match(r"[^<>=]+=(?!=)", t)]
    if not named:
        if len(targets) > 1:
            raise BadSpec("--output twice without a module", cure="--output layer3=14x14")
        return parse_target(targets[0]) if targets else None
    pairs = [t.partition("=") if t in named else ("", "", t) for t in targets]
    return {name or None: parse_target(text) for name, _, text in pairs}


@question()
def valid(ask: Ask) -> Reply:
    """Which inputs the network accepts, and which layers ask for what."""
    from symcnn.questions.inputs.scramble import scrambled

    net = ask.net
    found, reasons, mixed = net.valid_inputs(), net.reasons(), scrambled(net)
    text = f"valid inputs: {found.describe()}\n{_ends(found)}"
    if reasons:
        text += "because\n" + "\n".join(f"  {reason}" for reason in reasons)
    if mixed:
        text += f"\nat {len(mixed)} of them a view runs axes together: see diagnose"
    why = [
        {"node": r.node, "requires": str(r.requirement), "why": r.requirement.why} for r in reasons
    ]
    answer = set_answer(found) | {"scrambled": mixed, "reasons": why}
    return Reply(answer, text, ok=bool(found))


@question(sizes="The size there is:", required=True)
def nearest(ask: Ask) -> Reply:
    """The nearest input that works, by padding, cropping or resizing."""
    found = ask.net.nearest_valid(**ask.sizes)
    answer: dict[str, object] = {"sizes": dict(found.sizes), "valid": found.valid}
    for way in found.ways:
        answer[way.kind] = {"sizes": dict(way.sizes), "pad": way.pad, "output_crop": way.crop}
    return Reply(answer, str(found))


@question(sizes="The sizes of an image:", required=True)
@click.option("--memory", metavar="AMOUNT", required=True, help='Bytes: "8 GiB".')
@click.option(
    "--dtype", metavar="NAME", help="What activations are made of, where not the module's own."
)
def batch(ask: Ask, memory: str, dtype: str | None) -> Reply:
    """The most images that go through at once in so much memory (inference, weights apart)."""
    sizes = ask.sizes
    count = ask.net.largest_batch(memory, dtype=dtype, **sizes)
    image = f" of {assignment(sizes)}" if sizes else ""
    answer = {"batch": count, "memory": memory, "sizes": sizes}
    return Reply(answer, f"{count:,} images{image} in {memory}")


def _ends(found: InputSet) -> str:
    """The smallest and the largest member, and how many there are."""
    if not found or not found.shown or isinstance(found, Relation):
        return ""
    words = []
    with suppress(Undecidable):  # of a set that is too large to look through
        words.append(f"smallest {by_x(found.smallest())}")
        if found and found.bounded:
            words.append(f"largest {by_x(found.largest())}")
            words.append(f"{found.count():,} in all")
    return ", ".join(words) + "\n" if words else ""


def set_answer(found: InputSet) -> dict[str, object]:
    """A set in JSON's terms: in words, by axis, its ends."""
    answer: dict[str, object] = {"at": found.at or None, "set": found.describe()}
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
    answer["smallest"] = found.smallest() if found else None
    answer["largest"] = found.largest() if bounded else None
    if bounded and isinstance(found, BudgetedSet) and len(found.shown) == 2:
        with suppress(Undecidable):  # of too many corners
            answer["frontier"] = found.frontier()
    with suppress(Undecidable):
        answer["count"] = found.count() if found else 0
    return answer
