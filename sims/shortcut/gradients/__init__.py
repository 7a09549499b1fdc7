"""Simulations: input gradients: which features they show."""
