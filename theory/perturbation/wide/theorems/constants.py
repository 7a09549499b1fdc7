"""Constants that several theorems of this study share."""

# Failure rate of the statements with probability.
DELTA = 0.05
# Width of the network whose flips are counted.
FLIP_WIDTH = 100
# Ranges of the slope of the activation, and of the scale of inputs.
SLOPES = (0.0, 0.9)
SCALES = (0.3, 3.0)
