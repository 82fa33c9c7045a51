"""The MRML side: C-arm, X-ray image, views."""
