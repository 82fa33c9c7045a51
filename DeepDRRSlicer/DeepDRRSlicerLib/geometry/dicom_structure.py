"""How a DICOM file is built, looked at before a library parses it: what nests or repeats without end is refused.

The parsers recurse into sequences (thousands of levels overflow the stack) and keep every element (millions of tiny
ones take minutes and gigabytes). Here lengths are followed and values are not read.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from struct import unpack_from

from DeepDRRSlicerLib.errors import InputError

MOST_ELEMENTS = 100_000  # of one file: a CT slice has a few hundred, a long run of frames some ten thousand
MOST_LEVELS = 50  # of sequences and their items: real files have fewer than ten
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SYNTAX, _PIXELS, _ITEM = (0x0002, 0x0010), (0x7FE0, 0x0010), (0xFFFE, 0xE000)
_ENDS = ((0xFFFE, 0xE00D), (0xFFFE, 0xE0DD))
_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def check_structure(path: Path) -> int:
    """Number of elements in a DICOM file, as far as it can be followed.

    Raises InputError for values that reach beyond the end of the file, for more than `MOST_ELEMENTS`, for sequences
    deeper than `MOST_LEVELS`, and for a file that is packed as a whole, so that nobody knows how large it becomes.
    Raises OSError where the file cannot be read.
    """
    if not path.stat().st_size:  # nothing to map
        return 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _count(path.name, content)


def _count(name: str, content: mmap.mmap) -> int:
    length, syntax, count = len(content), b"", 0
    position = 132 if content[128:132] == b"DICM" else 0
    inside: list[tuple[int, bool]] = []  # where each sequence and item ends at the latest; whether it holds fragments
    while position + 8 <= length:
        while inside and position >= inside[-1][0]:
            inside.pop()
        kind = _EXPLICIT if content[position : position + 2] == b"\2\0" else syntax
        tag, size, position, nested = _element(content, position, kind)
        count += 1
        if size != _UNDEFINED and position + size > length:  # a parser would first make room for all of it
            raise InputError(f"'{name}' is damaged or truncated; copy it again, or export it again.")
        if count > MOST_ELEMENTS:
            raise InputError(
                f"'{name}' has more than {MOST_ELEMENTS} elements, as a damaged file or very many frames; convert it "
                "to NIfTI with dcm2niix, or export it again."
            )
        if tag in _ENDS:
            if inside:
                inside.pop()
            continue
        if tag == _ITEM:
            nested = not (inside and inside[-1][1])
        if nested or size == _UNDEFINED:
            inside.append((length if size == _UNDEFINED else position + size, tag == _PIXELS))
            if len(inside) > MOST_LEVELS:
                raise InputError(f"'{name}' has sequences in sequences, {MOST_LEVELS} deep; export it again.")
            continue
        if tag == _SYNTAX:
            syntax = content[position : position + size].rstrip(b"\0 ")
            if syntax == _DEFLATED:
                raise InputError(f"'{name}' is packed as a whole (deflated DICOM); export it without compression.")
        position += size
    return count


def _element(content: mmap.mmap, position: int, syntax: bytes) -> tuple[tuple[int, ...], int, int, bool]:
    """(tag, length of the value, where it begins, whether it is a sequence); content has 8 bytes from the position."""
    order = ">" if syntax == _BIG_ENDIAN else "<"
    tag = unpack_from(f"{order}HH", content, position)
    kind = content[position + 4 : position + 6]
    explicit = tag[0] != _ITEM[0] and syntax != _IMPLICIT and kind.isalpha() and kind.isupper()
    if explicit and kind not in _LONG:
        return tag, unpack_from(f"{order}H", content, position + 6)[0], position + 8, False
    begin = position + (12 if explicit else 8)
    if begin > len(content):
        return tag, 0, begin, False
    size = unpack_from(f"{order}I", content, begin - 4)[0]
    starts = unpack_from(f"{order}HH", content, begin) if begin + 4 <= len(content) else ()
    # Whoever lacks the type of an element takes what begins with an item for a sequence.
    untyped = (not explicit or kind == b"UN") and tag not in (_ITEM, _PIXELS) and starts == _ITEM
    return tag, size, begin, kind == b"SQ" and explicit or untyped
