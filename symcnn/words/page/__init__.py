"""The page: a network to play with, in one file that needs no server, no network and no python.

The browser gets what python proved: the closed forms as JavaScript on BigInt, the conditions of
every layer in the order in which they run, the domain as arithmetic runs. It only evaluates them,
so that a page is as exact as `Network.shape_at`.

The front end stands in ``src/``; ``make page`` bundles it into ``built/``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, overload

from symcnn.errors import BadSpec

if TYPE_CHECKING:
    from os import PathLike

    from symcnn.trace.trace import Trace
    from symcnn.words.page.sheet import Data

#: Nothing is loaded, whatever the page holds. The page evaluates no text; a console may.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


@overload
def to_page(nets: Trace | Sequence[Trace], *, titles: Sequence[str] = ()) -> str: ...
@overload
def to_page(
    nets: Trace | Sequence[Trace], path: str | PathLike[str], *, titles: Sequence[str] = ()
) -> Path: ...
@overload
def to_page(
    nets: Trace | Sequence[Trace],
    path: str | PathLike[str] | None = None,
    *,
    titles: Sequence[str] = (),
) -> str | Path: ...
def to_page(
    nets: Trace | Sequence[Trace],
    path: str | PathLike[str] | None = None,
    *,
    titles: Sequence[str] = (),
) -> str | Path:
    """One self-contained HTML page: sliders for the sizes, and every figure at these sizes.

    Args:
        nets: a network, or several, side by side under the same sliders.
        path: the file to write; None: the text is the answer.
        titles: what the networks are called, in their order.

    Returns:
        The path of the file, or the page as text.

    Raises:
        BadSpec: for a path that cannot be written, no network, and titles of another number.

    >>> from symcnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
    >>> page = to_page(net, titles=["two layers"])
    >>> page.startswith("<!DOCTYPE html>"), "<title>two layers</title>" in page
    (True, True)
    """
    listed = list(nets) if isinstance(nets, Sequence) else [nets]
    if not listed:
        raise BadSpec("a page needs a network")
    if titles and len(titles) != len(listed):
        raise BadSpec(f"{len(titles)} titles for {len(listed)} network(s)")
    text = _html(listed, titles or named(listed))
    if path is None:
        return text
    file = Path(path)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadSpec(f"{file} cannot be written: {error.strerror}") from error
    return file


def named(nets: Sequence[Trace], first: str = "") -> list[str]:
    """What networks are called: by their names, where they have some, and else by number."""
    called = [first, *(net.name for net in nets[1:])]
    plain = ["network"] if len(nets) == 1 else [f"network {i + 1}" for i in range(len(nets))]
    return [name or net.name or other for name, net, other in zip(called, nets, plain, strict=True)]


def _html(nets: Sequence[Trace], titles: Sequence[str]) -> str:
    from symcnn.words.page.formulas import Formulas
    from symcnn.words.page.sheet import sheet, starts

    formulas = Formulas()
    sheets = [sheet(net, formulas, title) for net, title in zip(nets, titles, strict=True)]
    names = list(dict.fromkeys(name for net in nets for name in net.symbols))
    names += sorted(formulas.symbols - {*names})
    opened = dict.fromkeys(names, 3)
    for net in reversed(nets):
        opened |= starts(net, names)
    batch = frozenset[str]().union(*(net.leading for net in nets))
    zero = frozenset[str]().union(*(net.may_be_zero for net in nets))
    sizes: list[Data] = [
        {
            "name": name,
            "least": 0 if name in zero else 1,
            "start": opened[name],
            "most": max(64 if name in batch else 1024, 2 * opened[name]),
        }
        for name in names
    ]
    title = " and ".join(titles)
    data = {"title": title, "sizes": sizes, "nets": sheets, "words": formulas.words}
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{_built("page.css")}</style>
</head>
<body>
<noscript>This page computes with JavaScript, which is off.</noscript>
<div id="page"></div>
<script type="application/json" id="data">{written}</script>
<script>
{Formulas.prelude()}{formulas.code(names)}</script>
<script>{_built("page.js")}</script>
</body>
</html>
"""


@cache
def _built(name: str) -> str:
    """A file of the bundle."""
    return (files(__package__) / "built" / name).read_text(encoding="utf-8")
