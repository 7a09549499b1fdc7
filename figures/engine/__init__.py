"""Draw figures from stored results and keep them."""
