"""Where the radiation falls and how much of it: fall-off, distance, load, penumbra, and the place of an object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.validation.measure import centroid, edge_width
from DeepDRRSlicerLib.validation.pictures import ideal, machine, patient, picture, view
from DeepDRRSlicerLib.validation.reference_sum import signal
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row

_MAGNIFICATION, _PENUMBRA = 1.645, 0.387  # mm, of a focal spot of 0.6 mm
_FINE = 0.02  # mm
_AROUND = (100, 300)  # columns: 2 mm on either side of the edge


def fall_off_rows(counts: Counts) -> Iterator[Row]:
    """Inverse square and obliquity over 30 x 30 cm at 1 m, and tube load and distance in the middle."""
    beam = view((301, 301), 1.0)
    frame = _open(beam)
    for what, reference, row in (("corner", 0.9361, 0), ("middle of an edge", 0.9672, 150)):
        ours = float(frame[row, 0] / frame[150, 150])
        yield Row(f"signal in the {what} / centre, 30 x 30 cm", reference, "closed form", ours, Absolute(1e-3))
    once, twice = (_open(view((9, 9), 1.0), mas)[4, 4] for mas in (1.0, 2.0))
    yield Row("signal at 2 mAs / at 1 mAs", 2.0, "closed form", float(twice / once), Relative(1e-5))
    far = _open(view((9, 9), 1.0, sid=1500.0))[4, 4]
    yield Row("signal at 150 cm / at 100 cm", 4 / 9, "closed form", float(far / once), Relative(1e-4))
    grid = load_grid("mobile_8_1")
    through = picture({"water": 0.0}, ideal(), view((9, 9), 1.0), grid=grid).frame.signal[4, 4]
    share = grid.primary_transmission
    yield Row("signal through the 8:1 grid / without", share, "configured", float(through / once), Relative(1e-5))
    area = signal(80, {}, ideal())
    yield Row("open field at 1 m, 1 mAs, 80 kV, keV/mm2", area, "direct sum", float(once), Relative(1e-4))


def penumbra_rows(counts: Counts) -> Iterator[Row]:
    """A shutter and an opaque plate at one magnification, its shadow at the left; the plate by point sources, too."""
    sod = 1000.0 / _MAGNIFICATION
    beam = view((64, 400), _FINE, sod=sod)
    shuttered = replace(machine(), collimator_distance=sod, focal_spot=0.6)
    field = Collimation(0.0, 4.0, 0.64, 0.64)
    shutter = picture({"water": 0.0}, ideal(), beam, device=shuttered, collimation=field).frame.signal
    yield Row(
        f"penumbra of a shutter, 0.6 mm at {_MAGNIFICATION}, mm",
        _PENUMBRA,
        "closed form",
        _ramp(shutter),
        Relative(0.05),
    )
    outside = float(shutter[:, : _AROUND[0]].max())
    yield Row("largest signal 2 mm and more outside that shutter, keV", 0, "definition", outside, Absolute(0))
    nothing = patient("water", np.zeros((3, 3, 3)), (10.0, 10.0, 10.0))
    plate = _plate()
    settings = Acquisition(replace(machine(), focal_spot=0.6), ideal(), Technique())
    blurred = nothing.simulate(beam, settings, [plate]).transmission
    yield Row(
        f"penumbra of an object at {_MAGNIFICATION}, mm", _PENUMBRA, "closed form", _ramp(blurred), Relative(0.05)
    )
    points = 32
    places = (np.arange(points) + 0.5) / points * 0.6 - 0.3
    sharp = replace(settings, device=replace(machine(), focal_spot=1e-6))
    seen = [
        nothing.simulate(replace(beam, source=beam.source + x * beam.e_c), sharp, [plate]).transmission for x in places
    ]
    yield Row(
        "penumbra of an object as blurred / as seen by 32 point sources",
        _ramp(np.mean(seen, axis=0)),
        "ray sum",
        _ramp(blurred),
        Relative(0.05),
    )
    half = np.interp(0.5, np.maximum.accumulate(_profile(blurred)), np.arange(*_AROUND))
    yield Row("column of that edge, pixels of 0.02 mm", 199.5, "closed form", float(half), Absolute(0.1))


def place_rows(counts: Counts) -> Iterator[Row]:
    """A ball beside the isocentre in an oblique view: where its shadow lies, and how deep it is."""
    radius, pitch, size = 18.0, 1.0, (120, 140)
    centre = np.array([12.0, -9.0, 10.0])
    spacing = 2.0
    voxels, parts = 23, 4  # voxels hold the share of the ball in them
    fine = ((np.arange(voxels * parts) + 0.5) / parts - voxels / 2) * spacing
    inside = fine[:, None, None] ** 2 + fine[None, :, None] ** 2 + fine[None, None, :] ** 2 <= radius**2
    ball = inside.reshape(voxels, parts, voxels, parts, voxels, parts).mean(axis=(1, 3, 5))
    pose = CArmPose(30, 20, (0, 0, 0), 1000, 600, size, (pitch, pitch))
    settings = Acquisition(replace(machine(), focal_spot=1e-6), ideal(), Technique())
    ours = patient("water", ball, (spacing,) * 3, centre).simulate(pose.beam(), settings).log_attenuation

    chord = _chord(30, 20, 1000, 600, size, pitch, centre, radius)
    depths = np.linspace(0, 2 * radius, 25)
    attenuation = [-np.log(signal(80, {"water": d / 10}, ideal()) / signal(80, {}, ideal())) for d in depths]
    expected = np.interp(chord, depths, attenuation)
    where, reference = centroid(ours), centroid(expected)
    for what, mine, theirs in zip(("row", "column"), where, reference, strict=True):
        yield Row(
            f"{what} of a ball's shadow at LAO 30, CRA 20", float(theirs), "closed form", float(mine), Absolute(0.05)
        )
    deepest, theirs = (float(image[chord > 1.98 * radius].mean()) for image in (ours, expected))
    yield Row("-ln T behind the middle of that ball", theirs, "direct sum", deepest, Relative(0.01))


def _open(beam, mas: float = 1.0) -> np.ndarray:
    return picture({"water": 0.0}, ideal(), beam, Technique(mas=mas)).frame.signal.astype(np.float64)


def _ramp(image: np.ndarray) -> float:
    return edge_width(_profile(image), _FINE)


def _profile(image: np.ndarray) -> np.ndarray:
    """The middle row around the edge, from 0 at the left to 1 in the open field."""
    row = image[image.shape[0] // 2, slice(*_AROUND)].astype(np.float64)
    return row / row[-40:].mean()


def _plate():
    """1 mm of lead, denser than any, in the plane of the isocentre; its edge is the plane R = 0."""
    from DeepDRRSlicerLib.projection.tools import Tool

    corners = np.array([[r, a, s] for r in (0.0, 60.0) for a in (-0.5, 0.5) for s in (-60.0, 60.0)])
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return Tool("plate", corners, np.array(faces), "lead", 99.0)


def _chord(primary, secondary, sid, sod, size, pitch, centre, radius) -> np.ndarray:
    """mm (rows, cols) of each pixel's ray inside a ball, from the angles' definition in DICOM PS3.3 C.8.7.5.

    The beam comes from behind at 0/0. Primary turns it towards the left, about the patient's long axis, then secondary
    towards the head; the image is seen from the detector, head up.
    """
    a, b = np.deg2rad(primary), np.deg2rad(secondary)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    towards, across, down = (turn @ tilt @ axis for axis in np.array([[0, 1, 0], [-1, 0, 0], [0, 0, -1.0]]))
    source = -sod * towards
    u = (np.arange(size[1]) - (size[1] - 1) / 2) * pitch
    v = (np.arange(size[0]) - (size[0] - 1) / 2) * pitch
    ray = sid * towards + u[None, :, None] * across + v[:, None, None] * down
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    towards_centre = centre - source
    square = towards_centre @ towards_centre - (ray @ towards_centre) ** 2
    return 2 * np.sqrt(np.maximum(radius**2 - square, 0))
