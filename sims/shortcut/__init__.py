"""Simulations of shortcut bias."""
