"""Benchmarks: ratios against other implementations of the same equations, measured in one run."""
