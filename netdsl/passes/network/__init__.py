"""Passes from network to network."""
