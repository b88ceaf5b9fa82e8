"""Layers under torch.nn's names and signatures, without torch; sizes may be sympy symbols.

They describe eval mode: batch normalisation uses its running statistics, dropout does nothing.
"""

from symcnn.nn import (
    activation,
    arrange,
    attention,
    containers,
    conv,
    linear,
    loss,
    norm,
    padding,
    pool,
    recurrent,
    repeat,
    sparse,
)
from symcnn.nn.activation import *
from symcnn.nn.arrange import *
from symcnn.nn.attention import *
from symcnn.nn.containers import *
from symcnn.nn.conv import *
from symcnn.nn.linear import *
from symcnn.nn.loss import *
from symcnn.nn.module import Module
from symcnn.nn.norm import *
from symcnn.nn.padding import *
from symcnn.nn.pool import *
from symcnn.nn.recurrent import *
from symcnn.nn.repeat import *
from symcnn.nn.sparse import *

__all__ = ["Module"]
__all__ += activation.__all__
__all__ += arrange.__all__
__all__ += attention.__all__
__all__ += containers.__all__
__all__ += conv.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += norm.__all__
__all__ += padding.__all__
__all__ += pool.__all__
__all__ += recurrent.__all__
__all__ += repeat.__all__
__all__ += sparse.__all__
