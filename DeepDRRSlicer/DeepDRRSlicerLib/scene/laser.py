"""The laser cross: two lines on the patient's skin, in the planes through the middle rows and columns of the image."""

import numpy as np

from DeepDRRSlicerLib.scene.beam_in_slices import LASER_COLOR, updateCrossInSlices
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode, removeNode
from DeepDRRSlicerLib.scene.shapes import polyData

_LINES = "beam.laser"
_SKIN = -300.0  # HU
_STEP = 3.0  # mm along a ray
_RAYS = 91  # of each line
_AHEAD = 1.5  # mm off the skin, so that the line is not half hidden in it


def updateLaser(beam, body, shown):
    """Draw the cross on the body (scene/body.py) and in the slice views, or take it away."""
    updateCrossInSlices(beam, shown)
    if not shown:
        node = findNode(_LINES, "vtkMRMLModelNode")
        if node is not None:
            removeNode(node)
        return
    points, lines = laserLines(beam, body)
    node = ensureNode(_LINES, "vtkMRMLModelNode", "Laser cross")
    node.SetAndObservePolyData(polyData(points, lines=lines))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*LASER_COLOR)
        display.SetLighting(False)
        display.SetLineWidth(4)
        display.SetVisibility2D(False)


def laserLines(beam, body):
    """((n, 3) RAS mm, lines as sequences of their numbers): the cross where it shines on the skin from the detector."""
    rows, columns = beam.size
    across = np.column_stack([np.linspace(0, columns - 1, _RAYS), np.full(_RAYS, (rows - 1) / 2)])
    down = np.column_stack([np.full(_RAYS, (columns - 1) / 2), np.linspace(0, rows - 1, _RAYS)])
    points, lines = [np.zeros((0, 3))], []
    for pixels in (across, down):
        hits = skinHits(beam.pixel_to_ras(pixels[:, 0], pixels[:, 1]), beam.source, body)
        start = sum(len(p) for p in points)
        seen = ~np.isnan(hits[:, 0])
        numbers = np.where(seen, start + np.cumsum(seen) - 1, -1)
        points.append(hits[seen])
        runs = np.split(numbers, np.flatnonzero(np.diff(seen.astype(int))) + 1)
        lines += [tuple(run) for run in runs if run[0] >= 0 and len(run) > 1]
    return np.concatenate(points), lines


def skinHits(starts, end, body):
    """(n, 3) RAS mm where rays from each start towards `end` first meet the skin; NaN where they meet none."""
    found = np.full(starts.shape, np.nan)
    if 0 in body.hu.shape:
        return found
    ways = end - starts
    lengths = np.linalg.norm(ways, axis=1)
    nearest, farthest = _reach(starts, body)
    distances = np.arange(max(nearest - _STEP, 0.0), min(farthest, lengths.max()), _STEP)
    if not len(distances):
        return found
    samples = starts[:, None] + (distances[None, :] / lengths[:, None])[..., None] * ways[:, None]
    hu = _interpolated(body, samples.reshape(-1, 3)).reshape(samples.shape[:2])
    inside = hu > _SKIN
    first = inside.argmax(axis=1)
    hit = inside.any(axis=1) & (first > 0)
    ray = np.flatnonzero(hit)
    before, after = hu[ray, first[ray] - 1], hu[ray, first[ray]]
    share = (_SKIN - before) / (after - before)
    meets = distances[first[ray] - 1] + share * _STEP - _AHEAD
    found[ray] = starts[ray] + (meets / lengths[ray])[:, None] * ways[ray]
    return found


def _reach(starts, body):
    """(least, largest) distance in mm from a start to the sphere about the CT."""
    size = np.array(body.hu.shape[::-1]) - 1
    low, high = body.ijk_to_ras[:3, 3], (body.ijk_to_ras @ [*size, 1])[:3]
    radius = np.linalg.norm(high - low) / 2
    away = np.linalg.norm(starts - (low + high) / 2, axis=1)
    return away.min() - radius, away.max() + radius


def _interpolated(body, points):
    """HU at RAS points (n, 3), linear between voxels, air outside of the CT."""
    matrix = np.linalg.inv(body.ijk_to_ras)
    kji = (points @ matrix[:3, :3].T + matrix[:3, 3])[:, ::-1]
    shape = np.array(body.hu.shape)
    values = np.full(len(points), -1000.0)
    within = ((kji >= 0) & (kji < shape - 1)).all(axis=1)
    low = np.floor(kji[within]).astype(int)
    part = kji[within] - low
    total = np.zeros(len(low))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        total += weight * body.hu[tuple((low + corner).T)]
    values[within] = total
    return values
