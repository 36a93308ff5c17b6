"""Algebra on expressions: folding, derivatives, factors, integration."""
