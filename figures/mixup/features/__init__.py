"""Figures: feature learning under mixup: exact dynamics and laws."""
