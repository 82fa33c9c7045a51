"""The shipped physics tables: coefficients and spectra made by Utilities/make_physics_tables.py."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np


@dataclass(frozen=True)
class PhysicsTables:
    """Arrays as the script documents them, read-only; `names` indexes the rows of the per-material arrays."""

    energies: np.ndarray
    mass_attenuation: np.ndarray
    mass_energy_transfer: np.ndarray
    density: np.ndarray
    bin_edges: np.ndarray
    tube_voltages: np.ndarray
    fluence: np.ndarray
    mean_energies: np.ndarray
    metadata: dict
    names: tuple[str, ...]


@cache
def physics_tables() -> PhysicsTables:
    """The tables, read once per process."""
    with (
        as_file(files("DeepDRRSlicerLib") / "data" / "physics_tables.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        arrays = {name: stored[name] for name in stored.files}
    metadata = json.loads(str(arrays.pop("metadata")))
    for name, array in arrays.items():
        arrays[name] = array.astype(np.float64) if array.dtype == np.float32 else array
        arrays[name].flags.writeable = False
    names = tuple(material["name"] for material in metadata["materials"])
    return PhysicsTables(**arrays, metadata=metadata, names=names)
