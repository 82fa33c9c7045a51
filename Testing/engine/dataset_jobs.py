"""A patient of a few thousand voxels, and jobs with it: enough for all that a dataset is made of."""

import json
import struct

import numpy as np
import SimpleITK as sitk

from DeepDRRSlicerLib.dataset.job import FORMAT, read_job

SPACING = 6.0
LANDMARKS = {"front": [0.0, 30.0, 5.0], "left": [-30.0, 0.0, 0.0], "top": [3.0, 4.0, 50.0]}


def write_patient(folder, name="patient", shape=(24, 20, 22), seed=0):
    """CT (a body with a ball of bone), segmentation (body, ball: they overlap in no voxel), landmarks; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    k, j, i = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    hu = np.full(shape, -1000, np.int16)
    body = (i / 8) ** 2 + (j / 7) ** 2 + (k / 10) ** 2 < 1
    ball = (i - 2) ** 2 + j**2 + (k - 1) ** 2 < 9
    hu[body] = 40
    hu[ball] = 900
    hu += np.random.default_rng(seed).integers(-20, 20, shape, dtype=np.int16)
    labels = body.astype(np.uint8)
    labels[ball] = 2
    for array, ending in ((hu, "ct"), (labels, "labels")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((SPACING,) * 3)
        image.SetOrigin([-(n - 1) / 2 * SPACING for n in shape[::-1]])
        sitk.WriteImage(image, str(folder / f"{name}_{ending}.nrrd"))
    (folder / f"{name}_landmarks.json").write_text(json.dumps(LANDMARKS))
    return {
        "name": name,
        "ct": f"{name}_ct.nrrd",
        "segmentation": f"{name}_labels.nrrd",
        "landmarks": f"{name}_landmarks.json",
    }


def write_tool(folder, name="tool.stl", size=(30.0, 6.0, 6.0)):
    """A box about the origin as binary STL in RAS; its file name."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(size) / 2
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    content = b"SPACE=RAS".ljust(80, b" ") + struct.pack("<I", len(triangles))
    for triangle in triangles:
        content += np.float32([(0, 0, 0), *corners[list(triangle)]]).tobytes() + b"\0\0"
    (folder / name).write_bytes(content)
    return name


def job_data(patients, **changes):
    """A small job with everything random that there is."""
    data = {
        "format": FORMAT,
        "name": "test",
        "licence": "CC0-1.0",
        "seed": 5,
        "count": 8,
        "patients": patients,
        "image": {"size": [40, 48], "pitch": 6.0},
        "technique": {
            "kvp": {"distribution": "uniform", "range": [60, 90]},
            "mas": {"distribution": "log-uniform", "range": [0.1, 10]},
        },
        "plan": {
            "kind": "box",
            "primary_angle": {"distribution": "uniform", "range": [-90, 90]},
            "secondary_angle": {"distribution": "normal", "mean": 0, "sd": 10, "range": [-30, 30]},
            "centre": {"offset": [{"distribution": "uniform", "range": [-20, 20]}, 0, 0]},
            "patient": {"rotation": [0, 0, {"distribution": "uniform", "range": [-10, 10]}]},
        },
        "picture": {
            "contrast": {"distribution": "uniform", "range": [0.8, 1.2]},
            "inverted": 0.5,
            "blur": {"distribution": "uniform", "range": [0, 1]},
            "shutter": {"probability": 0.5, "shapes": ["rectangle", "ellipse", "octagon"]},
            "overlays": {"probability": 0.5},
        },
        "outputs": [{"writer": "coco"}],
    }
    return data | changes


def write_job(folder, name="job.json", **changes):
    """A patient and a job in a folder; the job as read."""
    patients = changes.pop("patients", None) or [write_patient(folder)]
    (folder / name).write_text(json.dumps(job_data(patients, **changes)))
    return read_job(folder / name)


def tree(folder):
    """Every file of a folder: path and content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
