"""Closed-form kernels of wide networks, and the laws that they are made of."""
