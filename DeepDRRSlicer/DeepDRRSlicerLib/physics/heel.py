"""The heel effect: towards the anode the beam is weaker and harder, because it leaves the target more flatly."""

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.anode import TABULATED_ANGLE, self_filtration
from DeepDRRSlicerLib.physics.exposure import plane_coordinates
from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.physics.spectrum import Spectrum

HEEL_MATERIAL = "tungsten"  # the material of the layer


def heel_layer(
    beam: ConeBeam, anode_direction: tuple[float, float], kvp: float, anode_angle: float = TABULATED_ANGLE
) -> np.ndarray:
    """Additional tungsten that each pixel's ray crosses in the anode, relative to the central ray.

    anode_direction: unit vector (along a row, down a column) that points towards the anode. The central ray is the
    perpendicular from the source to the detector. anode_angle: degrees, also that of the spectrum on the central ray.
    Returns (rows, cols) float32 g/cm2: negative towards the cathode, 100 (nothing passes) in the anode's shadow.
    """
    across, down = plane_coordinates(beam)
    across, down = across[None, :] / beam.sid, down[:, None] / beam.sid
    towards = across * anode_direction[0] + down * anode_direction[1]
    sideways = across * anode_direction[1] - down * anode_direction[0]
    layer = self_filtration(kvp, anode_angle, towards, sideways) - self_filtration(kvp, anode_angle)
    return layer.astype(np.float32)


def heel_kerma(spectrum: Spectrum, layer: np.ndarray) -> np.ndarray:
    """Air kerma behind additional tungsten over the kerma on the central ray.

    spectrum: of the central ray. layer: g/cm2, as heel_layer gives it. Returns the same shape, float64; inverse square
    is not part of it.
    """
    kerma = spectrum.fluence * spectrum.kerma_per_photon
    low, high = float(np.min(layer)), float(np.max(layer))
    # Kerma is a smooth function of the layer alone: a few values, close together where the layers are thin.
    nodes = low + (high - low) * np.linspace(0.0, 1.0, 257) ** 4
    attenuation = mass_attenuation(HEEL_MATERIAL, spectrum.energies)
    passed = np.exp(-np.outer(nodes, attenuation)) @ kerma / kerma.sum()
    return np.exp(np.interp(layer, nodes, np.log(np.maximum(passed, np.finfo(float).tiny))))
