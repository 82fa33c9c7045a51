"""Writing and markers on pictures, as machines and readers put them there, drawn without a font file."""

from __future__ import annotations

import numpy as np

# Each digit is a row of three pixels in binary, own drawing.
_GLYPHS = {
    "0": "75557", "1": "26227", "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644",
    "G": "34553", "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25573", "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552",
    "W": "55775", "X": "55255", "Y": "55222", "Z": "71247", "2": "71747", "3": "71717", "4": "55711", "5": "74717",
    "6": "74757", "7": "71122", "8": "75757", "9": "75717", "-": "00700", "+": "02720", ".": "00002", " ": "00000",
}  # fmt: skip
_WORDS = ("L", "R", "AP", "PA", "LAT", "LAO", "RAO", "CRA", "CAU", "SUPINE", "PORTABLE", "ERECT", "KV", "MAS", "TEST")
KINDS = ("word", "number", "arrow", "ruler", "cross", "box")


def draw_overlays(picture: np.ndarray, count: int, random: np.random.Generator) -> list[dict]:
    """Draws so many on a picture (rows, columns) float 0..1, in place. Returns what is where, as plain data."""
    rows, columns = picture.shape
    drawn = []
    for _ in range(count):
        kind = KINDS[int(random.integers(len(KINDS)))]
        scale = max(1, int(round(min(rows, columns) * random.uniform(0.004, 0.012))))
        stamp, words = _stamp(kind, scale, random)
        height, width = stamp.shape
        row, column = (int(random.integers(0, max(1, n - m + 1))) for n, m in ((rows, height), (columns, width)))
        grey = float(random.choice([0.0, 0.7, 1.0]))
        part = picture[row : row + height, column : column + width]
        part[stamp[: part.shape[0], : part.shape[1]]] = grey
        drawn.append({"kind": kind, "text": words, "row": row, "column": column, "scale": scale, "grey": grey})
    return drawn


def written(words: str, scale: int = 1) -> np.ndarray:
    """Bool image of capital letters and digits, 5 times scale pixels high."""
    image = np.concatenate([np.array([_bits(row) for row in _GLYPHS[letter]], dtype=bool) for letter in words], axis=1)
    return np.kron(image, np.ones((scale, scale), dtype=bool))


def _bits(row: str) -> list[int]:
    """Three pixels and a gap."""
    return [int(row) >> shift & 1 for shift in (2, 1, 0)] + [0]


def _stamp(kind: str, scale: int, random: np.random.Generator) -> tuple[np.ndarray, str]:
    if kind == "word":
        words = _WORDS[int(random.integers(len(_WORDS)))]
        return written(words, scale), words
    if kind == "number":
        words = f"{random.integers(0, 1000)}"
        return written(words, scale), words
    length = int(random.integers(8, 40)) * scale
    if kind == "box":
        image = np.zeros((int(random.integers(8, 40)) * scale, length), dtype=bool)
        image[:scale] = image[-scale:] = image[:, :scale] = image[:, -scale:] = True
        return image, ""
    if kind == "cross":
        image = np.zeros((length, length), dtype=bool)
        middle = slice(length // 2 - scale // 2, length // 2 - scale // 2 + scale)
        image[middle] = image[:, middle] = True
        return image, ""
    if kind == "ruler":
        image = np.zeros((4 * scale, length), dtype=bool)
        image[-scale:] = True
        for at in range(0, length - scale + 1, 4 * scale):
            image[:, at : at + scale] = True
        return image, ""
    row, column = np.mgrid[-3 * scale : 3 * scale + 1, 0:length]
    head = (np.abs(row) * 2 <= length - 1 - column) & (column >= length - 1 - 6 * scale)
    image = head | ((np.abs(row) <= scale // 2) & (column < length - 1))
    return (image, "") if random.random() < 0.5 else (image.T, "")
