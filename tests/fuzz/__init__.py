"""The fuzz harness: random cases of every kind, with torch as the judge (``python -m tests.fuzz``).

It stands on the strategies and oracles that are public in `symcnn.testing`; what only this
repository's own tests draw and judge is here.
"""
