"""Learning rules, optimisers and modulators."""
