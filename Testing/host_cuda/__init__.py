"""A card made of C++: the kernels of the CUDA backend compiled for this processor, behind the same interface."""
