"""Figures: neural collapse of mixup: optimal features and classifiers."""
