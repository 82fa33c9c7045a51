"""CT, its materials, segmentations and landmarks."""
