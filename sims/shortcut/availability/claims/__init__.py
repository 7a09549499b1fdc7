"""Claims of this study, judged on its results."""
