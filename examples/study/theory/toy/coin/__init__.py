"""The mean of coin flips."""
