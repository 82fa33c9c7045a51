"""The commands of the program `deepdrr-slicer`, one per file."""
