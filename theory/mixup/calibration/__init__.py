"""Calibration: temperature scaling against mixup."""
