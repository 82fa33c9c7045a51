"""Voxelised bodies of known shape, for comparison with closed forms."""

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume


def ras_grid(shape_kji, ijk_to_ras, offset_ijk=(0.0, 0.0, 0.0)):
    """RAS (k, j, i, 3) of the voxel centres, moved by a part of a voxel."""
    k, j, i = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in shape_kji), indexing="ij")
    index = np.stack([i, j, k], -1) + offset_ijk
    return index @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]


def centered(shape_kji, spacing_ijk, rotation=None, center=(0.0, 0.0, 0.0)):
    """ijk_to_ras of a volume whose middle lies at `center`."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) @ np.diag(spacing_ijk)
    matrix[:3, 3] = center - matrix[:3, :3] @ ((np.array(shape_kji[::-1]) - 1) / 2)
    return matrix


def spheres(shape_kji, ijk_to_ras, centers, radius, density=1.0, subsamples=4):
    """float32 (k, j, i) density of spheres, each voxel the mean over subsamples^3 points (partial volume)."""
    total = np.zeros(shape_kji)
    shifts = (np.arange(subsamples) + 0.5) / subsamples - 0.5
    to_index = np.linalg.inv(ijk_to_ras)
    reach = radius / np.linalg.norm(ijk_to_ras[:3, :3], axis=0) + 2
    for center in np.atleast_2d(centers):
        middle = to_index[:3, :3] @ center + to_index[:3, 3]
        low = np.maximum(0, np.floor(middle - reach)).astype(int)
        high = np.minimum(np.array(shape_kji[::-1]), np.ceil(middle + reach) + 1).astype(int)
        if (high <= low).any():
            continue
        window = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
        local = np.eye(4)
        local[:3, :3] = ijk_to_ras[:3, :3]
        local[:3, 3] = ijk_to_ras[:3, :3] @ low + ijk_to_ras[:3, 3]
        size = tuple((high - low)[::-1])
        part = np.zeros(size)
        for a in shifts:
            for b in shifts:
                for c in shifts:
                    part += ((ras_grid(size, local, (a, b, c)) - center) ** 2).sum(-1) <= radius**2
        total[window] += part / subsamples**3 * density
    return total.astype(np.float32)


def material_volume(density, ijk_to_ras, name="water"):
    """One density array (k, j, i) as a MaterialVolume of one material."""
    return MaterialVolume.from_density((name,), density[..., None], ijk_to_ras)


def chord(beam, center, radius):
    """Length in mm (rows, columns) of each pixel's ray inside a sphere."""
    direction = beam.pixel_centers() - beam.source
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    towards = np.asarray(center) - beam.source
    off_axis2 = (towards @ towards) - (direction @ towards) ** 2
    return 2 * np.sqrt(np.maximum(0, radius**2 - off_axis2))


def storage_orders():
    """The 48 ways to store one array: (permutation of i, j, k, flips)."""
    from itertools import permutations, product

    return [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


def restored(array_kji, ijk_to_ras, permutation, flips):
    """The same body with its array axes (i, j, k) permuted and flipped, and the matching matrix."""
    array = array_kji.transpose(2, 1, 0)  # to i, j, k
    matrix = ijk_to_ras.copy()
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[axis] - 1)
            matrix[:3, axis] *= -1
            array = np.flip(array, axis)
    matrix[:3, :3] = matrix[:3, :3][:, permutation]
    return np.ascontiguousarray(array.transpose(permutation).transpose(2, 1, 0)), matrix
