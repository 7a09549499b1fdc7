"""Learning from perturbations, with wide networks."""
