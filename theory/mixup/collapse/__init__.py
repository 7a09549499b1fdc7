"""Neural collapse of mixup: optimal features and classifiers."""
