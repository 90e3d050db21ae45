"""Label maps: a class for each pixel, and the setting ``classes``."""
