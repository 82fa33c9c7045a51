"""A written set against what must be in its pictures: beads at known places, a ball's silhouette, another way to it.

The CT is air with beads in it and the segmentation a ball, so that each shadow is known in closed form; the set comes
from the command line, and each format is read by its own reader.
"""

import json
import tarfile

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_jobs import tree
from dataset_samples import pinhole
from tool_shapes import icosphere

from DeepDRRSlicerLib import __main__ as program
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.dataset.job import FORMAT, read_job
from DeepDRRSlicerLib.dataset.labels import label_segment
from DeepDRRSlicerLib.dataset.outputs import encode_sample, read_outputs
from DeepDRRSlicerLib.dataset.records import RecordFiles, json_bytes, record, record_beam, record_path
from DeepDRRSlicerLib.dataset.rle import mask_from_rle, mask_to_rle
from DeepDRRSlicerLib.dataset.sample import preview
from DeepDRRSlicerLib.dataset.writers import webdataset
from phantoms import centered, chord, ras_grid, spheres

BEADS = {
    "a": (2.3, 31.7, 41.2), "b": (-38.4, 3.1, 22.6), "c": (29.9, -22.8, -4.7), "d": (-7.5, 11.4, -37.3),
    "e": (18.6, 36.2, -29.1),
}  # fmt: skip
BEAD = 3.0  # mm radius
BALL, MIDDLE = 40.0, np.array([1.7, -2.6, 0.9])
COUNT = 6
FORMATS = ("records", "coco", "webdataset", "dicom", "hdf5")


def write_image(path, array_kji, matrix):
    image = sitk.GetImageFromArray(array_kji)
    image.SetSpacing(np.linalg.norm(matrix[:3, :3], axis=0).tolist())
    image.SetOrigin([-matrix[0, 3], -matrix[1, 3], matrix[2, 3]])  # LPS
    image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    sitk.WriteImage(image, str(path), True)


def write_patient(folder, spacing):
    """The beads' CT, and the ball as label map of that spacing."""
    matrix = centered((110, 110, 110), (1.0, 1.0, 1.0))
    share = spheres((110, 110, 110), matrix, list(BEADS.values()), BEAD, subsamples=6)
    write_image(folder / "ct.nrrd", np.rint(-1000 + 3000 * share).astype(np.int16), matrix)
    size = (int(90 / spacing),) * 3
    grid = centered(size, (spacing,) * 3)
    write_image(folder / "ball.nrrd", (((ras_grid(size, grid) - MIDDLE) ** 2).sum(-1) <= BALL**2).view(np.uint8), grid)
    (folder / "beads.json").write_text(json.dumps(BEADS))
    return {"name": "beads", "ct": "ct.nrrd", "segmentation": "ball.nrrd", "landmarks": "beads.json"}


def export(folder, spacing, **changes):
    """The job's file and its set, by the command line."""
    uniform = {"distribution": "uniform"}
    job = {
        "format": FORMAT,
        "seed": 3,
        "count": COUNT,
        "patients": [write_patient(folder, spacing)],
        "image": {"size": [260, 300], "pitch": 0.8},
        "technique": {"kvp": 70, "mas": 0.3, "noise": False},
        "plan": {
            "kind": "box",
            "primary_angle": uniform | {"range": [-170, 170]},
            "secondary_angle": uniform | {"range": [-40, 40]},
            "centre": {"offset": [uniform | {"range": [-8, 8]}] * 3},
            "patient": {"rotation": [uniform | {"range": [-20, 20]}] * 3, "translation": [4, -3, 2]},
        },
        "outputs": [{"writer": name} for name in FORMATS[1:]],
    } | changes
    (folder / "job.json").write_text(json.dumps(job))
    assert program.main(["export", str(folder / "job.json"), "-o", str(folder / "set"), "--workers", "2"]) == 0
    return folder / "job.json", folder / "set"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    for package in ("pydicom", "h5py"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    return export(tmp_path_factory.mktemp("truth"), 1.0)


def from_records(folder):
    return [(data["geometry"], places(data["landmarks"])) for data in RecordFiles(folder)]


def from_coco(folder):
    tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    coco = tools.COCO(str(folder / "coco" / "annotations.json"))
    found = []
    for index, image in sorted(coco.imgs.items()):
        (entry,) = (e for e in coco.imgToAnns[index] if "keypoints" in e)
        names = coco.cats[entry["category_id"]]["keypoints"]
        points = np.reshape(entry["keypoints"], (-1, 3))
        found.append((image["geometry"], {n: p[:2] for n, p in zip(names, points) if p[2] == 2}))
    return found


def from_webdataset(folder):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    shards = sorted(str(path) for path in (folder / "webdataset").glob("*.tar"))
    read = wds.WebDataset(shards, shardshuffle=False).decode()
    return [(one["json"]["geometry"], places(one["json"]["landmarks"])) for one in read]


def from_dicom(folder):
    """The view is that of the header's own fields."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    from DeepDRRSlicerLib.dataset.dicom_geometry import ANNOTATION, CREATOR, GROUP, beam_from_dicom

    found = []
    for path in sorted((folder / "dicom").glob("*.dcm")):
        data = pydicom.dcmread(path)
        (said,) = json.loads(data.private_block(GROUP, CREATOR)[ANNOTATION].value)
        beam = beam_from_dicom(data)
        geometry = {"source": beam.source, "pixel00": beam.pixel00, "e_c": beam.e_c, "e_r": beam.e_r,
                    "pitch": beam.pitch}  # fmt: skip
        found.append((geometry, places(said["landmarks"])))
    return found


def from_hdf5(folder):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(folder / "hdf5" / "set.h5") as file:
        said = [json.loads(group["annotation"].asstr()[()]) for group in file["samples"].values()]
    return [(data["geometry"], places(data["landmarks"])) for data in said]


def places(landmarks):
    return {one["name"]: (one["column"], one["row"]) for one in landmarks if one["visible"]}


def signals(folder):
    """(signal, open field) of each sample as TIFF readers read them."""
    for index in range(COUNT):
        yield tuple(
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "coco" / name / f"{index:06}.tiff"))).astype(np.float64)
            for name in ("signal", "open_field")
        )


@pytest.mark.parametrize("name", FORMATS)
def test_landmarks_of_every_format_are_where_the_geometry_and_the_picture_say(written, name):
    """0.01 px from a projection by hand, 0.1 px from the centroid of the bead that stands there."""
    samples = globals()[f"from_{name}"](written[1])
    assert len(samples) == COUNT
    checked = 0
    for (geometry, found), (signal, field) in zip(samples, signals(written[1])):
        assert set(found) == set(BEADS)
        for bead, place in found.items():
            assert np.abs(pinhole(geometry, BEADS[bead]) - place).max() < 0.01
        attenuation = -np.log(signal / field)
        for bead, place in found.items():
            if all(np.hypot(*np.subtract(place, other)) > 32 for b, other in found.items() if b != bead):
                assert np.abs(centroid(attenuation, place) - place).max() < 0.1
                checked += 1
    assert checked > 2 * COUNT


def centroid(image, place, reach=15):
    """(column, row) of what stands out of its surroundings within `reach` pixels of a place."""
    column, row = (round(x) for x in place)
    rows, columns = np.arange(row - reach, row + reach + 1), np.arange(column - reach, column + reach + 1)
    part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    border = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    part = part - border.mean()
    assert part.max() > 0.3 and np.ptp(border) < 0.01 * part.max()
    return np.array([part.sum(axis=0) @ columns, part.sum(axis=1) @ rows]) / part.sum()


def overlap(mask, beam):
    """Intersection over union with the ball's silhouette."""
    truth = chord(beam, MIDDLE, BALL) > 0
    return (mask & truth).sum() / (mask | truth).sum()


def overlaps(folder):
    found = []
    for data in RecordFiles(folder):
        (segment,) = data["segments"]
        mask = mask_from_rle(segment["mask"])
        rows, columns = np.nonzero(mask)
        assert segment["box"] == [columns.min(), rows.min(), columns.max(), rows.max()]
        found.append(overlap(mask, record_beam(data)))
    return found


def test_masks_of_a_ball_of_1_mm_voxels(written):
    assert min(overlaps(written[1])) >= 0.985


@pytest.mark.long
def test_masks_of_a_ball_of_half_mm_voxels(tmp_path):
    assert min(overlaps(export(tmp_path, 0.5, outputs=[{"writer": "coco"}])[1])) >= 0.992


def test_masks_of_a_ball_that_comes_as_a_closed_surface(written):
    vertices, faces = icosphere(BALL, 5)
    ball = SegmentSurface.from_mesh("ball", (1, 0, 0), vertices + MIDDLE, faces)
    for data in RecordFiles(written[1]):
        mask = mask_from_rle(mask_to_rle(label_segment(ball, record_beam(data)).mask))
        assert overlap(mask, record_beam(data)) >= 0.998


def test_masks_are_the_same_in_every_format(written):
    from DeepDRRSlicerLib.dataset.written_set import WrittenSet

    readers = [WrittenSet(written[1], name) for name in FORMATS[1:]]
    for samples in zip(*readers):
        assert all(np.array_equal(sample.arrays["masks"], samples[0].arrays["masks"]) for sample in samples)
        assert samples[0].arrays["masks"].any()


def test_what_a_window_shows_is_what_the_command_line_writes(written):
    """The panel's samples come from `preview`; every file of theirs, and the record, are those of the set."""
    job, found = read_job(written[0]), tree(written[1])
    samples = preview(job, 3)
    assert len(samples) == 3
    for sample in samples:
        files = encode_sample(sample, read_outputs(job.data, job.hash))
        assert json_bytes(record(sample, files)) == found[record_path(sample.index)]
        kept = [path for path in files if "/fragments/" not in path]
        assert len(kept) == 6 and all(files[path] == found[path] for path in kept)
        members = files[webdataset.fragment_path(sample.index)]
        assert members in found["webdataset/shard-000000.tar"]
    with tarfile.open(written[1] / "webdataset" / "shard-000000.tar") as archive:
        assert len(archive.getmembers()) == 5 * COUNT
