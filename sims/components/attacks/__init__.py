"""Adversarial attacks within budgets."""
