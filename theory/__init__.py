"""Mathematics of wide two-layer networks: pure functions of arrays, and theorems as objects.

Every module is ``jit``-, ``vmap``- and ``grad``-clean; the dtype of a result follows its input.
Labels in docstrings: [paper] stated in the paper, [code] read off its public code, [derived]
stated and proved by this project, [measured] a number from a run, [not recovered] unknown to us.
"""
