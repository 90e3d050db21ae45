"""Weights of a ViT: files of any kind read as data, other projects' names, fitted to a model and loaded."""
