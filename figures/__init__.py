"""Figures: stored results to matplotlib figures and one report page; nothing is simulated here."""

from twolayer.figures.engine.render import draw_all

__all__ = ["draw_all"]
