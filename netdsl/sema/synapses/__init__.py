"""synapses."""
