"""Mixup: learning rare features, last-layer geometry, calibration."""

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)
