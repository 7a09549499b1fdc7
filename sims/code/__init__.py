"""Digests of the code that computes a cell."""
