"""Shortcut bias: which cue a network prefers."""
