"""DICOM files written byte by byte, so that every field and length can be wrong."""

import struct

import numpy as np

LONG = ("OB", "OW", "SQ", "UN")
UNDEFINED = 0xFFFFFFFF
EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
CT, XA = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.12.1"


def element(group, number, kind, value, length=None):
    """One element, explicit little endian. length: what the header says, if not the truth."""
    size = len(value) if length is None else length
    tag = struct.pack("<HH", group, number) + kind.encode()
    return tag + (struct.pack("<HI", 0, size) if kind in LONG else struct.pack("<H", size & 0xFFFF)) + value


def text(value, fill=b" "):
    """A text value of even length."""
    content = str(value).encode()
    return content + fill * (len(content) % 2)


def whole(value):
    return struct.pack("<H", value)


def item(content=b"", length=None):
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def start(syntax=EXPLICIT, storage=CT):
    """Preamble and file meta information."""
    meta = element(2, 1, "OB", b"\0\1")
    for number, uid in ((2, storage), (3, "1.2.3"), (0x10, syntax)):
        meta += element(2, number, "UI", text(uid, b"\0"))
    return bytes(128) + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(meta))) + meta


def fields(z=0.0, rows=6, columns=5):
    """{(group, number): (kind, value)} of a CT slice at a height, pixels last."""
    hu = np.full((rows, columns), 24, np.int16)
    hu[1:4, 1:4] = 1064
    return {
        (0x08, 0x08): ("CS", text("ORIGINAL\\PRIMARY\\AXIAL")),
        (0x08, 0x16): ("UI", text(CT, b"\0")),
        (0x08, 0x18): ("UI", text(f"1.2.3.{int(z) + 1}", b"\0")),
        (0x08, 0x60): ("CS", text("CT")),
        (0x20, 0x0D): ("UI", text("1.2.3")),
        (0x20, 0x0E): ("UI", text("1.2.3.4", b"\0")),
        (0x20, 0x11): ("IS", text("3")),
        (0x20, 0x32): ("DS", text(f"-10\\-20\\{z:g}")),
        (0x20, 0x37): ("DS", text("1\\0\\0\\0\\1\\0")),
        (0x28, 0x02): ("US", whole(1)),
        (0x28, 0x04): ("CS", text("MONOCHROME2")),
        (0x28, 0x08): ("IS", text("1")),
        (0x28, 0x10): ("US", whole(rows)),
        (0x28, 0x11): ("US", whole(columns)),
        (0x28, 0x30): ("DS", text("0.8\\0.7")),
        (0x28, 0x100): ("US", whole(16)),
        (0x28, 0x101): ("US", whole(16)),
        (0x28, 0x102): ("US", whole(15)),
        (0x28, 0x103): ("US", whole(1)),
        (0x28, 0x1052): ("DS", text("-1024")),
        (0x28, 0x1053): ("DS", text("1")),
        (0x7FE0, 0x10): ("OW", hu.tobytes()),
    }


def body(found):
    """The elements in their order."""
    return b"".join(element(*tag, kind, value) for tag, (kind, value) in sorted(found.items()))


def file_of(z=0.0, before=b"", syntax=EXPLICIT, **changes):
    """A CT slice. before: elements put in front; changes: rows, columns."""
    return start(syntax) + before + body(fields(z, **changes))
