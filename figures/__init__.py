"""Figures: stored results to matplotlib figures and one report page; nothing is simulated here."""

import lazy_loader

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
