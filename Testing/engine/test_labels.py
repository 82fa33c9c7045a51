"""Labels of one view against closed forms, and the files that hold them."""

import gc
import json
import os
import threading
import time
import weakref

import numpy as np
import pytest
import SimpleITK as sitk
from tool_shapes import icosphere

from DeepDRRSlicerLib.anatomy.image_io import affine_from_sitk
from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset.export_view import export_view
from DeepDRRSlicerLib.dataset.labels import label_landmarks, label_segment
from DeepDRRSlicerLib.dataset.view_files import ViewLabels, write_view
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.files import read_beam
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.projection.thickness import surface_thickness
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from phantoms import centered, chord, ras_grid

RED = (1.0, 0.0, 0.0)


def view(primary=0.0, secondary=0.0, size=(220, 200), pitch=0.8, isocenter=(0, 0, 0)):
    return CArmPose(primary, secondary, isocenter, 1000, 600, size, (pitch, pitch)).beam()


def ball(center, radius, spacing=1.0, name="ball", middle=None):
    """A binary segment, cropped to its box, whose voxels lie about center."""
    n = int(np.ceil(2 * radius / spacing)) + 3
    matrix = centered((n, n, n), (spacing,) * 3, center=center)
    inside = np.linalg.norm(ras_grid((n, n, n), matrix) - (center if middle is None else middle), axis=-1) <= radius
    return Segment(name, Volume(inside.astype(np.uint8), matrix), RED)


# Along the axes, edges and diagonals of the voxels, a little beside them, and askew.
DIRECTIONS = [(0, 0), (90, 0), (0, 90), (45, 0), (0, 45), (45, 35.264), (2, 1), (43, 2), (20, 12), (37, -22), (-70, 50)]


def overlap(mask, silhouette):
    return (mask & silhouette).sum() / (mask | silhouette).sum()


@pytest.mark.parametrize(("spacing", "bound"), [(1.0, 0.985), (0.5, 0.992)])
def test_mask_of_a_sphere_in_voxels_is_its_silhouette(spacing, bound):
    center, radius = np.array([5.0, -8.0, 3.0]), 40.0
    for shift in ((0, 0, 0), (0.31, -0.17, 0.44)):  # of the sphere's middle in its voxel
        middle = center + np.array(shift) * spacing
        segment = ball(center, radius, spacing, middle=middle)
        for angles in DIRECTIONS:
            beam = view(*angles)
            label = label_segment(segment, beam)
            exact = chord(beam, middle, radius)
            assert overlap(label.mask, exact > 0) >= bound, (shift, angles)
            assert np.abs(label.thickness - exact)[exact > 0].mean() < 0.4 * spacing
            rows, columns = np.nonzero(label.mask)
            assert label.box == (columns.min(), rows.min(), columns.max(), rows.max())


def test_mask_of_a_sphere_as_closed_surface_is_its_silhouette():
    center, radius = np.array([5.0, -8.0, 3.0]), 40.0
    vertices, faces = icosphere(radius, 5)
    surface = SegmentSurface.from_mesh("ball", RED, vertices + center, faces)
    for angles in DIRECTIONS:
        beam = view(*angles)
        label = label_segment(surface, beam)
        assert overlap(label.mask, chord(beam, center, radius) > 0) >= 0.998, angles
    assert (label.name, label.color) == ("ball", RED) and np.array_equal(label.mask, label.thickness > 0)


def test_the_surface_of_a_segment_is_made_once_and_goes_with_it(monkeypatch):
    made = []
    real = SegmentSurface.from_segment
    monkeypatch.setattr(SegmentSurface, "from_segment", lambda segment: made.append(segment.name) or real(segment))
    segment = ball(np.zeros(3), 5)
    first, second = label_segment(segment, view()), label_segment(segment, view(20))
    label_segment(ball(np.zeros(3), 5, name="another"), view())
    assert made == ["ball", "another"] and first.mask.any() and second.mask.any()
    kept = weakref.ref(segment)
    del segment
    gc.collect()
    assert kept() is None


def test_workers_do_not_make_the_same_surface_twice(monkeypatch):
    made, segment, together = [], ball((0, 0, 0), 10), threading.Barrier(4)
    real = SegmentSurface.from_segment

    def slow(segment):
        made.append(segment.name)
        time.sleep(0.05)
        return real(segment)

    monkeypatch.setattr(SegmentSurface, "from_segment", slow)

    def label():
        together.wait()
        label_segment(segment, view())

    workers = [threading.Thread(target=label) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert made == ["ball"]


def test_a_mask_is_where_the_segment_is_thicker_than_half_an_edge():
    """A plate of one layer, 1 mm thick, whose smallest edge is 0.4 mm; rays through its corners cross less."""
    shape = (30, 1, 100)
    plate = Segment("plate", Volume(np.ones(shape, np.uint8), centered(shape, (0.4, 1.0, 3.0))), RED)
    beam = view(80, 0, pitch=0.1)
    label = label_segment(plate, beam)
    assert np.array_equal(label.mask, label.thickness > 0.2)
    assert (label.thickness[~label.mask] > 0).any(), "the view must show both sides of the threshold"


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 30), (1, 30, 1), (30, 1, 1), (1, 30, 30), (30, 1, 30), (30, 30, 1)]
)
@pytest.mark.parametrize("angles", [(0, 0), (37, -22), (90, 0)])
def test_what_is_one_voxel_thin_does_not_vanish(shape, angles):
    """It is the box of its voxels: thickness by clipping at the planes of the box."""
    plate = Segment("thin", Volume(np.ones(shape, np.uint8), centered(shape, (1, 1, 1), center=(0.3, 0.2, 0.1))), RED)
    beam = view(*angles, size=(100, 104), pitch=0.31)
    half, middle = np.array(shape[::-1]) / 2, np.array([0.3, 0.2, 0.1])
    way = beam.pixel_centers() - beam.source
    with np.errstate(divide="ignore"):
        cuts = np.stack([(middle + side * half - beam.source) / way for side in (-1, 1)])
    enter, leave = cuts.min(axis=0).max(axis=-1), cuts.max(axis=0).min(axis=-1)
    exact = np.maximum(leave - enter, 0) * np.linalg.norm(way, axis=-1)
    label = label_segment(plate, beam)
    assert np.allclose(label.thickness, exact, atol=1e-3)
    assert label.mask.any() and (label.mask == (exact > 0.5))[np.abs(exact - 0.5) > 1e-3].all()


@pytest.mark.parametrize("angles", [(0, 0), (37, -22), (100, 60)])
def test_segments_are_labelled_where_their_surface_is_projected(angles):
    beam = view(*angles, size=(60, 50), pitch=2.1)
    for center in ((0, 0, 0), (30, -20, 10), (-60, 5, 40)):
        block = Volume(np.ones((9, 12, 10), np.uint8), centered((9, 12, 10), (2.5, 2.0, 3.0), center=center))
        label = label_segment(Segment("block", block, RED), beam, threads=1)
        surface = SegmentSurface.from_segment(Segment("block", block, RED))
        assert np.array_equal(label.thickness, surface_thickness(surface, beam))
        assert np.array_equal(label.mask, label.thickness > 1.0)


def test_a_segment_partly_or_wholly_outside_the_picture():
    beam = view()
    half = label_segment(ball(np.array([-48.0, 0, 0]), 20), beam)
    whole = label_segment(ball(np.array([-48.0, 0, 0]), 20), view(size=(220, 400)))
    assert half.box[2] == 199 and np.allclose(half.thickness, whole.thickness[:, 100:300], atol=1e-3)
    corner = view(12, -7, size=(90, 70), pitch=1.1)
    lone = label_segment(ball(np.array([20.0, 3, 25]), 12), corner)
    exact = chord(corner, np.array([20.0, 3, 25]), 12)
    assert (lone.mask ^ (exact > 0)).sum() < 0.05 * (exact > 0).sum() and (exact > 0).sum() > 300
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
    beyond, beside, last, right, first = label_landmarks(
        [
            Landmark("beyond", tuple(beam.pixel_to_ras(50, 60) + 0.01 * beam.normal)),
            Landmark("beside the source", tuple(beam.source + 30 * beam.e_c)),
            Landmark("last", tuple(beam.pixel_to_ras(199.49, 219.49) * 0.999 + beam.source * 0.001)),
            Landmark("right of it", tuple(beam.pixel_to_ras(199.51, 3) * 0.999 + beam.source * 0.001)),
            Landmark("first", tuple(beam.pixel_to_ras(-0.51, 3) * 0.999 + beam.source * 0.001)),
        ],
        beam,
    )
    assert not beyond.visible and beyond.column == pytest.approx(50, abs=0.1) and beyond.depth > 1000
    assert not beside.visible and last.visible and not first.visible and not right.visible
    assert (last.column, last.row) == (pytest.approx(199.49), pytest.approx(219.49))


@pytest.fixture(scope="module")
def radiograph():
    hu = np.full((40, 50, 50), -1000, np.int16)
    hu[:, 10:40, 10:40] = 0  # reaches the top and the bottom of the CT
    hu[15:25, 20:30, 20:30] = 800  # so that there are several materials
    ct = Volume(hu, centered(hu.shape, (4, 4, 4)))
    acquisition = Acquisition(load_device("mobile_carm"), load_detector("ideal"), Technique())
    return Simulator(ct).simulate(view(20, 30), acquisition)


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
    open_field = sitk.ReadImage(str(tmp_path / "view" / "open_field.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(open_field)[0], radiograph.open_field)
    thickness = sitk.ReadImage(str(tmp_path / "view" / "thickness.nrrd"))
    assert json.loads(thickness.GetMetaData("segments")) == ["one", "two"]
    for n, segment in enumerate(segments):
        assert np.array_equal(
            sitk.GetArrayFromImage(thickness)[0, ..., n], label_segment(segment, radiograph.beam).thickness
        )
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
    assert data["border_fraction"] == pytest.approx(radiograph.border.mean(), abs=0.01)  # counted on part of the rays
    assert [s["name"] for s in data["segments"]] == ["one", "two"]
    points = json.loads((tmp_path / "view" / "landmarks.json").read_text())["landmarks"]
    assert points[0]["name"] == "p" and points[0]["visible"]


def test_view_json_holds_every_number_of_the_view(tmp_path, radiograph):
    """What DESIGN names: geometry in both forms, technique, dose, versions; and strict JSON."""
    export_view(tmp_path, radiograph, [ball(np.zeros(3), 20)], [Landmark("behind", (0.0, -5000.0, 0.0))])

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    data = json.loads((tmp_path / "view.json").read_text(), parse_constant=refuse)
    beam = radiograph.beam
    geometry = data["geometry"]
    for key in ("K", "R", "t", "P", "source", "pixel00", "e_c", "e_r", "normal", "detector_center"):
        assert np.allclose(geometry[key], getattr(beam, key)), key
    assert geometry["pitch"] == [0.8, 0.8] and geometry["size"] == [220, 200] and geometry["sid"] == pytest.approx(1000)
    technique = {"kvp": 80, "mas": 1.0, "filtration_mm": {"aluminium": 3.0}, "mode": "manual", "heel": False}
    assert data["technique"] == technique
    assert data["direction"] == {"primary_angle": pytest.approx(20), "secondary_angle": pytest.approx(30)}
    assert data["dose"]["kerma_area_product_gycm2"] > 0
    assert {"numpy", "SimpleITK", "numba"} <= set(data["program"]["packages"]) and data["program"]["version"]
    assert data["display"]["window"]["low"] < data["display"]["window"]["high"] and len(data["settings_hash"]) == 16
    assert data["materials"]["names"] == list(radiograph.materials) and data["detector"]["name"]
    assert data["units"]["signal"] == "keV per pixel"
    label = label_segment(ball(np.zeros(3), 20), beam)
    assert data["segments"][0]["box"] == list(label.box) and data["segments"][0]["pixels"] == label.mask.sum()
    assert data["segments"][0]["largest_thickness_mm"] == pytest.approx(float(label.thickness.max()))
    landmarks = json.loads((tmp_path / "landmarks.json").read_text(), parse_constant=refuse)["landmarks"]
    assert landmarks[0]["column"] is None and landmarks[0]["visible"] is False and landmarks[0]["depth"] < 0


def test_labels_of_an_older_view_go_with_it(tmp_path, radiograph):
    (tmp_path / "notes.txt").write_text("mine")
    export_view(tmp_path, radiograph, [ball(np.zeros(3), 20)], [Landmark("p", (1, 2, 3))])
    write_view(tmp_path, radiograph, ViewLabels())
    assert {p.name for p in tmp_path.iterdir()} == {
        "signal.nrrd", "open_field.nrrd", "area_density.nrrd", "display.png", "view.json", "masks.seg.nrrd",
        "landmarks.json", "notes.txt",
    }  # fmt: skip
    files = write_view(tmp_path, radiograph)
    assert {p.name for p in tmp_path.iterdir()} == {f.name for f in files} | {"notes.txt"}
    assert "segments" not in json.loads((tmp_path / "view.json").read_text())


@pytest.mark.parametrize("crash_at", range(6))
def test_a_crash_between_files_never_leaves_a_folder_that_looks_whole(tmp_path, radiograph, monkeypatch, crash_at):
    """Whatever is in the way of the third file, say: a folder with view.json is one view, all of it."""
    old = radiograph.with_metadata(mark="old")
    export_view(tmp_path, old, [ball(np.zeros(3), 20)])
    moved = []

    def replace(source, target, real=os.replace):
        if len(moved) == crash_at:
            raise KeyboardInterrupt
        moved.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    try:
        export_view(tmp_path, radiograph.with_metadata(mark="new"), [ball(np.zeros(3), 15)])
    except KeyboardInterrupt:
        assert not (tmp_path / "view.json").exists()
    assert not any(p.is_dir() for p in tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_full_disk_is_noticed_and_the_older_view_stays(tmp_path, radiograph, share):
    """A limit on the size of files stands in for a full disk. ITK itself does not always notice."""
    resource = pytest.importorskip("resource")
    write_view(tmp_path, radiograph)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(len(content) for content in before.values())
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * largest), hard))
    try:
        with pytest.raises(InputError, match="make space"):
            write_view(tmp_path, radiograph)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_stopped_or_failed_export_leaves_nothing_behind(tmp_path, radiograph):
    reports = []
    with pytest.raises(Stopped):
        export_view(
            tmp_path / "view", radiograph, [ball(np.zeros(3), 20)] * 2, (), lambda: bool(reports), reports.append
        )
    assert reports == [0], "it stops before the next segment"
    with pytest.raises(Stopped):
        export_view(tmp_path / "view", radiograph, should_stop=lambda: True)
    assert not (tmp_path / "view").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write"):
        export_view(tmp_path / "file", radiograph)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
