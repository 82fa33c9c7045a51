"""Masks as COCO's run lengths: down the columns, columns from left to right, beginning with a run outside the mask.

The compressed form writes each run, from the third on as the difference to the run before the last, in base 32, five
bits a character with a sixth that says whether more follow, low bits first; the last character carries the sign.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.errors import InputError

_FIRST = 48  # the character of 0
_MORE, _SIGN, _BITS = 0x20, 0x10, 0x1F


def mask_to_rle(mask: np.ndarray) -> dict:
    """(rows, columns) bool as COCO's {"size": [rows, columns], "counts": compressed text}."""
    return {"size": [int(n) for n in mask.shape], "counts": compressed(run_lengths(mask))}


def mask_from_rle(rle: dict) -> np.ndarray:
    """The (rows, columns) bool mask of compressed or plain run lengths. Raises InputError where they do not fit."""
    counts = rle["counts"]
    runs = np.asarray(expanded(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    rows, columns = rle["size"]
    if (runs < 0).any() or runs.sum() != rows * columns:
        raise InputError(f"The run lengths of a mask do not fill its {rows} x {columns} pixels; export the set again.")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(columns, rows).T)


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs outside, inside, outside ... of a (rows, columns) mask."""
    flat = np.ascontiguousarray(mask.T).ravel().astype(bool)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat.size and flat[0] else [], [0], changes, [flat.size]]).astype(np.int64)
    return np.diff(edges).tolist()


def compressed(runs: list[int]) -> str:
    """Run lengths as COCO's text."""
    text = bytearray()
    for n, run in enumerate(runs):
        value = run - runs[n - 2] if n > 2 else run
        while True:
            part = value & _BITS
            value >>= 5
            more = value != (-1 if part & _SIGN else 0)
            text.append(_FIRST + (part | _MORE if more else part))
            if not more:
                break
    return text.decode("ascii")


def expanded(text: str) -> list[int]:
    """Run lengths of COCO's text. Raises InputError where it breaks off."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii", "replace"):
        part = character - _FIRST
        value |= (part & _BITS) << shift
        shift += 5
        if part & _MORE:
            continue
        if part & _SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise InputError("The run lengths of a mask break off; export the set again.")
    return runs


def mask_box(mask: np.ndarray) -> list[int] | None:
    """[first column, first row, last column, last row] of a mask, both ends included; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])] if rows.size else None
