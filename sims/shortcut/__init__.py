"""Simulations of shortcut bias."""

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
