"""Training of two-layer networks: in function space, and by gradient descent."""
