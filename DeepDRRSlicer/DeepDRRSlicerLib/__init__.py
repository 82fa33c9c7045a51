"""The engine of DeepDRRSlicer: realistic, physically scaled fluoroscopy from CT."""

__version__ = "0.1.0"
