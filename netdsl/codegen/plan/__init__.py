"""What C and CUDA share: lists, sums and exchanges around the operations of a routine."""
