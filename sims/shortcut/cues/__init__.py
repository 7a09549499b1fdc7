"""Simulations: shortcut bias: which cue a network prefers."""
