"""The page, as a method of a network."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import overload

from symcnn.trace.trace import Trace


class Pages(Trace):
    """A network as a page to play with."""

    @overload
    def to_page(
        self, path: None = None, *, title: str = "", beside: Sequence[Trace] = ()
    ) -> str: ...
    @overload
    def to_page(
        self, path: str | PathLike[str], *, title: str = "", beside: Sequence[Trace] = ()
    ) -> Path: ...
    def to_page(
        self,
        path: str | PathLike[str] | None = None,
        *,
        title: str = "",
        beside: Sequence[Trace] = (),
    ) -> str | Path:
        """One self-contained HTML page: ``net.to_page("net.html")``; see `symcnn.to_page`.

        Args:
            path: the file to write; None: the text is the answer.
            title: what the network is called.
            beside: more networks, beside this one under the same sliders.

        Returns:
            The path of the file, or the page as text.

        Raises:
            BadSpec: for a path that cannot be written.

        >>> from symcnn import nn
        >>> "conv2d" in nn.Conv2d(3, 8, 3).trace("N 3 H W").to_page()
        True
        """
        from symcnn.words.page import named, to_page

        nets = [self, *beside]
        return to_page(nets, path, titles=named(nets, title))
