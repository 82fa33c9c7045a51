"""`deepdrr-slicer` as a person uses it: right use writes files, wrong use gets one sentence and exit code 2."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.files import read_beam


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """A water box with a bead of bone at the patient's left, as NIfTI."""
    hu = np.full((40, 40, 40), -1000, np.int16)
    hu[5:-5, 8:-8, 8:-8] = 0
    hu[18:22, 18:22, 28:31] = 2000  # LPS: +i is the patient's left
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((4, 4, 4))
    image.SetOrigin((-78, -78, -78))
    path = tmp_path_factory.mktemp("ct") / "with space é.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_simulate_by_angles_then_by_the_geometry_it_wrote(ct, tmp_path, capsys):
    machine = ("--kvp", 90, "--mas", 2, "--filtration", "Al:3,Cu:0.1", "--detector", "ideal")
    machine += ("--materials", "threshold")
    view = ("--primary-angle", 20, "--isocenter", 0, 0, 0, "--size", 100, 120, "--pitch", 2.5)
    code, out, err = run(capsys, "simulate", ct, "-o", tmp_path / "a", *view, *machine)
    assert (code, err) == (0, "") and "signal.nrrd" in out
    data = json.loads((tmp_path / "a" / "view.json").read_text())
    assert data["c_arm"]["primary_angle"] == 20 and data["technique"]["kvp"] == 90
    assert data["dose"]["reference_air_kerma_ugy"] == pytest.approx(data["spectrum"]["air_kerma_at_1m_ugy"] / 0.45**2)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a" / "signal.nrrd")))[0]
    assert image.shape == (100, 120)
    row, column = np.unravel_index(image[:, 60:].argmin(), (100, 60))
    bead = read_beam(tmp_path / "a" / "view.json").project((-40, 0, 0))[0]
    assert abs(column + 60 - bead[0]) < 6 and abs(row - bead[1]) < 6

    code, _, err = run(capsys, "simulate", ct, "-o", tmp_path / "b", "--geometry", tmp_path / "a/view.json", *machine)
    assert (code, err) == (0, "")
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b" / "signal.nrrd")))[0]
    assert np.allclose(again, image, rtol=1e-5)


def test_a_tube_closer_than_the_reference_point_has_no_dose_there(ct, tmp_path, capsys):
    code, _, err = run(capsys, "simulate", ct, "-o", tmp_path, "--sod", 150, "--size", 8, 8, "--pitch", 30,
                       "--scatter", "none")  # fmt: skip
    assert (code, err) == (0, "")
    data = json.loads((tmp_path / "view.json").read_text())
    assert data["dose"].keys() == {"kerma_area_product_gycm2", "beam_on_time_s"} and data["c_arm"]["sod"] == 150


def test_options_reach_the_view(ct, tmp_path, capsys):
    options = ("--primary-angle", -30, "--secondary-angle", 15, "--isocenter", 5, -6, 7, "--sid", 950, "--sod", 500,
               "--size", 12, 10, "--pitch", 20, "--kvp", 70, "--mas", 3, "--device", "mobile_carm")  # fmt: skip
    code, out, err = run(capsys, "simulate", ct, "-o", tmp_path, *options)
    assert (code, err) == (0, "") and "border_fraction in view.json" not in out
    data = json.loads((tmp_path / "view.json").read_text())
    beam = CArmPose(-30, 15, (5, -6, 7), 950, 500, (12, 10), (20, 20)).beam()
    assert np.allclose(read_beam(tmp_path / "view.json").P, beam.P) and data["c_arm"]["view"] == "RAO 30 CRA 15"
    technique = {"kvp": 70, "mas": 3.0, "filtration_mm": {"aluminium": 3.0}, "mode": "manual", "heel": False}
    assert data["technique"] == technique
    assert "reference_air_kerma_rate_mgy_per_min" not in data["dose"]  # nobody knows how long these 3 mAs take
    assert data["c_arm"]["isocenter"] == [5, -6, 7] and data["device"] == "Generic mobile C-arm"
    assert data["detector"]["name"].startswith("Flat panel")


def test_without_options_the_view_is_the_devices(ct, tmp_path, capsys):
    code, _, _ = run(capsys, "simulate", ct, "-o", tmp_path, "--size", 4, 4)
    data = json.loads((tmp_path / "view.json").read_text())
    assert code == 0 and data["c_arm"]["view"] == "AP" and (data["c_arm"]["sid"], data["c_arm"]["sod"]) == (1000, 600)
    assert np.allclose(data["c_arm"]["isocenter"], 0, atol=1e-4) and data["technique"]["kvp"] == 80
    assert data["geometry"]["pitch"] == [0.582, 0.582]


def test_automatic_exposure_shutters_grid_and_noise(ct, tmp_path, capsys):
    view = ("--size", 80, 80, "--pitch", 3, "--isocenter", 0, 0, 0)
    options = ("--mode", "fluoro", "--collimation", 60, 90, 50, 70, "--grid", "mobile_8_1", "--heel", "--seed", 5,
               "--scatter", "none")  # fmt: skip
    code, out, err = run(capsys, "simulate", ct, "-o", tmp_path / "a", *view, *options)
    assert (code, err) == (0, "") and "mA" in out and "Gy cm2" in out and "HVL" in out
    data = json.loads((tmp_path / "a" / "view.json").read_text())
    assert data["technique"]["mode"] == "fluoro" and data["technique"]["heel"]
    assert data["exposure"]["detector_kerma_ngy"] == pytest.approx(30, rel=0.05)
    assert data["collimation_mm"] == {"left": 60, "right": 90, "top": 50, "bottom": 70, "iris": None}
    assert data["grid"]["ratio"] == 8 and data["noise"] == {"seed": 5, "frame": 0}
    assert data["dose"]["reference_air_kerma_rate_mgy_per_min"] > 0 and data["readout"]["zero_pixels"] == 0
    signal, counts = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a" / f"{name}.nrrd")))[0] for name in ("signal", "counts")
    )
    assert counts.dtype == np.uint16
    per_kev = 0.06 * 0.194**2 / 3.0**2  # the panel's gain holds for its own pixels; larger ones show their mean
    assert np.allclose(signal, (counts.astype(float) - 500) / per_kev, rtol=1e-5, atol=1)
    profile = signal[30:50].mean(axis=0)
    columns = np.flatnonzero(profile > 0.005 * profile.max())
    edges = (columns[[0, -1]] - 39.5) * 3
    assert edges == pytest.approx([-60, 90], abs=6)  # the penumbra is 4.9 mm wide
    code, _, _ = run(capsys, "simulate", ct, "-o", tmp_path / "b", *view, *options)
    assert code == 0
    assert (tmp_path / "a" / "counts.nrrd").read_bytes() == (tmp_path / "b" / "counts.nrrd").read_bytes()
    for extra, same in ((("--no-noise",), False), (("--seed", 6), False)):
        kept = [o for o in options if o not in ("--seed", 5)]
        assert run(capsys, "simulate", ct, "-o", tmp_path / "b", *view, *kept, *extra)[0] == 0
        other = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b" / "counts.nrrd")))[0]
        assert np.array_equal(other, counts) == same


def test_the_display_can_be_chosen_and_changes_nothing_else(ct, tmp_path, capsys):
    view = ("--size", 60, 60, "--pitch", 4, "--isocenter", 0, 0, 0)
    shown = ("--window", "0.5,4", "--linear", "--invert", "--unsharp", 0.5, "--edges", 1)
    assert run(capsys, "simulate", ct, "-o", tmp_path / "a", *view)[0] == 0
    assert run(capsys, "simulate", ct, "-o", tmp_path / "b", *view, *shown)[0] == 0
    a, b = ({n: (tmp_path / f / n).read_bytes() for n in ("signal.nrrd", "display.png")} for f in "ab")
    assert a["signal.nrrd"] == b["signal.nrrd"] and a["display.png"] != b["display.png"]
    display = json.loads((tmp_path / "b" / "view.json").read_text())["display"]
    assert display["window"] == {"low": 0.5, "high": 4.0} and display["curve"] == "linear" and display["inverted"]
    assert (display["unsharp_amount"], display["edge_amount"]) == (0.5, 1)


def test_a_tool_in_the_beam(ct, tmp_path, capsys):
    import trimesh

    rod = trimesh.creation.cylinder(radius=2.0, height=60.0)  # along S, STL without a mark is LPS
    rod.export(tmp_path / "rod.stl")
    view = ("--size", 81, 81, "--pitch", 2, "--isocenter", 0, 0, 0, "--no-noise")
    tool = f"{tmp_path / 'rod.stl'}:titanium"
    code, _, err = run(capsys, "simulate", ct, "-o", tmp_path / "a", *view, "--tool", tool)
    assert (code, err) == (0, "")
    data = json.loads((tmp_path / "a" / "view.json").read_text())
    assert data["tools"] == [{"name": "rod", "material": "titanium"}] and "titanium" in data["materials"]["names"]
    areas = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a" / "area_density.nrrd")))[0]
    titanium = areas[..., data["materials"]["names"].index("titanium")]
    assert titanium[40, 40] == pytest.approx(4.0 * 4.54 / 10, rel=0.02) and titanium[40, 50] == 0


def test_labels(ct, tmp_path, capsys):
    label = sitk.ReadImage(str(ct)) > 1000
    sitk.WriteImage(label, str(tmp_path / "label.nii.gz"))
    (tmp_path / "points.json").write_text(json.dumps({"bead": [-40, 0, 0]}))
    code, out, err = run(capsys, "simulate", ct, "-o", tmp_path / "v", "--size", 64, 64, "--pitch", 4, "--segmentation",
                         tmp_path / "label.nii.gz", "--landmarks", tmp_path / "points.json")  # fmt: skip
    assert (code, err) == (0, "")
    assert {p.name for p in (tmp_path / "v").iterdir()} >= {"masks.seg.nrrd", "thickness.nrrd", "landmarks.json"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such.nii"], "no-such.nii"),
        (["CT", "--geometry", "g.json", "--sid", "900"], "--sid"),
        (["CT", "--geometry", "g.json"], "g.json"),
        (["CT", "--kvp", "300"], "40 to 125"),
        (["CT", "--filtration", "Al=3"], "Al:3"),
        (["CT", "--filtration", ""], "No filter"),
        (["CT", "--filtration", "cheese:3"], "cheese"),
        (["CT", "--mas", "0"], "mAs"),
        (["CT", "--sod", "2000"], "isocentre"),
        (["CT", "--primary-angle", "270"], "180"),
        (["CT", "--size", "0", "10"], "row"),
        (["CT", "--pitch", "-1"], "pitch"),
        (["CT", "--device", "bicycle"], "bicycle"),
        (["CT", "--device", "mobile_carm", "--kvp", "121"], "outside"),
        (["CT", "--device", "mobile_carm", "--secondary-angle", "80"], "outside"),
        (["CT", "--detector", "film"], "film"),
        (["CT", "--segmentation", "none.nrrd"], "none.nrrd"),
        (["CT", "--landmarks", "none.json"], "none.json"),
        (["CT", "--backend", "abacus"], "abacus"),
        (["CT", "--isocenter", "0", "0"], "isocenter"),
        (["CT", "--unknown"], "--unknown"),
        (["CT", "--prim", "30"], "--prim"),
        (["CT", "--mas", "1e300"], "mAs"),
        (["CT", "--pitch", "nan"], "pitch"),
        (["CT", "--size", "100000", "100000"], "rows"),
        (["CT", "--isocenter", "1e300", "0", "0"], "source"),
        (["CT", "--primary-angle", "nan"], "finite"),
        (["CT", "--filtration", "Al:3,Al:1"], "twice"),
        (["CT", "--filtration", "Al:nan"], "aluminium"),
        (["CT", "--filtration", "Al:3000"], "radiation"),
        (["CT", "--geometry", "deep.json"], "not valid JSON"),
        (["CT", "--mode", "fluoro", "--mas", "2"], "leave out --mas"),
        (["CT", "--mode", "stroll"], "stroll"),
        (["CT", "--collimation", "900", "10", "10", "10"], "larger than the panel"),
        (["CT", "--collimation", "-10", "5", "10", "10"], "no field"),
        (["CT", "--grid", "fence"], "fence"),
        (["CT", "--seed", "-1"], "seed"),
        (["CT", "--window", "wide"], "abdomen and pelvis"),
        (["CT", "--window", "4,1"], "rise"),
        (["CT", "--edges", "-1"], "edge_amount"),
        (["CT", "--threads", "0"], "threads"),
        (["CT", "--tool", "rod.stl"], "MESH:MATERIAL"),
        (["CT", "--tool", "none.stl:titanium"], "none.stl"),
        (["CT", "--pincushion", "--landmarks", "x.json"], "--pincushion"),
        (["CT", "--pincushion"], "does not distort"),
        (["CT", "--kvp", "40", "--filtration", "Cu:3"], "radiation"),
        ([], "CT"),
    ],
)
def test_wrong_use_gets_one_sentence(ct, tmp_path, capsys, arguments, words):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    arguments = [ct if a == "CT" else str(tmp_path / a) if a == "deep.json" else a for a in arguments]
    code, out, err = run(capsys, "simulate", *arguments, "-o", tmp_path / "out")
    assert code == 2 and out == ""
    assert words in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(ct, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "simulate", ct, "-o", tmp_path / "file", "--size", 16, 16, "--pitch", 16)
    assert code == 2 and "Cannot write" in err


def test_info_names_what_is_there(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    for word in ("numpy", "mobile_carm", "mobile_flat_panel", "ideal", "mobile_8_1", "PMMA", "LAO 30 (30/0)"):
        assert word in out
