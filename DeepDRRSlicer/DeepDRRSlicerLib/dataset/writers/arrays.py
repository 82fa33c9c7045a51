"""The arrays of one sample by name, the same for every writer."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.dataset.writers.options import WriterOptions


def sample_arrays(sample, options: WriterOptions) -> dict[str, np.ndarray]:
    """picture (rows, columns) uint16; signal and open_field float32 keV per pixel; masks (segments, rows, columns)
    uint8; tool_masks where there are tools; thickness and tool_thickness float32 mm; heatmaps float32, 0 to 1, of the
    landmarks. Segments, tools and landmarks come in the order of the record.
    """
    size = sample.radiograph.signal.shape
    arrays = {"picture": sample.picture}
    if options.signal:
        arrays["signal"] = np.asarray(sample.radiograph.signal, np.float32)
    if options.open_field:
        arrays["open_field"] = np.asarray(sample.radiograph.open_field, np.float32)
    arrays["masks"] = _stack([label.mask for label in sample.segments], size, np.uint8)
    if sample.tools:
        arrays["tool_masks"] = _stack([label.mask for label in sample.tools], size, np.uint8)
    if options.thickness:
        arrays["thickness"] = _stack([label.thickness for label in sample.segments], size, np.float32)
        if sample.tools:
            arrays["tool_thickness"] = _stack([label.thickness for label in sample.tools], size, np.float32)
    if options.heatmap_sigma is not None:
        maps = [heatmap(label, size, options.heatmap_sigma) for label in sample.landmarks]
        arrays["heatmaps"] = _stack(maps, size, np.float32)
    return arrays


def heatmap(landmark, size: tuple[int, int], sigma: float) -> np.ndarray:
    """(rows, columns) float32: a Gaussian of height 1 and sigma pixels at a landmark, 0 where it is not visible."""
    if not landmark.visible:
        return np.zeros(size, np.float32)
    rows, columns = (np.arange(n, dtype=np.float64) for n in size)
    down = np.exp(-((rows - landmark.row) ** 2) / (2 * sigma**2))
    along = np.exp(-((columns - landmark.column) ** 2) / (2 * sigma**2))
    return np.outer(down, along).astype(np.float32)


def _stack(images: list, size: tuple[int, int], dtype) -> np.ndarray:
    return np.stack(images).astype(dtype) if images else np.zeros((0, *size), dtype)
