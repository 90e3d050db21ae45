"""Benchmarks of time and memory: our ViT next to backbones of other libraries, and pre-training steps."""
