"""Parts that studies share: data, models, training and attacks."""
