"""Benchmarks: this project next to others on the same work, and what its runs promise, tried and measured."""
