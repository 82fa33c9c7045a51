"""What every backend refuses before it projects a batch of views."""

from __future__ import annotations

from collections.abc import Sequence

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.slab_geometry import rays_of


def image_size(beams: Sequence[ConeBeam]) -> tuple[int, int]:
    """(rows, columns) of all the views. Raises InputError where they differ, or there are none."""
    sizes = {beam.size for beam in beams}
    if len(sizes) != 1:
        raise InputError("A batch needs views, all of the same image size; project others one by one.")
    return sizes.pop()


def refuse_source_inside(volume: MaterialVolume, beam: ConeBeam) -> None:
    """Raises InputError where the source lies where the volume has, or might have, matter."""
    source = rays_of(volume, beam).source
    if (source > -1).all() and (source < volume.size).all():
        raise InputError("The X-ray source lies inside the CT; move it out of the patient's box.")
