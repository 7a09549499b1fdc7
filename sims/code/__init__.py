"""Identify the code that computed a stored result."""
