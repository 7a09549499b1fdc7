"""Mathematics of wide two-layer networks: pure functions of arrays, and theorems as objects.

Every module is ``jit``-, ``vmap``- and ``grad``-clean; the dtype of a result follows its input, and
is float32 for shorter floats, which are read in float32 (``twolayer.theory.validation``). Outputs
of networks (``twolayer.theory.networks``, ``twolayer.theory.training.gradient_descent``) in short
floats are rounded to those, once, at the end.
Labels in docstrings: [paper] stated in the paper, [code] read off its public code, [derived]
stated and proved by this project, [measured] a number from a run, [not recovered] unknown to us.
"""

import lazy_loader

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
