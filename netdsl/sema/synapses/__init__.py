"""Projections: which synapses exist, what they hold and deliver."""
