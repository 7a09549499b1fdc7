"""Access files, signals, processes, and JAX's settings."""
