"""Ctrl-C stops within a second, in the middle of whatever takes long, and leaves all as it was."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

#: What every process begins with, and what it does when Ctrl-C arrives.
BEFORE = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
import torch
from torch import nn
import torch.nn.functional as F
import symcnn

def pools(*inputs):
    return torch.cat([F.max_pool2d(x, 2 + i) for i, x in enumerate(inputs)], 1)

def areas(x):
    for i in range(40):
        x = F.max_pool2d(x, 2) if x.shape[2] * x.shape[3] >= 997 * (i + 1) else x + 1
    return x

def pooled(x):
    for i in range(60):
        x = F.max_pool2d(x, 3, stride=1 + (i % 12 == 0), padding=i % 2)
    return x

def deep(x):
    for i in range(10**7):
        x = x + 1
    return x

def scaled(x):
    for scale in (1.1, 0.9) * 6:
        x = F.interpolate(x, scale_factor=scale)
    return x

class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.conv, self.calls, self.seen = function, nn.Conv2d(3, 3, 1), 0, []
    def forward(self, *inputs):
        self.calls += 1
        self.seen.append(inputs)
        type(self).latest = inputs
        torch.set_grad_enabled(False)
        with torch.no_grad():
            self.conv.weight.add_(1)
        return self.function(*inputs)

def picture():
    state = vars(model).copy()
    return (
        list(state.items()), list(model.seen), vars(Model).get("latest"),
        model.conv.weight.tolist(), model.conv.weight._version, nn.Module.__call__,
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.random.get_rng_state().tolist(),
        threading.active_count(),
    )

def inputs(count):
    return [f"N 3 H{i} W{i}" for i in range(count)]
"""

LOOP = """
for name in sys.stdin:
    make(name.strip())
    before = picture()
    print("ready", flush=True)
    try:
        while True:
            ask()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    assert picture() == before
    net = symcnn.from_torch(nn.Conv2d(3, 8, 3, stride=2, padding=1), "N 3 H W")
    assert str(net.solve(output=(7, 7))) == "13 <= H <= 14 and 13 <= W <= 14"
    print("well", flush=True)
"""

#: What is asked again and again, and of which function.
QUESTIONS = {
    "a trace": ("deep", "traced()"),
    "a trace with branches": ("areas", "traced(branches=2000)"),
    "isl": ("pools", "undecided(traced(*inputs(16)).valid_inputs().smallest)"),
    "periods": ("scaled", "str(traced().valid_inputs())"),
    "members": ("torch.relu", "list(small.valid_inputs())"),
    "a budget": ("torch.relu", "small.solve(macs=10**13, N=1).frontier()"),
    "a proof": ("scaled", "traced().prove()"),
    "z3": ("scaled", "traced().prove(by='z3')"),
    "a check": ("torch.relu", "small.validate(conv, samples=10**5)"),
    "a solution": ("pooled", "str(traced().solve(output=(7, 7)))"),
    "reasons": ("pooled", "traced().reasons()"),
    "tiles": ("pooled", "traced().tiles(H=5000, W=5000, tile=1440)"),
    "fields": ("scaled", "traced().receptive_field().at(H=3000, W=3000).unread()"),
}

MAKE = f"""
def undecided(question):
    try:
        question()
    except symcnn.Undecidable:
        pass

def traced(*specs, **options):
    return symcnn.from_torch(model, *specs or ["N 3 H W"], **options)

def make(name):
    global model, small, conv, ask
    function, code = {QUESTIONS!r}[name]
    model = Model(eval(function))
    conv = nn.Conv2d(3, 8, 3)
    small = symcnn.from_torch(conv, "N 3 H W")
    ask = eval("lambda: " + code)
"""

#: Ctrl-C at each place of a trace where python looks for it: where a function of python begins and
#: where one of C has returned.
EVERYWHERE = """
import gc

def pooled_once(x):
    return F.interpolate(F.max_pool2d(x, 2), scale_factor=1.5) if x.shape[2] > 9 else x + 1

model = Model(pooled_once)

def ask():
    return str(symcnn.from_torch(model, "N 3 H W").valid_inputs())

def state():
    from symcnn.sets import isl
    from symcnn.trace import tape
    return (
        picture(), gc.isenabled(), isl._asking.get(), isl._purse.get(), tape.current_tape(),
        torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack(),
        signal.getsignal(signal.SIGINT), Model.forward.__code__, pooled_once.__code__,
    )

def interrupt(place):
    "Ctrl-C at a place; how many places are left of it."
    here = sys._getframe().f_code

    def look(frame, event, _):
        nonlocal place
        if event in ("call", "c_return") and frame.f_code is not here:
            place -= 1
            if not place:
                signal.raise_signal(signal.SIGINT)

    sys.setprofile(look)
    try:
        ask()
    except KeyboardInterrupt:
        return 0
    finally:
        sys.setprofile(None)
    return place

ask()
before, place = state(), 1
while interrupt(place) <= 0:
    assert state() == before, place
    place += 61
print(place)
"""


def processor_seconds(pid: int) -> float:
    """What a process has used of the processor: other work on the machine is not its delay."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def process() -> Iterator[Any]:
    started = start("-c", BEFORE + MAKE + LOOP)
    yield started
    started.kill()
    started.communicate()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("name", QUESTIONS)
def test_ctrl_c_stops_a_question_within_a_second(name: str, process: Any) -> None:
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    time.sleep(0.7)
    used = processor_seconds(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n", process.stderr.read()
    waited = processor_seconds(process.pid) - used
    print(f"Ctrl-C: {name}: {waited:.2f} s")
    assert waited < 1
    assert process.stdout.readline() == "well\n", process.stderr.read()


def test_ctrl_c_leaves_all_as_it_was_wherever_it_comes() -> None:
    process = start("-c", BEFORE + EVERYWHERE)
    places, error = process.communicate()
    assert process.returncode == 0, error
    assert int(places) > 1000
