"""What touches the machine: files, signals, processes, and JAX's settings."""
