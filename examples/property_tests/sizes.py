"""A shape function as people write it by hand, for the network in `model`."""


def output_size(h: int) -> int:
    """Rows that come out of the stem for `h` rows."""
    h = (h + 2 * 3 - 7) // 2 + 1  # the convolution
    return -(-(h - 3) // 2) + 1  # the pooling, ceil_mode


def output_size_right(h: int) -> int:
    """The same, with the rule that the last window must start inside the input."""
    h = (h + 2 * 3 - 7) // 2 + 1
    out = -(-(h + 2 - 3) // 2) + 1
    return out - 1 if (out - 1) * 2 >= h + 1 else out
