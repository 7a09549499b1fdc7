"""Mixup: learning rare features, last-layer geometry, calibration."""
