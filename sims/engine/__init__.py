"""Experiments: planned, run, stored, and read back."""
