"""The page in a real browser, and what python says of every number on it.

Playwright drives Debian's Chromium, headless; it needs no browser of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, evaluate
from symcnn.errors import InvalidInput, NoSolution, SymcnnError, Undecidable
from symcnn.network import Network
from symcnn.questions.inputs.domain import first_failure
from symcnn.trace.graph import Shape
from symcnn.trace.tape import Guard

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from symcnn.questions.cost.cost import Cost
    from symcnn.questions.field.receptive_field import ReceptiveField

#: What is compared: its name, what the page says, what python says.
Expect = Callable[[str, object, object], None]

__all__ = ["Opened", "browser", "differences", "opened", "without"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

#: Everything that stands on the page, by network: rows by layer, totals, verdict, ways out.
_READ = """() => {
  const texts = (cells) =>
    Object.fromEntries([...cells].map((cell) => [cell.className, cell.textContent]));
  const name = (row) => row.querySelector('th').textContent;
  const plain = (dd) => [...dd.childNodes].filter((n) => n.tagName !== 'SMALL');
  return [...document.querySelectorAll('section.net')].map((net) => {
    const all = (selector) => [...net.querySelectorAll(selector)];
    return {
      rows: Object.fromEntries(all('tbody tr:not(.reason):not(.details)').map((row) =>
        [name(row), texts(row.querySelectorAll('td'))])),
      totals: Object.fromEntries(all('.totals > div').map((div) => [
        div.querySelector('dt').textContent,
        plain(div.querySelector('dd')).map((n) => n.textContent).join(''),
      ])),
      valid: net.querySelector('.verdict').classList.contains('valid'),
      verdict: net.querySelector('.verdict').textContent,
      fails: all('tr.fails:not(.group)').map(name),
      ways: all('.way button').map((button) => [button.textContent, button.title]),
    };
  });
}"""

TIMES = "\N{MULTIPLICATION SIGN}"


def without() -> str:
    """Why there is no browser to open a page in; "" where there is one."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if _chromium() else "there is no Chromium (Debian: apt-get install chromium)"


def _chromium() -> str:
    return next(filter(None, map(shutil.which, _NAMES)), "")


class Opened:
    """A page that is open: its state, and what it said and asked for on the way."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("request", lambda r: self.requests.append(r.url))

    def set(self, **sizes: int | str) -> None:
        """Type sizes into their boxes."""
        for name, size in sizes.items():
            self.page.get_by_role("spinbutton", name=name, exact=True).fill(str(size))

    def read(self) -> list[dict[str, object]]:
        """What stands on the page, network by network."""
        found: list[dict[str, object]] = self.page.evaluate(_READ)
        return found


@contextmanager
def browser() -> Iterator[object]:
    """A headless browser, for several pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started: object, file: Path, state: str = "", **options: object) -> Iterator[Opened]:
    """A page opened from a file, as a double click opens it.

    Args:
        started: what `browser` gives.
        file: the page.
        state: what follows the ``#`` of a link.
        options: of playwright's ``new_context``: ``viewport``, ``color_scheme``.
    """
    context = started.new_context(**options)  # type: ignore[attr-defined]
    try:
        found = Opened(context.new_page())
        found.page.goto(file.resolve().as_uri() + (f"#{state}" if state else ""))
        found.page.wait_for_selector("table")
        yield found
    finally:
        context.close()


def differences(net: Network, shown: Opened, sizes: Mapping[str, int]) -> list[str]:
    """Where the page (of this network alone) says something else than python at these sizes."""
    shown.set(**sizes)
    (said,) = shown.read()
    found: list[str] = []

    def expect(what: str, here: object, python: object) -> None:
        if here != python:
            found.append(f"{what} at {dict(sizes)}: {here!r} on the page, {python!r} in python")

    try:
        shape = net.shape_at(**sizes)
    except InvalidInput:
        expect("validity", said["valid"], False)
        _expect_refusal(net, said, sizes, expect)
        return found
    expect("validity", said["valid"], True)
    if not said["valid"]:
        return found
    _expect_figures(net, said, sizes, shape, expect)
    return found


def _expect_refusal(
    net: Network, said: Mapping[str, Any], sizes: Mapping[str, int], expect: Expect
) -> None:
    nets = getattr(net, "nets", (net,))
    branch = next((one for one in nets if len(nets) == 1 or _takes(one, sizes)), None)
    if branch is None:
        return
    failed = first_failure(branch, sizes)
    assert failed is not None
    step, _ = failed
    if not isinstance(step, Guard):
        expect("the layer that refuses", said["fails"], [step.name])
    try:
        shown = net.valid_inputs().shown
        ways = net.nearest_valid(**{name: sizes[name] for name in shown})
    except (NoSolution, SymcnnError):
        return
    expected = [
        (way.kind, {n: x for n, x in way.sizes.items() if x != sizes[n]}) for way in ways.ways
    ]
    words = [
        [
            f"{kind} to {TIMES.join(map(str, to.values()))}",
            ", ".join(f"{n} = {x}" for n, x in to.items()),
        ]
        for kind, to in expected
    ]
    expect("the nearest sizes", said["ways"], words)


def _takes(net: Network, sizes: Mapping[str, int]) -> bool:
    return all(guard.requirement.holds(sizes) for guard in net.guards)


def _expect_figures(
    net: Network,
    said: Mapping[str, Any],
    sizes: Mapping[str, int],
    shape: object,
    expect: Expect,
) -> None:
    cost = net.cost().at(**sizes)
    at = cost.net  # the network traced at these numbers
    totals = said["totals"]
    open_ = any(row.get("bytes") == "?" for row in said["rows"].values())  # a copy may be a view
    expect("output", totals["output"], ", ".join(map(_times, _shapes(shape))))
    for name, ask in {
        "parameters": lambda: cost.params,
        "MACs": lambda: cost.total,
        "FLOPs": lambda: net.cost("flops").at(**sizes).total,
        "activation bytes": lambda: cost.activations,
        "peak bytes": lambda: cost.peak,
    }.items():
        if not (open_ and name.endswith("bytes")):
            expect(name, totals[name], _figure(ask))
    branch = net.branch_at(**sizes)
    try:
        field = branch.receptive_field()
    except SymcnnError:
        field = None
    work, made = cost.terms("work")[0], _terms(cost)
    for i, (node, general) in enumerate(zip(at.nodes, branch.nodes, strict=True)):
        row = said["rows"][node.name]
        expect(f"{node.name}: output", row["output"], ", ".join(map(_times, node.output_shapes)))
        expect(f"{node.name}: MACs", row["MACs"], _count(evaluate(work[i], sizes)))
        if made is not None and row.get("bytes") != "?":
            expect(f"{node.name}: bytes", row["bytes"], _count(evaluate(made[i], sizes)))
        if field and general.outputs and general.outputs[0] in field.passed.reaches:
            seen = field.of(general.outputs[0])
            values = [_field(seen, axis, sizes) for axis in range(len(seen.axes))]
            expect(f"{node.name}: field", row["field"], _times(values))


def _terms(cost: Cost) -> list[Int] | None:
    try:
        return cost.terms("activations")[0]
    except SymcnnError:
        return None


def _figure(ask: Callable[[], object]) -> str:
    try:
        return f"{ask():,}"
    except SymcnnError:
        return "not known"


def _shapes(shape: Any) -> list[Shape]:
    """All shapes of an answer, whatever they are nested in."""
    if isinstance(shape, Shape):
        return [shape]
    parts = shape.values() if isinstance(shape, Mapping) else shape
    return [one for part in parts for one in _shapes(part)]


def _field(seen: ReceptiveField, axis: int, sizes: Mapping[str, int]) -> int | str:
    try:
        return evaluate(from_sympy(seen.sizes_of(axis).max), sizes)
    except Undecidable:
        return "varies"


def _times(shape: Iterable[object]) -> str:
    return TIMES.join(map(str, shape)) or "scalar"


def _count(value: int) -> str:
    return f"{value:,}" if value else ""
