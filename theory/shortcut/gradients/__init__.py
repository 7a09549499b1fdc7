"""Input gradients: which features they show."""
