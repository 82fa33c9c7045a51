"""Other projectors, where they are installed, on the same densities and in the same geometry.

Each function returns one that projects, and raises ImportError where the package is missing. What it returns gives
area densities (channels, rows, columns) in g/cm2; making the volume ready is not part of its time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_MM_PER_CM = 10.0


def rtk_joseph(volume: MaterialVolume, beam: ConeBeam, threads: int) -> Callable[[], np.ndarray]:
    """The Joseph forward projector of RTK (package itk-rtk): all channels in one pass, as vectors."""
    import itk
    from itk import RTK as rtk  # noqa: N811

    channels = len(volume.materials)
    density = np.empty((*volume.density.shape[1:], channels), dtype=np.float32)
    for channel, (levels, scale) in enumerate(zip(volume.density, volume.scale / _MM_PER_CM, strict=True)):
        np.multiply(levels, np.float32(scale), out=density[..., channel])
    pixel = itk.F if channels == 1 else itk.Vector[itk.F, channels]
    image_type = itk.Image[pixel, 3]

    def image(array, matrix):
        result = itk.image_from_array(array[..., 0] if channels == 1 else array, ttype=image_type)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        result.SetSpacing(spacing.tolist())
        result.SetOrigin(matrix[:3, 3].tolist())
        result.SetDirection(itk.matrix_from_array(np.ascontiguousarray(matrix[:3, :3] / spacing)))
        return result

    def numbers(kind, values):
        result = kind[itk.D, 3]()
        for axis, value in enumerate(values):
            result.SetElement(axis, float(value))
        return result

    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    geometry.AddProjection(
        numbers(itk.Point, beam.source), numbers(itk.Point, beam.pixel00),
        numbers(itk.Vector, beam.e_c), numbers(itk.Vector, beam.e_r),
    )  # fmt: skip
    empty = np.zeros((1, *beam.size, channels), dtype=np.float32)
    projector = rtk.JosephForwardProjectionImageFilter[image_type, image_type].New()
    projector.SetGeometry(geometry)
    projector.SetInput(0, image(empty, np.diag([*beam.pitch, 1.0, 1.0])))
    projector.SetInput(1, image(density, volume.ijk_to_ras))
    projector.SetInPlace(False)
    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    projector.SetNumberOfWorkUnits(threads)

    def project():
        projector.Modified()
        projector.Update()
        found = itk.array_from_image(projector.GetOutput()).reshape(*beam.size, channels)
        return np.moveaxis(found, -1, 0)

    return project


def nanodrr(volume: MaterialVolume, beam: ConeBeam, threads: int) -> Callable[[], np.ndarray]:
    """nanodrr on torch's CPU: 500 samples a ray, its default, the channels one after the other."""
    import torch
    from nanodrr.data import Subject
    from nanodrr.drr import render

    torch.set_num_threads(threads)
    shape = volume.density.shape[1:]
    world = torch.tensor(volume.ijk_to_ras, dtype=torch.float32)
    inverse = torch.tensor(np.linalg.inv(volume.ijk_to_ras), dtype=torch.float32)
    grid = Subject._make_voxel_to_grid(torch.Size((1, 1, *shape)))
    label = torch.zeros((1, 1, *shape))
    subjects = []
    for channel, scale in zip(volume.density, volume.scale / _MM_PER_CM, strict=True):
        density = torch.from_numpy(channel.astype(np.float32) * np.float32(scale))[None, None]
        subjects.append(Subject(density, label, world, inverse, grid, torch.zeros(3), max_label=0, convert_to_mu=False))
    to_pixel = beam.K + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]  # its pixel centres are at halves
    to_camera = np.eye(4)
    to_camera[:3, :3], to_camera[:3, 3] = beam.R, beam.t
    camera = [torch.tensor(np.linalg.inv(matrix)[None], dtype=torch.float32) for matrix in (to_pixel, to_camera)]
    sid = torch.tensor([beam.sid], dtype=torch.float32)

    def project():
        with torch.no_grad():
            return np.concatenate([render(subject, *camera, sid, *beam.size)[0].numpy() for subject in subjects])

    return project


def nanodrr_on_card(volume: MaterialVolume, beams: list[ConeBeam], samples: int):
    """(project, wait): nanodrr's fused Triton kernel on torch's card, for one channel and all views in one call.

    project() starts and returns the tensor (views, 1, rows, columns) on the card, wait() waits for it.
    """
    import torch
    from nanodrr.data import Subject
    from nanodrr.drr import render

    if not torch.cuda.is_available():
        raise ImportError("torch finds no card")
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise ImportError("no Triton") from error

    def on_card(array):
        return torch.tensor(np.asarray(array), dtype=torch.float32, device="cuda")

    shape = volume.density.shape[1:]
    density = on_card(volume.density[0].astype(np.float32) * np.float32(volume.scale[0] / _MM_PER_CM))[None, None]
    grid = Subject._make_voxel_to_grid(torch.Size((1, 1, *shape))).to("cuda")
    world, inverse = on_card(volume.ijk_to_ras), on_card(np.linalg.inv(volume.ijk_to_ras))
    subject = Subject(density, torch.zeros_like(density), world, inverse, grid, on_card(np.zeros(3)), max_label=0,
                      convert_to_mu=False)  # fmt: skip
    to_pixel = [beam.K + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]] for beam in beams]  # its pixel centres are at halves
    to_camera = [np.block([[beam.R, beam.t[:, None]], [np.zeros((1, 3)), 1.0]]) for beam in beams]
    camera = on_card(np.linalg.inv(to_pixel)), on_card(np.linalg.inv(to_camera))
    sid = on_card([beam.sid for beam in beams])

    def project():
        with torch.no_grad():
            return render(subject, *camera, sid, *beams[0].size, n_samples=samples, backend="triton")

    return project, torch.cuda.synchronize


PEERS = {"RTK Joseph": rtk_joseph, "nanodrr": nanodrr}
