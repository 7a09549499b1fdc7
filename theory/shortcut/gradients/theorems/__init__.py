"""Theorems of this study."""
