"""Figures: shortcut bias: which cue a network prefers."""
