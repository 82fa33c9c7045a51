"""Spectra, materials, detector and the polychromatic primary."""
