"""Simulations: pure functions of a key and a config, and their results on disk."""
