"""Images as the bytes of PNG, TIFF and NumPy files: the same array gives the same bytes, whatever the clock says."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from DeepDRRSlicerLib.errors import InputError

_LEVEL = 1  # noise hardly shrinks: more effort would cost time and save one percent
_UP = 2  # PNG's filter "difference to the row above"
_PNG = b"\x89PNG\r\n\x1a\n"
_DEFLATE, _PLAIN = 8, 1
_DAY_ZERO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can name


def png_bytes(image: np.ndarray) -> bytes:
    """uint8 or uint16, (rows, columns) grey or (rows, columns, 3) red, green, blue, as PNG."""
    rows, columns = image.shape[:2]
    depth = {"uint8": 8, "uint16": 16}[image.dtype.name]
    lines = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder(">")).view(np.uint8).reshape(rows, -1)
    filtered = np.full((rows, lines.shape[1] + 1), _UP, np.uint8)
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", columns, rows, depth, 0 if image.ndim == 2 else 2, 0, 0, 0)
    # Runs alone are looked for: in a radiograph's noise nothing else repeats. Half the time, and no larger.
    packing = zlib.compressobj(_LEVEL, strategy=zlib.Z_RLE)
    packed = packing.compress(filtered) + packing.flush()
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return _PNG + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def png_array(content: bytes) -> np.ndarray:
    """The image that png_bytes wrote. Raises InputError for PNG of another kind or damaged ones."""
    try:
        if not content.startswith(_PNG):
            raise ValueError
        columns, rows, depth, color = struct.unpack(">IIBB", content[16:26])
        (length,) = struct.unpack(">I", content[33:37])
        lines = np.frombuffer(zlib.decompress(content[41 : 41 + length]), np.uint8).reshape(rows, -1)
        if (lines[:, 0] != _UP).any():
            raise ValueError
        lines = np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8)
        shape = (rows, columns) if color == 0 else (rows, columns, 3)
        return lines.view(">u2" if depth == 16 else np.uint8).reshape(shape).astype(f"u{depth // 8}")
    except (ValueError, struct.error, zlib.error) as error:
        raise InputError("A PNG file is damaged, or was not written by this program; export the set again.") from error


def tiff_bytes(image: np.ndarray, compressed: bool = False) -> bytes:
    """(rows, columns) uint16 or float32 as a TIFF of one strip."""
    rows, columns = image.shape
    sample_format = {"float32": 3, "uint16": 1}[image.dtype.name]
    data = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<")).tobytes()
    data = zlib.compress(data, _LEVEL) if compressed else data
    short, long = 3, 4
    count = 11
    start = 8 + 2 + 12 * count + 4
    entries = [
        (256, long, columns),
        (257, long, rows),
        (258, short, image.dtype.itemsize * 8),
        (259, short, _DEFLATE if compressed else _PLAIN),
        (262, short, 1),  # black is zero
        (273, long, start),
        (277, short, 1),
        (278, long, rows),
        (279, long, len(data)),
        (284, short, 1),
        (339, short, sample_format),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, count) + directory + struct.pack("<I", 0) + data


def tiff_array(content: bytes) -> np.ndarray:
    """The image that tiff_bytes wrote. Raises InputError for TIFF of another kind or damaged ones."""
    try:
        order, magic, first, count = struct.unpack("<2sHIH", content[:10])
        entries = [struct.unpack("<HHII", content[10 + 12 * n : 22 + 12 * n]) for n in range(count)]
        value = {tag: number for tag, _, _, number in entries}
        if (order, magic, first) != (b"II", 42, 8):
            raise ValueError
        data = content[value[273] : value[273] + value[279]]
        data = zlib.decompress(data) if value[259] == _DEFLATE else data
        dtype = {(16, 1): "<u2", (32, 3): "<f4"}[value[258], value[339]]
        return np.frombuffer(data, dtype).reshape(value[257], value[256]).astype(dtype[1:])
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        raise InputError("A TIFF file is damaged, or was not written by this program; export the set again.") from error


def npy_bytes(array: np.ndarray) -> bytes:
    """Any array of numbers as .npy."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as a compressed .npz, in the given order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DAY_ZERO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # otherwise Windows and Linux would write different bytes
            archive.writestr(entry, npy_bytes(array), compresslevel=_LEVEL)
    return buffer.getvalue()


def npy_array(content: bytes) -> np.ndarray:
    """The array of a .npy. Raises InputError for a damaged one."""
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError("A .npy file is damaged; export the set again.") from error


def npz_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a .npz. Raises InputError for a damaged one."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError("A .npz file is damaged; export the set again.") from error


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
