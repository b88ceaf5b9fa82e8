"""Conditions on sizes and the sets that they define: a condition is isl text, a set is a value."""
