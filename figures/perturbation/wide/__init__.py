"""Figures: learning from perturbations, with wide networks."""
