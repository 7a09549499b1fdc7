"""Numbers and tables of the paper, as LaTeX."""
