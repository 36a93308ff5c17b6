"""Short vectors and modulators that reach other populations, from the text to every backend."""
