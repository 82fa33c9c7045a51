"""The CUDA backend: kernels in CUDA C++, and two ways to a card behind one interface."""
