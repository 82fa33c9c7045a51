"""Frames, the cone-beam camera and C-arm kinematics."""
