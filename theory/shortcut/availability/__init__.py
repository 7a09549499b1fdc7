"""Shortcut bias: how available a feature is."""
