"""Gradients that `bptt` derives, against central differences and an independent sweep."""
