"""Many cases of `tests.fuzz.sweep`, over processes, kept in a file from which they resume.

The idea: a campaign is a set of case numbers, done or not yet. Numbers are done in blocks, each in
a process of its own: memory stays bounded, a process that dies costs one block and is told, and
what is known after every block is a small file of intervals and counts. Running again does what is
missing, of the same numbers or of more.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import perf_counter
from typing import Any

import symcnn
from symcnn.errors import BadSpec
from tests.fuzz.sweep import WHAT, Mismatch, Tally, judge_cases

__all__ = ["BLOCKS", "Campaign", "plural", "versions"]

#: Cases that one process does before it ends; on a card, which takes seconds to open, ten times.
BLOCKS = {
    "layer": 1000,
    "network": 20,
    "domain": 5,
    "field": 20,
    "place": 20,
    "form": 5000,
    "branching": 20,
}

#: How each kind is judged, for the report.
_HOW = {
    "layer": "Layers: our shape against torch's CPU kernels, refusals included.",
    "network": "Networks, at sizes inside and outside the domain: shapes against torch on meta, "
    "the domain as a set, parameters, FLOPs against `FlopCounterMode`.",
    "domain": "Domains of random networks, at every size up to 300 along every axis: the domain, "
    "the inputs of some outputs, and their formula, against torch on meta.",
    "field": "Receptive fields of networks that mix places (patches, windows, attention, tokens, "
    "resizes, branches), of every output index, against the support of gradients.",
    "place": "Tiles, shards, streams and agreement of random networks, against runs in double.",
    "form": "Argument forms: torch's declared samples of every operation at other sizes, called as "
    "function, method, operator, in place, by place and by name: a trace of the call against the "
    "call.",
    "branching": "Networks whose python branches on sizes, at a grid of sizes: shapes, the domain, "
    "the sizes of two outputs, closed forms of few branches, against torch on the CPU. Of "
    "every eighth 64 branches are followed, of others 12.",
}

_FORMAT = 6
_SAVE_EVERY = 5.0  # seconds

Spans = list[tuple[int, int]]  # disjoint, in order, without the last


@dataclass
class Campaign:
    """What was asked, what is done, and what came of it.

    >>> Campaign(seed=0, done={"layer": [(0, 1000)]}).missing("layer", 2500)
    [(1000, 2000), (2000, 2500)]
    """

    seed: int
    device: str = ""  # where layers and networks run, see `judge_cases`
    done: dict[str, Spans] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    runs: list[dict[str, Any]] = field(default_factory=list)

    # files

    @classmethod
    def load(cls, path: Path, seed: int, device: str = "") -> Campaign:
        """The campaign in a file, or a new one.

        Raises BadSpec for another seed or device, and for a file that holds no campaign.
        """
        if not path.exists():
            return cls(seed, device)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["format"] != _FORMAT:
                raise BadSpec(f"{path} is of another version of symcnn", cure="take another file")
            found = cls(
                kept["seed"],
                kept["device"],
                {what: [(a, b) for a, b in spans] for what, spans in kept["done"].items()},
                Tally.from_dict(kept["tally"]),
                kept["runs"],
            )
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, BadSpec):
                raise
            raise BadSpec(f"{path} holds no sweep", cure="take another file") from error
        if found.seed != seed:
            raise BadSpec(
                f"{path} is of seed {found.seed}, not {seed}",
                cure=f"--seed {found.seed} goes on with it; another file starts anew",
            )
        if found.device != device:
            raise BadSpec(
                f"{path} is of device {found.device or 'none'}, not {device or 'none'}",
                cure="go on with the same --device; another file starts anew",
            )
        return found

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        values = {
            "format": _FORMAT,
            "seed": self.seed,
            "device": self.device,
            "done": self.done,
            "tally": self.tally.to_dict(),
            "runs": self.runs,
        }
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(values, indent=1), encoding="utf-8")
        os.replace(beside, path)

    # numbers

    def missing(self, what: str, count: int) -> Spans:
        """Blocks of the numbers below `count` that are not done."""
        gaps, start = [], 0
        for first, after in [*self.done.get(what, []), (count, count)]:
            gaps += [(start, min(first, count))] if start < min(first, count) else []
            start = max(start, after)
        size = BLOCKS[what] * (10 if self.device.startswith("cuda") else 1)
        return [(a, min(a + size, end)) for begin, end in gaps for a in range(begin, end, size)]

    def _finish(self, what: str, first: int, after: int) -> None:
        merged: Spans = []
        for a, b in sorted([*self.done.get(what, []), (first, after)]):
            if merged and a <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(b, merged[-1][1])
            else:
                merged.append((a, b))
        self.done[what] = merged

    def done_below(self, what: str, count: int) -> int:
        """How many of the numbers below `count` are done."""
        return sum(min(b, count) - a for a, b in self.done.get(what, []) if a < count)

    # running

    def run(
        self,
        counts: Mapping[str, int],
        *,
        processes: int,
        path: Path | None = None,
        told: Callable[[Campaign], None] = lambda _: None,
    ) -> bool:
        """Do what is missing of `counts` cases of each kind; False if stopped before the end.

        processes: how many at a time. path: where to keep what is done. told: called after every
        block. Ctrl-C, or a SIGTERM, stops it: what is done stays.
        """
        this_run = {"began": _now(), "seconds": 0.0, "processes": processes, "cases": {}}
        self.runs.append(this_run | versions(self.device))
        begun, saved = perf_counter(), perf_counter()
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        workers: dict[Connection, tuple[Any, str, int, int]] = {}
        blocks = self._blocks(counts)
        context = _context()
        complete = False
        try:
            while True:
                while len(workers) < processes and (block := next(blocks, None)) is not None:
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(
                        target=_work, args=(theirs, self.seed, self.device, *block)
                    )
                    process.start()
                    theirs.close()
                    workers[ours] = process, *block
                if not workers:
                    break
                for pipe in wait([*workers]):
                    assert isinstance(pipe, Connection)
                    process, what, first, after = workers.pop(pipe)
                    self._take(_received(pipe, process, what, first, after), what, first, after)
                self.runs[-1]["seconds"] = round(perf_counter() - begun, 1)
                if path is not None and perf_counter() - saved > _SAVE_EVERY:
                    self.save(path)
                    saved = perf_counter()
                told(self)
            complete = True
        except KeyboardInterrupt:
            pass
        finally:
            for process, *_ in workers.values():
                process.terminate()
            self.runs[-1]["seconds"] = round(perf_counter() - begun, 1)
            if not self.runs[-1]["cases"]:
                self.runs.pop()
            if path is not None:
                self.save(path)
            signal.signal(signal.SIGTERM, before)
        return complete

    def _blocks(self, counts: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
        """What is missing, the kinds in step with each other, so that a part holds of each."""
        blocks = [
            (first / count, what, first, after)
            for what, count in counts.items()
            for first, after in self.missing(what, count)
        ]
        for _, what, first, after in sorted(blocks):
            yield what, first, after

    def _take(self, tally: Tally, what: str, first: int, after: int) -> None:
        self.tally += tally
        self._finish(what, first, after)
        cases = self.runs[-1]["cases"]
        cases[what] = cases.get(what, 0) + after - first

    # telling

    def to_dict(self) -> dict[str, object]:
        """Everything as plain values, for JSON."""
        done = {what: self.done_below(what, 2**63) for what in WHAT}
        told = {"seed": self.seed, "device": self.device or None, "done": done}
        return told | self.tally.to_dict() | {"runs": self.runs}

    def __str__(self) -> str:
        tally = self.tally
        lines = [str(m) for m in tally.mismatches]
        lines += [f"{count:9,} {kind}" for kind, count in sorted(tally.kinds.items())]
        lines += [f"{count:9,} {what}" for what, count in sorted(tally.counts.items())]
        lines.append(
            f"{self._judged()}, {tally.wrong} mismatches, {self.seconds:,.0f} s, seed {self.seed}"
        )
        return "\n".join(lines)

    def _judged(self) -> str:
        tally = self.tally
        found = []
        if tally.layers:
            found.append(f"{tally.layers:,} layer cases ({len(tally.names)} layers)")
        if tally.networks:
            found.append(f"{tally.networks:,} networks at {tally.sizes:,} sizes")
        if tally.domains:
            found.append(f"{tally.domains:,} domains")
        if tally.fields:
            found.append(f"{tally.fields:,} receptive fields")
        if tally.places:
            found.append(f"{tally.places:,} places")
        if tally.forms:
            found.append(f"{tally.forms:,} calls")
        if tally.branching:
            found.append(f"{tally.branching:,} branching networks")
        return ", ".join(found) or "nothing"

    @property
    def seconds(self) -> float:
        """How long all runs took together."""
        return float(sum(run["seconds"] for run in self.runs))

    @property
    def _on(self) -> str:
        return f" --device {self.device}" if self.device else ""

    @property
    def command(self) -> str:
        """What makes the same again, of what is done."""
        done = {option(what): self.done_below(what, 2**63) for what in WHAT}
        counts = " ".join(f"--{kind} {count}" for kind, count in done.items() if count)
        return f"python -m tests.fuzz {counts} --seed {self.seed}{self._on}"

    def to_markdown(self) -> str:
        """The summary that is kept under docs/validation/, measured and not typed."""
        tally = self.tally
        on = self._on
        verdict = "no mismatch" if not tally.wrong else f"{tally.wrong} mismatches"
        told = [_HOW[what] for what in WHAT if what in self.done]
        first = next((what for what in WHAT if what in self.done), "layer")
        lines = [
            "# Sweep",
            "",
            f"What was drawn at random, and put to torch. Written by `{self.command}`.",
            "",
            *(f"- {how}" for how in told),
            "",
            f"**{self._judged()}: {verdict}.** Seed {self.seed}, {self.seconds:,.0f} s.",
            f"Any case again: `python -m tests.fuzz --seed {self.seed}{on} --case {first}:17`.",
            "",
        ]
        if tally.mismatches:
            first_lines = ((m.case, m.told.partition("\n")[0]) for m in tally.mismatches[:20])
            lines += [f"- `{case}`: `{told}`" for case, told in first_lines] + [""]
        lines += ["| began | s | cases | processes | source | versions | machine |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for run in self.runs:
            cases = ", ".join(f"{n:,} {plural(what)}" for what, n in sorted(run["cases"].items()))
            lines.append(
                f"| {run['began']} | {run['seconds']:,.0f} | {cases} | {run['processes']} | "
                f"{run['source']} | {run['versions']} | {run['machine']} |"
            )
        if tally.kinds:
            lines += ["", "| kind of layer | cases |", "| --- | --- |"]
            lines += [f"| {kind} | {count:,} |" for kind, count in sorted(tally.kinds.items())]
        lines += ["", "| besides | |", "| --- | --- |"]
        lines += [f"| {what} | {count:,} |" for what, count in sorted(tally.counts.items())]
        return "\n".join(lines) + "\n"


def option(what: str) -> str:
    """The name of a kind on the command line."""
    return what if what == "branching" else f"{what}s"


def plural(what: str) -> str:
    """What many cases of a kind are called."""
    return "branching networks" if what == "branching" else option(what)


def _work(pipe: Connection, seed: int, device: str, what: str, first: int, after: int) -> None:
    """One block, in a process of its own; Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(judge_cases(what, seed, range(first, after), device))
    pipe.close()


def _received(pipe: Connection, process: Any, what: str, first: int, after: int) -> Tally:
    try:
        tally = pipe.recv()
        assert isinstance(tally, Tally)
    except EOFError:
        tally = Tally()
        process.join()
        told = f"the process died (exit {process.exitcode}) within {what} {first} to {after - 1}"
        tally.add(Mismatch(f"{what}:{first}", told))
    finally:
        pipe.close()
    process.join()
    return tally


def _context() -> Any:
    """Where torch is loaded once and every block starts from there, if the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", __name__, "symcnn.testing.networks"])
    return context


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def versions(device: str = "") -> dict[str, str]:
    """What a run was made with: versions, the source's digest, the kind of machine and card."""
    found = [f"symcnn {symcnn.__version__}"]
    for package in ("torch", "islpy"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    found.append(f"python {platform.python_version()}")
    return {"versions": ", ".join(found), "source": _digest(), "machine": _machine(device)}


def _digest() -> str:
    """Eight digits of the library's source, so that a figure names the code it was measured on."""
    root = Path(symcnn.__file__).parent
    total = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        total.update(file.relative_to(root).as_posix().encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:8]


def _machine(device: str) -> str:
    name = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = f"{line.partition(':')[2].strip()} ({name})"
                break
    except OSError:
        pass
    machine = f"{name}, {os.cpu_count()} cores, {platform.system()}"
    if not device.startswith("cuda"):
        return f"{machine}, on {device}" if device else machine
    import torch

    return f"{machine}, {torch.cuda.get_device_name(device)}"
