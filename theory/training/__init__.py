"""Training of two-layer networks: in function space, and by gradient descent."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
