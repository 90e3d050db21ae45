"""Photos, with labels or without, as data sets: crops, classes, samplers and wrappers."""
