"""Random streams and what is drawn from them at build: contracts that every backend follows."""
