"""Hyperparameters: the layers that map one size to another."""
