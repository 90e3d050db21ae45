"""Experiments made of many runs: evaluation protocols over seeds, ablations, the quickstart.

Nothing is imported here: tools/quickstart.py shows its progress before PyTorch is loaded.
"""
