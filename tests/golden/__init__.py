"""Golden traces: recordings of published implementations, replayed on the shipped specifications."""
