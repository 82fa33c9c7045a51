"""Headers of strangers: whatever they say, reading ends soon, in a volume or in one sentence."""

import gzip
import os
import struct
import time
import zlib

import dicom_bytes as dcm
import numpy as np
import pytest
import SimpleITK as sitk
from fuzzing import counts, damaged_bytes, run_fuzz
from hypothesis import strategies as st

from DeepDRRSlicerLib.anatomy import dicom_series, image_io
from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation
from DeepDRRSlicerLib.anatomy.xray_files import read_xray
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry import dicom_structure
from DeepDRRSlicerLib.geometry.dicom_pose import read_dicom_pose
from DeepDRRSlicerLib.geometry.dicom_structure import check_structure


def a_volume_or_a_sentence(read, path):
    try:
        return read(path)
    except InputError as error:
        assert "\n" not in str(error) and str(error).endswith("."), error


def refused(read, path, cause, seconds=2.0):
    """In one sentence, and soon: what the processor does is measured, as others may be using it."""
    begin = time.process_time()
    with pytest.raises(InputError, match=cause) as caught:
        read(path)
    assert time.process_time() - begin < seconds
    assert "\n" not in str(caught.value)


def body():
    array = np.full((4, 7, 6), -1000, np.int16)
    array[1:3, 2:5, 2:5] = 40
    return array


def write_image(path, array=None):
    sitk.WriteImage(sitk.GetImageFromArray(body() if array is None else array), str(path), useCompression=False)
    return path


def write_series(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for n, content in enumerate(contents):
        (folder / f"{n}.dcm").write_bytes(content)
    return folder


def test_the_series_written_byte_by_byte_is_a_ct(tmp_path):
    volume = read_ct(write_series(tmp_path, [dcm.file_of(z) for z in (0.0, 2.0, 4.0)]))
    assert volume.size == (5, 6, 3) and sorted(np.unique(volume.array)) == [-1000, 40]


@pytest.mark.parametrize("kind", ["items", "explicit lengths", "unknown type", "implicit"])
def test_sequences_in_sequences_are_refused_before_a_parser_sees_them(tmp_path, kind):
    deep = b""
    if kind in ("items", "implicit"):
        opened = dcm.item(dcm.element(8, 0x1111, "SQ", b"", dcm.UNDEFINED), dcm.UNDEFINED)
        if kind == "implicit":
            opened = dcm.item(struct.pack("<HHI", 8, 0x1111, dcm.UNDEFINED), dcm.UNDEFINED)
        deep = opened * 50_000
        first = dcm.element(8, 0x1111, "SQ", b"", dcm.UNDEFINED)
        deep = (first if kind == "items" else struct.pack("<HHI", 8, 0x1111, dcm.UNDEFINED)) + deep
    else:
        for _ in range(2000):
            deep = dcm.element(8, 0x1111, "SQ" if kind == "explicit lengths" else "UN", dcm.item(deep))
    syntax = dcm.IMPLICIT if kind == "implicit" else dcm.EXPLICIT
    folder = write_series(tmp_path / "ct", [dcm.file_of(z, deep, syntax) for z in (0.0, 2.0, 4.0)])
    refused(read_ct, folder, "sequences in sequences")
    refused(read_xray, folder / "0.dcm", "sequences in sequences")
    refused(read_dicom_pose, folder / "0.dcm", "sequences in sequences")


def test_sequences_as_real_files_have_them_are_no_reason_to_refuse(tmp_path):
    inner = dcm.element(8, 0x1140, "SQ", dcm.item(dcm.element(8, 0x60, "CS", b"CT")))
    outer = dcm.element(8, 0x1140, "SQ", dcm.item(inner * 3, dcm.UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
                        dcm.UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)  # fmt: skip
    plain, extra = dcm.file_of(), dcm.file_of(before=outer)
    for content in (plain, extra):
        (tmp_path / "x.dcm").write_bytes(content)
        found = check_structure(tmp_path / "x.dcm")
        # A sequence, its item and end, three sequences of an item of one element, the end of the whole.
        assert found == 5 + len(dcm.fields()) + (content == extra) * (2 + 3 * 3 + 2)
    assert read_ct(write_series(tmp_path / "ct", [dcm.file_of(z, outer) for z in (0.0, 2.0, 4.0)])).size == (5, 6, 3)


def test_millions_of_elements_are_refused_without_reading_them(tmp_path, monkeypatch):
    tiny = dcm.element(9, 0x1001, "CS", b"AB") * (dicom_structure.MOST_ELEMENTS + 1)
    zeros = dcm.start() + bytes(8 * dicom_structure.MOST_ELEMENTS)
    refused(read_ct, write_series(tmp_path / "tiny", [dcm.file_of(z, tiny) for z in (0.0, 2.0)]), "more than 100000 el")
    refused(read_ct, write_series(tmp_path / "zeros", [zeros]), "more than 100000 elements")
    monkeypatch.setattr(dicom_series, "MOST_ELEMENTS", 100)
    many = write_series(tmp_path / "many", [dcm.file_of(float(z)) for z in range(6)])
    refused(read_ct, many, "headers in 'many' are too long")
    monkeypatch.setattr(dicom_series, "MOST_FILES", 5)
    refused(read_ct, many, "more than 5 files")


def test_a_file_packed_as_a_whole_is_not_unpacked(tmp_path):
    """A few thousand bytes would become any size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(dcm.element(8, 0x1111, "UN", b"", 1 << 30))
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(32)) + packer.flush()
    folder = write_series(tmp_path / "ct", [dcm.start(dcm.DEFLATED) + bomb] * 2)
    for read, path in ((read_ct, folder), (read_xray, folder / "0.dcm"), (read_dicom_pose, folder / "0.dcm")):
        refused(read, path, "packed as a whole")


def series_with(folder, **values):
    """Three slices, in which fields have other values. values: name of NAMES and bytes, None to leave it out."""
    contents = []
    for z in (0.0, 2.0, 4.0):
        found = dcm.fields(z)
        for name, value in values.items():
            tag = NAMES[name]
            if value is None:
                del found[tag]
            else:
                found[tag] = (found[tag][0], value)
        contents.append(dcm.start() + dcm.body(found))
    return write_series(folder, contents)


NAMES = {"rows": (0x28, 0x10), "columns": (0x28, 0x11), "frames": (0x28, 0x08), "spacing": (0x28, 0x30),
         "orientation": (0x20, 0x37), "position": (0x20, 0x32), "bits": (0x28, 0x100), "slope": (0x28, 0x1053),
         "pixels": (0x7FE0, 0x10), "samples": (0x28, 0x02)}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"rows": dcm.whole(65535), "columns": dcm.whole(65535)}, "damaged or truncated"),
        ({"rows": dcm.whole(8192), "columns": dcm.whole(8192)}, "cannot be read|truncated|needs"),
        ({"rows": dcm.whole(0)}, "damaged|no DICOM image|voxels"),
        ({"frames": dcm.text(2**31 - 1)}, "multi-frame|damaged"),
        ({"spacing": dcm.text("0\\0")}, "spacing"),
        ({"spacing": dcm.text("nan\\nan")}, "spacing"),
        ({"spacing": None}, "spacing"),
        ({"orientation": dcm.text("1\\0\\0\\0\\9\\0")}, "orthogonal unit vectors"),
        ({"orientation": dcm.text("nan\\0\\0\\0\\1\\0")}, "without position, orientation"),
        ({"orientation": None}, "without position, orientation"),
        ({"position": None}, "without position"),
        ({"pixels": b""}, "damaged|cannot be read"),
        ({"rows": None}, "damaged|no DICOM image|voxels"),
    ],
)
def test_hostile_values_of_a_slice(tmp_path, values, cause):
    refused(read_ct, series_with(tmp_path / "ct", **values), cause)


@pytest.mark.parametrize("syntax", [dcm.RLE, dcm.JPEG, dcm.JPEG_2000])
@pytest.mark.parametrize("side", [512, 20_000])
def test_packed_pixels_that_are_garbage(tmp_path, syntax, side):
    found = dcm.fields() | {(0x28, n): ("US", dcm.whole(side)) for n in (0x10, 0x11)}
    pixels = dcm.element(0x7FE0, 0x10, "OB", dcm.item() + dcm.item(bytes(range(128))), dcm.UNDEFINED)
    contents = []
    for z in (0.0, 2.0, 4.0):
        found |= {key: dcm.fields(z)[key] for key in ((0x20, 0x32), (8, 0x18))}
        head = dcm.body({key: value for key, value in found.items() if key[0] < 0x7FE0})
        contents.append(dcm.start(syntax) + head + pixels + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    folder = write_series(tmp_path / "ct", contents)
    refused(read_ct, folder, "more than 8192 pixels|cannot be read|damaged")
    refused(read_xray, folder / "0.dcm", "modality CT|detector")


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha"])
def test_a_header_that_announces_more_than_the_file_can_hold(tmp_path, ending, monkeypatch):
    """2000 x 2000 x 500 voxels in a file of a few hundred bytes: refused by the header, before memory is asked for."""
    path = write_image(tmp_path / f"ct.{ending}")
    content = path.read_bytes() if ending != "nii.gz" else gzip.decompress(path.read_bytes())
    if ending in ("nii", "nii.gz"):
        content = content[:42] + struct.pack("<3h", 2000, 2000, 500) + content[48:]
    content = content.replace(b"sizes: 6 7 4", b"sizes: 2000 2000 500").replace(b"= 6 7 4", b"= 2000 2000 500")
    path.write_bytes(gzip.compress(content) if ending == "nii.gz" else content)
    monkeypatch.setattr(image_io, "check_memory", lambda name, size: None)
    refused(read_ct, path, "far shorter than its header")
    refused(read_segmentation, path, "far shorter than its header")


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
@pytest.mark.parametrize("value", ["nan", "inf", "0"])
def test_impossible_places_in_a_header(tmp_path, ending, value):
    path = write_image(tmp_path / f"ct.{ending}")
    content = path.read_bytes()
    old = b"ElementSpacing = 1 1 1" if ending == "mha" else b"(1,0,0)"
    new = old.replace(b"1", value.encode(), 1)
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    refused(read_ct, path, "spacing|singular|matrix|cannot be read|header")


def test_singular_directions_in_a_header(tmp_path):
    path = write_image(tmp_path / "ct.nrrd")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(1,0,0) (0,1,0)", b"(1,0,0) (1,0,0)"))
    refused(read_ct, path, "singular|cannot be read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("ending", ["nhdr", "mhd"])
def test_voxels_outside_the_folder_or_in_no_file_are_not_waited_for(tmp_path, ending):
    (tmp_path / "in").mkdir()
    path = write_image(tmp_path / "in" / f"ct.{ending}")
    assert read_ct(path).size == (6, 7, 4)
    content = path.read_bytes()
    own = next(p.name for p in path.parent.iterdir() if p != path).encode()
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "secret.raw").write_bytes(bytes(1000))
    for other in (b"pipe", b"/dev/stdin", b"/dev/zero", b"../secret.raw", b"C:\\secret.raw", b"..\\secret.raw",
                  str(tmp_path / "secret.raw").encode(), b"LIST\n/dev/stdin\n../secret.raw",
                  b"a\0b"):  # fmt: skip
        path.write_bytes(content.replace(own, other))
        refused(read_ct, path, "no file of its folder|cannot be read")
        refused(read_xray, path, "no file of its folder|cannot be read")


def test_a_header_without_an_end(tmp_path):
    for name, begin in (("x.nrrd", b"NRRD0004\n"), ("x.mha", b"ObjectType = Image\n")):
        path = tmp_path / name
        path.write_bytes(begin + b"#" * (17 << 20))
        refused(read_ct, path, "no end")


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd"])
@counts(15, 3000)
def test_damaged_volume_files(tmp_path, ending, count):
    path = write_image(tmp_path / f"ct.{ending}")
    content = path.read_bytes()
    if ending == "nii.gz":
        content = gzip.decompress(content)

    def read(damaged):
        path.write_bytes(gzip.compress(damaged, 1) if ending == "nii.gz" else damaged)
        found = a_volume_or_a_sentence(read_ct, path)
        assert found is None or (found.array.dtype == np.int16 and found.array.min() >= -1024)
        a_volume_or_a_sentence(read_segmentation, path)

    run_fuzz(count, read, damaged_bytes(content, last=400))


HOSTILE = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(["", "0", "-1", "nan", "1e400", "65535", "9" * 40, "0\\0", "1\\2\\3", "nan\\nan", "\\" * 9]).map(
        dcm.text
    ),
    st.integers(0, 65535).map(dcm.whole),
)


@counts(20, 5000)
def test_dicom_files_with_any_field_damaged(tmp_path, count):
    tags = sorted(dcm.fields())

    def read(changes, wrong_length, damaged):
        contents = []
        for z in (0.0, 2.0, 4.0):
            found = dcm.fields(z)
            for at, value in changes:
                tag = tags[at % len(tags)]
                found[tag] = (found[tag][0], value)
            contents.append(dcm.start() + dcm.body(found))
        if wrong_length is not None:
            contents[1] = dcm.file_of(2.0, dcm.element(8, 1, "UN", b"abcd", wrong_length))
        if damaged is not None:
            contents[2] = damaged
        folder = write_series(tmp_path / "ct", contents)
        a_volume_or_a_sentence(read_ct, folder)
        for name in ("0.dcm", "1.dcm", "2.dcm"):
            a_volume_or_a_sentence(read_dicom_pose, folder / name)
            a_volume_or_a_sentence(read_xray, folder / name)

    lengths = st.none() | st.sampled_from([0, 1, 5, 2**31, 2**32 - 2, dcm.UNDEFINED])
    changes = st.lists(st.tuples(st.integers(0, 99), HOSTILE), max_size=3)
    run_fuzz(count, read, changes, lengths, st.none() | damaged_bytes(dcm.file_of(4.0), first=128))


@pytest.mark.parametrize("ending", ["dcm", "png", "jpg", "tif", "bmp", "mha", "nrrd", "nii"])
@counts(12, 3000)
def test_damaged_pictures(tmp_path, ending, count):
    path = tmp_path / f"picture.{ending}"
    if ending == "dcm":
        found = dcm.fields() | {(0x08, 0x60): ("CS", b"XA"), (0x28, 0x08): ("IS", b"1 ")}
        content = dcm.start(storage=dcm.XA) + dcm.body(found)
    else:
        pixels = (np.arange(300) % 255).astype(np.uint8).reshape(20, 15)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
        content = path.read_bytes()

    def read(damaged):
        path.write_bytes(damaged)
        a_volume_or_a_sentence(read_xray, path)

    path.write_bytes(content)
    assert read_xray(path).image.size > 4
    run_fuzz(count, read, damaged_bytes(content, first=128 if ending == "dcm" else 0, last=1500))
