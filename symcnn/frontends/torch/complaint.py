"""What a layer of torch refuses in its own python: shapes that do not agree, as of any operation.

Most layers leave that to the operation that they call. A few look for themselves: InstanceNorm for
its channels, recurrent layers for their features. The sizes of what such a layer is given, against
the numbers that it was made with, are the two sides.
"""

from __future__ import annotations

from collections.abc import Callable
from os.path import dirname

import torch

from symcnn.errors import ShapeMismatch
from symcnn.trace.graph import tensors_in
from symcnn.trace.tape import Attempt

#: Where torch's layers are.
_LAYERS = dirname(torch.nn.modules.__file__)


class Complaint:
    """The last exception that a layer of torch raised, as a mismatch of shapes."""

    def __init__(self) -> None:
        self.raised: Exception | None = None
        self.told: ShapeMismatch | None = None

    def of(self, layer: torch.nn.Module, error: Exception, given: Callable[[], object]) -> None:
        """Take down an exception that passes through a layer; the innermost layer counts.

        given: what the layer was called with, in symbolic tensors.
        """
        if error is self.raised or not _of_torch(error):
            return
        attempt = Attempt.of(type(layer).__name__, tensors_in(given()))
        sizes = [d for t in attempt.inputs[:1] for d in t.dims if isinstance(d, int)]
        numbers = [v for v in vars(layer).values() if type(v) is int and v > 0]
        sides = [side for d in sizes for v in numbers if v != d for side in (d, v)]
        self.raised = error
        said = str(error) or f"raises {type(error).__name__}"
        self.told = ShapeMismatch(f"{attempt.module} ({attempt.op}): {said}", sides=tuple(sides))
        self.told.attempt = attempt


def _of_torch(error: Exception) -> bool:
    """Whether python code of a layer of torch raised it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_filename.startswith(_LAYERS)
