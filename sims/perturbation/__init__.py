"""Simulations of learning from adversarial perturbations."""
