"""HU to matter: tissues come back as the HU that they have, attenuation rises evenly, and HU 0 is water."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from DeepDRRSlicerLib.anatomy.hu_model import HUModel, decompose
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.validation.reference_sum import beam, coefficient
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row, worst

# HU by which the tissues of ICRU-44 show up in the CT beam below
_TISSUES = {"lung": -741, "adipose": -77, "water": 0, "muscle": 43, "soft tissue": 53, "blood": 56, "bone": 1577}
_WATER_AT_60_KEV = 0.20587  # 1/cm, NIST
_LEAST, _PART = 15.0, 0.04  # HU, of the HU


def tissue_rows(counts: Counts) -> Iterator[Row]:
    """HU of what a CT of each tissue is taken for, in the beam that gave the tissue its HU."""
    found = _hounsfield(np.array(list(_TISSUES.values())))
    for (tissue, hu), ours in zip(_TISSUES.items(), found, strict=True):
        allowed = Absolute(max(_LEAST, _PART * abs(hu)))
        yield Row(f"HU of what {hu} HU ({tissue}) is taken for", hu, "tissue table", ours, allowed)


def scale_rows(counts: Counts) -> Iterator[Row]:
    """The same for HU between the tissues: a CT of the mixture must show the HU it came from."""
    hu = np.arange(-900, int(HUModel().metal_threshold) + 1, 100)
    rows = [
        Row(f"HU of what {h} HU is taken for", float(h), "definition", ours, Absolute(max(_LEAST, _PART * abs(h))))
        for h, ours in zip(hu, _hounsfield(hu), strict=True)
    ]
    yield from worst(rows, counts)


def attenuation_rows(counts: Counts) -> Iterator[Row]:
    """mu at 60 keV of the traced channels over the whole scale up to the metal."""
    hu = np.arange(-1000, int(HUModel().metal_threshold) + 1)
    mu = _attenuation(hu, np.array([60.0]))[0]
    water = float(mu[hu == 0][0])
    yield Row("mu(60 keV) of what 0 HU is taken for, 1/cm", _WATER_AT_60_KEV, "NIST", water, Relative(0.005))
    # Steps of one HU; densities are rounded to 1/65535 of the largest, mu to less than 1e-4 of water's.
    falls = int(np.count_nonzero(np.diff(mu) < -1e-4 * _WATER_AT_60_KEV))
    yield Row("HU from which mu(60 keV) falls, -1000 to metal", 0, "definition", falls, Absolute(0))
    steepest = (mu[10:] - mu[:-10]).max() / _WATER_AT_60_KEV
    yield Row("largest rise of mu(60 keV) in 10 HU / water's mu", 0.01, "definition", float(steepest), Absolute(0.01))


def _attenuation(hu: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """1/cm (energies, n) of the traced channels of voxels of so many HU, by decomposing a CT of them."""
    cube = np.zeros((3, 3, len(hu) + 2), dtype=np.int16)  # water at both ends keeps all within the body's box
    cube[:, :, 1:-1] = hu
    body = decompose(Volume(cube, np.eye(4)))
    densities = body.density[:, 1, 1, 1:-1] * body.scale[:, None]
    return np.stack([coefficient(name, energies) for name in body.materials], axis=1) @ densities


def _hounsfield(hu: np.ndarray) -> np.ndarray:
    """HU, to 0.001, that the CT beam gives to what voxels of so many HU are taken for."""
    energies, photons = beam(120, {"water": 20.0}, {"aluminium": 6.0, "copper": 0.2})
    weight = photons * energies
    relative = weight @ _attenuation(hu, energies) / (weight @ coefficient("water", energies))
    return np.round(1000 * (relative - 1), 3) + 0.0  # no -0
