"""Backends: load, allocate and launch what the generators wrote."""
