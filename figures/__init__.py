"""Figures: stored results to matplotlib figures and one report page; nothing is simulated here."""

from twolayer.figures.engine.render import draw_all
from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)

__all__ = ["draw_all"]
