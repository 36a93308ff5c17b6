"""Populations, and the bodies of their cells."""
