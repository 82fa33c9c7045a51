"""The parts of `deepdrr-slicer bench`."""
