"""Shortcuts: predictivity against availability, equal cues, input gradients."""

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
