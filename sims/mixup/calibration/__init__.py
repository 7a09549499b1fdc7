"""Simulations: calibration: temperature scaling against mixup."""
