"""One module per file format: encode(sample, options) -> files of a sample, assemble(...) -> files of the whole set."""
