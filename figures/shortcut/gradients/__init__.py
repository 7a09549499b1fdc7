"""Figures: input gradients: which features they show."""
