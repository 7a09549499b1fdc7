"""Learning from perturbations, with nearly orthogonal samples."""
