"""Where tensors live, and which of them autograd keeps: storages, strides, saved tensors.

The law of memory: *bytes belong to storages, not to tensors.* A view has its base's storage, an
operation in place its input's; what autograd saves keeps a storage alive, however many tensors
look at it. So three facts per operation are enough: what its outputs share, how they are laid
out (a reshape copies exactly where strides do not merge), and which tensors its derivative reads.

The derivatives are those of torch's derivatives.yaml with the CPU kernels, measured with
``torch.autograd.graph.saved_tensors_hooks``. Strides are compared as formulas: an axis of
symbolic size is taken to be longer than 1, where torch would ignore its stride.
"""

from symcnn.ops.storage.layouts import Layout, Piece, Storage, pieces, weighed
from symcnn.ops.storage.memory import Life, Memory, in_place, refusal

__all__ = [
    "Layout",
    "Life",
    "Memory",
    "Piece",
    "Storage",
    "in_place",
    "pieces",
    "refusal",
    "weighed",
]
