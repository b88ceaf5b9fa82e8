"""Sizes as values: a floor of a floor is one floor, a window after a window is one window."""
