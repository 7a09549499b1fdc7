"""Figures: calibration: temperature scaling against mixup."""
