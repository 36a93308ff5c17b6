"""Golden traces: published implementations recorded, replayed on the shipped specifications."""
