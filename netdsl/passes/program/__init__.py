"""Passes from program to program: each a function in a file of its own name."""
