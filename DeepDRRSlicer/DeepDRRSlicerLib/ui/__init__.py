"""The Qt side: one small class per panel section."""
