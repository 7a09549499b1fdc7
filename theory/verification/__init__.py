"""Theorems as objects: verified, attacked, and decided by interval arithmetic."""
