"""Simulations: shortcut bias: how available a feature is."""
