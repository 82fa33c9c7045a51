"""Samples with made-up arrays and exact labels, to test what is written of them: no simulator is needed."""

from types import SimpleNamespace

import numpy as np

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.dataset.finish import finish_set, manifest
from DeepDRRSlicerLib.dataset.labels import SegmentLabel, label_landmarks
from DeepDRRSlicerLib.dataset.outputs import encode_sample, read_outputs
from DeepDRRSlicerLib.dataset.records import json_bytes, record, record_path
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose

POINTS = {
    "apex": (3.0, -12.0, 41.0),
    "hilum": (-22.5, 4.25, 8.125),
    'ä "odd" name': (17.0, 30.0, -26.0),
    "far away": (900.0, 0.0, 0.0),  # never in the picture
}
JOB = {"format": "DeepDRRSlicer job 1", "name": "tiny set", "licence": "CC0-1.0", "date": "20240229", "seed": 5}


def pinhole(geometry, point):
    """(column, row) from source, pixel (0,0), axes and pitch alone: where the line from the source meets the plane."""
    source, corner = np.array(geometry["source"]), np.array(geometry["pixel00"])
    e_c, e_r = np.array(geometry["e_c"]), np.array(geometry["e_r"])
    normal = np.cross(e_c, e_r)
    ray = np.array(point) - source
    hit = source + ray * ((corner - source) @ normal) / (ray @ normal) - corner
    return np.array([hit @ e_c / geometry["pitch"][0], hit @ e_r / geometry["pitch"][1]])


def beam_of(index, size=(60, 72)):
    """Views from all around; every third one has a tilted, rolled, shifted detector that no angles can say."""
    pose = CArmPose(-60.0 + 31.7 * index, 25.0 - 13.3 * index, (2.0, -3.0, 5.0), 1020.5, 622.25, size, (2.3, 2.1))
    beam = pose.beam()
    if index % 3:
        return beam, pose
    turn = np.deg2rad(17.0)
    e_c = np.cos(turn) * beam.e_c + np.sin(turn) * beam.e_r
    e_r = np.cos(turn) * beam.e_r - np.sin(turn) * beam.e_c
    corner = beam.pixel00 + 12.0 * beam.e_c - 7.5 * beam.e_r
    return ConeBeam(beam.source, corner, e_c, e_r, beam.pitch, beam.size), pose


def sample_of(index, sequence=None):
    """One sample: two overlapping discs, a third segment that is not in the picture, four landmarks and a tool."""
    rng = np.random.default_rng(index)
    beam, pose = beam_of(index)
    rows, columns = np.mgrid[: beam.size[0], : beam.size[1]]
    discs = [np.maximum(0.0, r**2 - (rows - y) ** 2 - (columns - x) ** 2) for x, y, r in ((30, 25, 14), (40, 30, 11))]
    thickness = [np.sqrt(d).astype(np.float32) for d in discs] + [np.zeros(beam.size, np.float32)]
    names = ["left lung", "heart", "not in the picture"]
    colors = [(1.0, 0.5, 0.2), (0.1, 0.8, 0.3), (0.3, 0.3, 1.0)]
    wire = ((np.abs(rows - 40) < 2) & (columns > 10 + index)).astype(np.float32)
    open_field = np.full(beam.size, 5000, np.float32)
    signal = (open_field * np.exp(-thickness[0] / 20) + rng.normal(0, 30, beam.size)).astype(np.float32)
    signal[0, 0] = -3.25  # electronic noise may take it below 0, and it stays there
    metadata = {
        "geometry": {},
        "tools": [{"name": "wire", "material": "steel"}],
        "program": {"name": "DeepDRRSlicer", "version": "0", "packages": {"numpy": "0"}},
        "backend": "made up",
        "device": "mobile_carm",
        "c_arm": pose.to_dict(),
        "direction": {"primary_angle": pose.primary_angle, "secondary_angle": pose.secondary_angle},
        "technique": {"kvp": 70 + index, "mas": 1.25, "filtration_mm": {"aluminium": 3.0}, "tube_current_ma": 20.0,
                      "pulse_width_ms": 62.5},
        "dose": {"kerma_area_product_gycm2": 0.0123, "reference_air_kerma_ugy": 41.5},
    }  # fmt: skip
    settings = {"kvp": 70 + index, "primary_angle": pose.primary_angle}
    if sequence is not None:
        settings["sequence"] = sequence
    return SimpleNamespace(
        index=index,
        patient=f"patient {index % 2}",
        radiograph=SimpleNamespace(signal=signal, open_field=open_field, beam=beam, metadata=metadata),
        picture=np.clip(signal / 5000 * 60000, 0, 65535).astype(np.uint16),
        picture_settings={"curve": "log", "window": [1.2, 7.0], "inverted": bool(index % 2)},
        segments=tuple(SegmentLabel(n, c, t, t > 0.5) for n, c, t in zip(names, colors, thickness)),
        landmarks=tuple(label_landmarks([Landmark(n, p) for n, p in POINTS.items()], beam)),
        tools=(
            SimpleNamespace(name="wire", material="steel", mask=wire > 0, thickness=wire, pose=np.eye(4)),
        ),
        settings=settings,
    )  # fmt: skip


def write_samples(folder, outputs, indices, sequence=lambda index: None):
    """The files and records of samples as a runner leaves them before it assembles; returns job and options."""
    job = JOB | {"outputs": outputs}
    options = read_outputs(job, "c0ffee")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_bytes(json_bytes(job))
    for index in indices:
        sample = sample_of(index, sequence(index))
        files = encode_sample(sample, options)
        content = files | {record_path(index): json_bytes(record(sample, files))}
        for path, data in content.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return job, options


def write_set(folder, outputs, indices=range(5), sequence=lambda index: None, **extra):
    """A whole set."""
    indices = list(indices)
    job, options = write_samples(folder, outputs, indices, sequence)
    facts = {"job_hash": "c0ffee", "backend": "made up", "versions": {"numpy": "0"}, "requested": 5} | extra
    finish_set(folder, job, options, manifest(job, **facts))
    return folder
