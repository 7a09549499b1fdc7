"""Forecast the memory, work and time of a run."""
