"""Generated scenes: photos and labels that a program paints, in the layouts of the real data."""
