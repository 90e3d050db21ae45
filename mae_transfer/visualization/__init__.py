"""Reconstructions, plots, pictures of predictions."""
