"""Simulations: learning from perturbations, with wide networks."""
