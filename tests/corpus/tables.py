"""Masks by sizes that functions of a file remember, as models of other files call them."""

from __future__ import annotations

import torch

MASKS: dict[object, torch.Tensor] = {}
SEEN: list[object] = []


def by_sizes(h: int, w: int) -> torch.Tensor:
    """A mask, remembered by sizes."""
    if (h, w) not in MASKS:
        MASKS[h, w] = torch.ones(h, w)
    return MASKS[h, w]


def by_text(h: int, w: int) -> torch.Tensor:
    """The same by a text of sizes; sizes that came are noted."""
    SEEN.append(h)
    if f"{h}x{w}" not in MASKS:
        MASKS[f"{h}x{w}"] = torch.ones(h, w)
    return MASKS[f"{h}x{w}"]
