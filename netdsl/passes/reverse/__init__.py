"""The reference rule `bptt(loss = E)`: reverse differentiation of a phase's operations."""
