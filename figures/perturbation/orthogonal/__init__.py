"""Figures: learning from perturbations, with nearly orthogonal samples."""
