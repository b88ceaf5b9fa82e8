"""Layers under torch.nn's names and signatures, without torch; sizes may be sympy symbols.

They describe eval mode: batch normalisation uses its running statistics, dropout does nothing.
"""

from symcnn.nn.activation import *
from symcnn.nn.arrange import *
from symcnn.nn.attention import *
from symcnn.nn.conv import *
from symcnn.nn.linear import *
from symcnn.nn.loss import *
from symcnn.nn.module import *
from symcnn.nn.norm import *
from symcnn.nn.padding import *
from symcnn.nn.pool import *
from symcnn.nn.recurrent import *
from symcnn.nn.repeat import *
from symcnn.nn.sparse import *

#: The layers and containers: each class of a module, but for what they inherit from.
__all__ = [
    name
    for name, kind in globals().items()
    if isinstance(kind, type)
    and issubclass(kind, Module)
    and kind.__module__ != f"{__name__}.layer"
]
