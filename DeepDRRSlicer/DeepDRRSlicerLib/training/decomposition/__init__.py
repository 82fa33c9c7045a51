"""Training and judging the network that says what each voxel of a CT is made of."""
