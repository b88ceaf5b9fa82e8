"""Property tests of a hand-written shape function, with symcnn's strategies and oracles.

`output_size` forgets the pool's padding: the test that is expected to fail finds it.
"""

import pytest
from hypothesis import given
from model import stem
from sizes import output_size, output_size_right

import symcnn
from symcnn.testing import assert_shapes, valid_inputs

NET = symcnn.from_torch(stem(), "N 3 H W")


def test_the_oracle_itself_agrees_with_torch():
    assert_shapes(stem(), NET)


@pytest.mark.xfail(raises=AssertionError, strict=True, reason="the planted bug")
@given(valid_inputs(NET))
def test_the_hand_written_size(sizes):
    assert output_size(sizes["H"]) == NET.shape_at(**sizes)[2]


@given(valid_inputs(NET))
def test_the_size_with_the_padding(sizes):
    assert output_size_right(sizes["H"]) == NET.shape_at(**sizes)[2]
