"""All checks of `deepdrr-slicer validate`, by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from DeepDRRSlicerLib.validation import attenuation, chain, detector, exposure, geometry, hu, noise, transmission, tube
from DeepDRRSlicerLib.validation.table import Counts, Row

Check = Callable[[Counts], Iterator[Row]]

CHECKS: dict[str, tuple[Check, ...]] = {
    "attenuation": (attenuation.attenuation_rows, attenuation.energy_transfer_rows),
    "tube": (
        tube.half_value_layer_rows,
        tube.output_rows,
        tube.radiation_quality_rows,
        tube.heel_rows,
        tube.heel_picture_rows,
    ),
    "transmission": (transmission.transmission_rows, transmission.hardening_rows),
    "hu": (hu.tissue_rows, hu.scale_rows, hu.attenuation_rows),
    "geometry": (geometry.fall_off_rows, geometry.penumbra_rows, geometry.place_rows),
    "noise": (noise.slope_rows, noise.power_rows, noise.gaussian_rows, noise.frame_rows),
    "detector": (detector.absorption_rows, detector.dqe_rows, detector.mtf_rows, detector.electronics_rows),
    "exposure": (exposure.photon_rows, exposure.control_rows, exposure.dose_rows),
    "chain": (chain.pmma_rows, chain.ct_rows),
}
