"""DICOM files as pydicom, dciodvfy and GDCM read them, and the geometry in their headers."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dataset_samples import POINTS, beam_of, pinhole, sample_of, write_samples, write_set
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.dataset.dicom_geometry import (
    CREATOR,
    GROUP,
    ISOCENTER,
    SOURCE,
    beam_from_dicom,
    placement,
)
from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.writers import dicom as writer
from DeepDRRSlicerLib.dataset.writers.dicom_header import _number, read_dicom
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import detector_axes
from DeepDRRSlicerLib.geometry.files import beam_to_dict

OUTPUTS = [{"writer": "dicom"}]
CINE = [{"writer": "dicom", "cine": True, "frame_rate": 15}]


def run_of(index):
    return "sweep" if index in (0, 2, 4) else None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("dicom") / "set", OUTPUTS)


@pytest.fixture(scope="module")
def cine(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("cine") / "set", CINE, sequence=run_of)


def files(folder):
    return sorted((folder / "dicom").glob("*.dcm"))


def test_dciodvfy_finds_no_error(folder, cine):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for path in [*files(folder), *files(cine)]:
        done = subprocess.run([program, str(path)], capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert "XAImage" in said and "Error" not in said and done.returncode == 0, f"{path.name}: {said}"


def test_header_says_angles_distances_technique_and_dose(folder):
    for index, path in enumerate(files(folder)):
        data, sample = pydicom.dcmread(path), sample_of(index)
        assert data.SOPClassUID == pydicom.uid.XRayAngiographicImageStorage and data.Modality == "XA"
        assert (data.PhotometricInterpretation, data.BitsStored, data.PixelRepresentation) == ("MONOCHROME2", 16, 0)
        assert np.array_equal(data.pixel_array, sample.picture) and data.pixel_array.dtype == np.uint16
        pose = sample.radiograph.metadata["c_arm"]
        assert float(data.PositionerPrimaryAngle) == pytest.approx(pose["primary_angle"], abs=1e-6)
        assert float(data.PositionerSecondaryAngle) == pytest.approx(pose["secondary_angle"], abs=1e-6)
        assert (data.DistanceSourceToDetector, data.DistanceSourceToPatient) == (1020.5, 622.25)
        assert list(data.ImagerPixelSpacing) == [2.1, 2.3], "between rows first"
        assert (data.KVP, data.ExposureInuAs, data.XRayTubeCurrent, data.ExposureTime) == (70 + index, 1250, 20, 62)
        assert float(data.ImageAndFluoroscopyAreaDoseProduct) == pytest.approx(0.123), "dGy cm2"
        assert data.PatientID == f"patient {index % 2}" and data.StudyDate == "20240229"
        isocenter = data.private_block(GROUP, CREATOR)[ISOCENTER].value
        assert np.allclose(isocenter, [-2.0, 3.0, 5.0]), "LPS"


def test_orientation_of_an_anteroposterior_view():
    """At 0/0 the patient's left is on the right, head up, so that rows run to the left and columns to the feet."""
    e_c, e_r, _ = detector_axes(0, 0)
    from DeepDRRSlicerLib.dataset.writers.dicom_header import _letter

    assert (_letter(e_c), _letter(e_r)) == ("L", "F")


def test_the_patient_position_is_written_and_leaves_the_angles_to_the_patient(folder, tmp_path):
    prone = write_set(tmp_path / "prone", [{"writer": "dicom", "patient_position": "FFP"}], range(2))
    for path, usual in zip(files(prone), files(folder)):
        data, supine = pydicom.dcmread(path), pydicom.dcmread(usual)
        assert (data[0x0018, 0x5100].value, supine[0x0018, 0x5100].value) == ("FFP", "HFS")
        assert data.PositionerPrimaryAngle == supine.PositionerPrimaryAngle
        assert data.PatientOrientation == supine.PatientOrientation
    for wrong in ("SITTING", None, ["HFS"], "hfs"):
        with pytest.raises(InputError, match="patient_position must be one of HFS, HFP"):
            WriterOptions(patient_position=wrong)


def test_uids_are_of_the_job_and_differ_between_images(folder, cine):
    data = [pydicom.dcmread(path) for path in files(folder)]
    assert len({d.SOPInstanceUID for d in data}) == 5 and all(d.SOPInstanceUID.is_valid for d in data)
    assert len({d.StudyInstanceUID for d in data}) == 2, "one study for each patient"
    assert all(d.SOPInstanceUID.startswith("2.25.") for d in data)
    assert all(d.file_meta.MediaStorageSOPInstanceUID == d.SOPInstanceUID for d in data)


def test_geometry_in_the_header_projects_the_landmarks(folder, cine):
    worst = 0.0
    for records, where in ((RecordFiles(folder), folder), (RecordFiles(cine), cine)):
        for record in records:
            beam = beam_from_dicom(*writer.dataset_of(where, record))
            truth = beam_to_dict(beam_of(record["index"])[0])
            for point in list(POINTS.values())[:3]:
                worst = max(worst, np.abs(beam.project(point)[0] - pinhole(truth, point)).max())
    assert worst < 0.5
    assert worst < 1e-6, "the private block is in double precision"


def test_landmarks_of_the_header_agree_with_a_pinhole_projection(folder, cine):
    for where in (folder, cine):
        for record in RecordFiles(where):
            labels = writer.read_annotation(where, record)["landmarks"]
            truth = beam_to_dict(beam_of(record["index"])[0])
            assert [label["name"] for label in labels] == list(POINTS)
            for label in labels[:3]:
                expected = pinhole(truth, POINTS[label["name"]])
                assert np.abs(expected - (label["column"], label["row"])).max() < 0.01


def test_without_the_source_the_isocentre_and_the_distances_say_where_it_is(folder):
    for index, path in enumerate(files(folder)):
        data = pydicom.dcmread(path)
        del data.private_block(GROUP, CREATOR)[SOURCE]
        expected, beam = beam_of(index)[0], beam_from_dicom(data)
        assert (
            np.abs(beam.project(list(POINTS.values())[:3]) - expected.project(list(POINTS.values())[:3])).max() < 1e-3
        )


def test_the_isocentre_moves_with_the_patient():
    """A dataset may turn the patient on the table: the header then says where in the patient the isocentre is."""
    sample = sample_of(1)
    motion = np.eye(4)
    motion[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    motion[:3, 3] = 7.0, -5.0, 30.0
    sample.radiograph.beam = sample.radiograph.beam.transformed(motion)
    c_arm = sample.radiograph.metadata.pop("c_arm")
    sample.settings = sample.settings | {"c_arm": {"sod": c_arm["sod"]}}
    content = writer.encode(sample, WriterOptions(signal=False, open_field=False))["dicom/000001.dcm"]
    isocenter = read_dicom(content).private_block(GROUP, CREATOR)[ISOCENTER].value
    expected = motion @ [*c_arm["isocenter"], 1.0]
    assert np.allclose(isocenter, expected[:3] * [-1, -1, 1])


def test_without_the_private_block_the_geometry_is_refused(folder):
    data = pydicom.dcmread(files(folder)[0])
    data.remove_private_tags()
    with pytest.raises(InputError, match="private block DEEPDRRSLICER 1.0"):
        beam_from_dicom(data)


@given(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.booleans(),
    st.tuples(st.floats(-200, 200), st.floats(-200, 200)), st.tuples(*[st.floats(-300, 300)] * 3), st.floats(300, 2000),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_cone_beam_goes_through_the_header(primary, secondary, roll, mirrored, shift, at, sid):
    """Also along the patient's long axis, mirrored, rolled and shifted: no pose is left that the header cannot say."""
    e_c, e_r, d = detector_axes(primary, secondary)
    turn = np.deg2rad(roll)
    e_c, e_r = np.cos(turn) * e_c + np.sin(turn) * e_r, np.cos(turn) * e_r - np.sin(turn) * e_c
    e_c = -e_c if mirrored else e_c
    corner = np.array(at) + sid * d + shift[0] * e_c + shift[1] * e_r
    beam = ConeBeam(at, corner, e_c, e_r, (0.4, 0.3), (200, 300))
    back = placement(beam).beam(beam.size, beam.pitch)
    for name in ("source", "pixel00", "e_c", "e_r"):
        assert np.allclose(getattr(back, name), getattr(beam, name), atol=1e-6), name


def test_a_run_is_one_file_with_a_frame_for_each_sample(cine):
    assert [path.name for path in files(cine)] == ["000000.dcm", "000001.dcm", "000003.dcm"]
    data = pydicom.dcmread(cine / "dicom" / "000000.dcm")
    assert data.NumberOfFrames == 3 and data.pixel_array.shape == (3, 60, 72)
    assert data.PositionerMotion == "DYNAMIC" and float(data.FrameTime) == pytest.approx(1000 / 15)
    for frame, index in enumerate((0, 2, 4)):
        sample = sample_of(index)
        assert np.array_equal(data.pixel_array[frame], sample.picture)
        pose = sample.radiograph.metadata["c_arm"]
        for standard, key in (("Primary", "primary_angle"), ("Secondary", "secondary_angle")):
            start = float(getattr(data, f"Positioner{standard}Angle"))
            step = float(getattr(data, f"Positioner{standard}AngleIncrement")[frame])
            assert start + step == pytest.approx(pose[key], abs=1e-6), "increments count from the first frame"
    assert not (cine / "dicom" / "fragments").exists()


@pytest.mark.parametrize("killed_after", range(3))
def test_a_run_is_the_same_after_a_kill_while_it_is_made(tmp_path, killed_after, monkeypatch):
    def second_run(index):
        return "sweep" if index in (1, 3, 4) else None

    whole = write_set(tmp_path / "whole", CINE, sequence=second_run)
    job, options = write_samples(tmp_path / "set", CINE, range(5), second_run)
    calls = []

    def dying(function):
        def run(*arguments):
            calls.append(function)
            if len(calls) > killed_after:
                raise KeyboardInterrupt
            return function(*arguments)

        return run

    records = RecordFiles(tmp_path / "set")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_whole", dying(writer.write_whole))
        patch.setattr(writer, "remove_fragments", dying(writer.remove_fragments))
        with pytest.raises(KeyboardInterrupt):
            writer.assemble(tmp_path / "set", records, job, options["dicom"])
    writer.assemble(tmp_path / "set", records, job, options["dicom"])
    for name in ("000000.dcm", "000001.dcm", "000002.dcm", "runs.json"):
        assert (tmp_path / "set" / "dicom" / name).read_bytes() == (whole / "dicom" / name).read_bytes()


@pytest.mark.parametrize("late", [0, 2, 4])
def test_a_frame_that_is_made_later_joins_its_run(tmp_path, cine, late):
    """A job that skips may be run again when the cause is gone; a new first frame gives the run a new name."""
    write_set(tmp_path / "set", CINE, [n for n in range(5) if n != late], run_of)
    write_set(tmp_path / "set", CINE, [late], run_of)
    made = {path.name: path.read_bytes() for path in (tmp_path / "set" / "dicom").iterdir() if path.is_file()}
    assert made == {path.name: path.read_bytes() for path in (cine / "dicom").iterdir() if path.is_file()}


def test_gdcm_reads_picture_and_frames(folder, cine):
    """Slicer and ITK read DICOM by GDCM."""
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(files(folder)[2])))
    assert np.array_equal(image[0], sample_of(2).picture)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(str(cine / "dicom" / "000000.dcm")))
    assert np.array_equal(frames, np.stack([sample_of(n).picture for n in (0, 2, 4)]))


def test_slicers_importer_reads_pictures_pixel_size_and_frame_time(folder, cine):
    """Its plugin for image sequences reads each instance of this class by vtkITK, with these settings."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    from vtk.util.numpy_support import vtk_to_numpy

    for path, indices in ((files(folder)[2], (2,)), (cine / "dicom" / "000000.dcm", (0, 2, 4))):
        reader = slicer.vtkITKArchetypeImageSeriesScalarReader()
        reader.SetArchetype(str(path))
        reader.AddFileName(str(path))
        reader.SetSingleFile(True)
        reader.SetOutputScalarTypeToNative()
        reader.SetDesiredCoordinateOrientationToNative()
        reader.SetUseNativeOriginOn()
        reader.SetDICOMImageIOApproachToGDCM()
        reader.Update()
        image = reader.GetOutput()
        array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        assert reader.GetErrorCode() == 0 and array.dtype == np.uint16
        assert np.array_equal(array, np.stack([sample_of(n).picture for n in indices]))
        frame_time = 1000 / 15 if len(indices) > 1 else 1.0  # 1: none
        assert image.GetSpacing() == pytest.approx((2.3, 2.1, frame_time))
    instances = [pydicom.dcmread(path).InstanceNumber for path in files(folder)]
    assert len(set(instances)) == 5, "instances of one number would be taken for the planes of one exposure"


def test_bytes_do_not_depend_on_the_clock(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    again = write_set(tmp_path / "set", OUTPUTS)
    for path in files(folder):
        assert path.read_bytes() == (again / "dicom" / path.name).read_bytes()


@pytest.mark.parametrize("value", [0.1, -123.456789012345678, 1e-17 / 3, -179.99999999999997, 1020.5, 7, 2 / 3e5])
def test_decimal_strings_are_short_and_precise(value):
    text = _number(value)
    assert len(text) <= 16 and float(text) == pytest.approx(value, rel=1e-8)
