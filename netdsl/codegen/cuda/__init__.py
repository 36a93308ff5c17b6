"""CUDA: operations as kernels, and the plan by which they are launched."""
