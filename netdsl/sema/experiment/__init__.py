"""Data, protocols, readouts and metrics."""
