"""NumPy: a program as one Python module."""
