"""Simulations: feature learning under mixup: exact dynamics and laws."""
