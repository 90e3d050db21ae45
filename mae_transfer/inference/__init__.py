"""Trained models at work on images without annotations."""
