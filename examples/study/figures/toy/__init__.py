"""A toy wing, to be copied."""

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
