"""Simulations of mixup."""
