"""Labels of one view against closed forms, and the files that hold them."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DeepDRRSlicerLib.anatomy.image_io import affine_from_sitk
from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset.export_view import export_view
from DeepDRRSlicerLib.dataset.labels import label_landmarks, label_segment
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.files import read_beam
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from phantoms import centered, chord, ras_grid

RED = (1.0, 0.0, 0.0)


def view(primary=0.0, secondary=0.0, size=(220, 200), pitch=0.8, isocenter=(0, 0, 0)):
    return CArmPose(primary, secondary, isocenter, 1000, 600, size, (pitch, pitch)).beam()


def ball(center, radius, spacing=1.0, name="ball"):
    """A binary segment, cropped to its box."""
    n = int(np.ceil(2 * radius / spacing)) + 3
    matrix = centered((n, n, n), (spacing,) * 3, center=center)
    inside = np.linalg.norm(ras_grid((n, n, n), matrix) - center, axis=-1) <= radius
    return Segment(name, Volume(inside.astype(np.uint8), matrix), RED)


@pytest.mark.parametrize("angles", [(0, 0), (37, -22)])
@pytest.mark.parametrize(("spacing", "bound"), [(1.0, 0.98), (0.5, 0.985)])
def test_mask_of_a_sphere_is_its_silhouette(angles, spacing, bound):
    center, radius = np.array([5.0, -8.0, 3.0]), 40.0
    beam = view(*angles)
    label = label_segment(ball(center, radius, spacing), beam)
    exact = chord(beam, center, radius)
    silhouette = exact > 0
    assert (label.mask & silhouette).sum() / (label.mask | silhouette).sum() >= bound
    # A voxel is in or out: on average its rays are off by a fraction of its edge at each end.
    assert np.abs(label.thickness - exact)[silhouette].mean() < 0.75 * spacing
    rows, columns = np.nonzero(label.mask)
    assert label.box == (columns.min(), rows.min(), columns.max(), rows.max())


def test_a_segment_partly_or_wholly_outside_the_picture():
    beam = view()
    half = label_segment(ball(np.array([-48.0, 0, 0]), 20), beam)
    whole = label_segment(ball(np.array([-48.0, 0, 0]), 20), view(size=(220, 400)))
    assert half.box[2] == 199 and np.allclose(half.thickness, whole.thickness[:, 100:300], atol=1e-3)
    away = label_segment(ball(np.array([-400.0, 0, 0]), 20), beam)
    assert away.box is None and away.thickness.max() == 0
    behind = label_segment(ball(np.array([0.0, -700, 0]), 20), beam)
    assert behind.box is None
    around_the_source = label_segment(ball(np.array([0.0, -600, 0]), 20), beam)
    assert around_the_source.mask.all() and abs(around_the_source.thickness[110, 100] - 20) <= 0.51


def test_landmarks_fall_where_the_closed_form_says():
    beam = view(30, 10)
    points = {"inside": (10, 20, -15), "outside": (300, 0, 0), "behind": tuple(beam.source - 5 * beam.normal)}
    inside, outside, behind = label_landmarks([Landmark(n, p) for n, p in points.items()], beam)
    ray = np.array(points["inside"]) - beam.source
    normal = np.cross(beam.e_c, beam.e_r)
    hit = beam.source + ray * ((beam.pixel00 - beam.source) @ normal) / (ray @ normal) - beam.pixel00
    assert inside.column == pytest.approx(hit @ beam.e_c / 0.8, abs=0.01)
    assert inside.row == pytest.approx(hit @ beam.e_r / 0.8, abs=0.01)
    assert inside.visible and inside.depth == pytest.approx(ray @ beam.normal)
    assert not outside.visible and outside.column is not None
    assert not behind.visible and behind.column is None


@pytest.fixture(scope="module")
def radiograph():
    hu = np.full((40, 50, 50), -1000, np.int16)
    hu[:, 10:40, 10:40] = 0  # reaches the top and the bottom of the CT
    ct = Volume(hu, centered(hu.shape, (4, 4, 4)))
    return Simulator(ct).simulate(view(20, 30), Technique(), load_detector("ideal"))


def test_an_exported_view_reads_back(tmp_path, radiograph):
    segments = [ball(np.array([0.0, 0, 0]), 20, name="one"), ball(np.array([8.0, 0, 0]), 15, name="two")]
    reports = []
    files = export_view(tmp_path / "view", radiograph, segments, [Landmark("p", (1, 2, 3))], progress=reports.append)
    assert {f.name for f in files} == {
        "signal.nrrd", "open_field.nrrd", "area_density.nrrd", "display.png", "view.json",
        "masks.seg.nrrd", "thickness.nrrd", "landmarks.json",
    }  # fmt: skip
    assert reports == sorted(reports) and reports[-1] == 1
    signal = sitk.ReadImage(str(tmp_path / "view" / "signal.nrrd"))
    assert np.allclose(affine_from_sitk(signal), radiograph.beam.image_to_ras(), atol=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(signal)[0], radiograph.signal)
    areas = sitk.ReadImage(str(tmp_path / "view" / "area_density.nrrd"))
    assert json.loads(areas.GetMetaData("materials")) == list(radiograph.materials)
    assert np.array_equal(np.moveaxis(sitk.GetArrayFromImage(areas)[0], -1, 0), radiograph.area_density)
    display = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view" / "display.png")))
    assert display.shape == radiograph.beam.size and display.dtype == np.uint8

    masks = {s.name: s.mask for s in read_segmentation(tmp_path / "view" / "masks.seg.nrrd")}
    assert list(masks) == ["one", "two", "outside the CT"]
    assert radiograph.border.any()
    for name, expected in (
        ("one", label_segment(segments[0], radiograph.beam).mask),
        ("two", label_segment(segments[1], radiograph.beam).mask),
        ("outside the CT", radiograph.border),
    ):
        rows, columns = np.nonzero(expected)
        assert masks[name].array.sum() == expected.sum()
        box = np.linalg.inv(radiograph.beam.image_to_ras()) @ masks[name].ijk_to_ras @ [0, 0, 0, 1]
        assert np.allclose(box[:2], (columns.min(), rows.min()), atol=1e-3)

    data = json.loads((tmp_path / "view" / "view.json").read_text())
    assert np.allclose(read_beam(tmp_path / "view" / "view.json").P, radiograph.beam.P)
    assert data["border_fraction"] == pytest.approx(radiograph.border.mean())
    assert [s["name"] for s in data["segments"]] == ["one", "two"]
    points = json.loads((tmp_path / "view" / "landmarks.json").read_text())["landmarks"]
    assert points[0]["name"] == "p" and points[0]["visible"]


def test_a_stopped_or_failed_export_leaves_nothing_behind(tmp_path, radiograph):
    with pytest.raises(Stopped):
        export_view(tmp_path / "view", radiograph, [ball(np.zeros(3), 20)], should_stop=lambda: True)
    assert not (tmp_path / "view").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write"):
        export_view(tmp_path / "file", radiograph)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
