"""What a scanner makes of a body: blur, slices, noise, streaks, shading, motion, a cropped field of view, clipping."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import (
    ADIPOSE,
    AIR,
    BONE,
    CONTRAST,
    CONTRAST_HU,
    LUNG,
    METAL,
    SOFT,
)
from DeepDRRSlicerLib.training.decomposition.body.noise import along_axes, log_uniform, smooth_noise

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
# Metal is what adds this much to a voxel of the working grid: less is bloom over what lies beside it. The wires of a
# stent, clipped at 3071 HU on a CT of 1.5 mm, add 600 to 1400 HU on a grid of 2 mm.
METAL_SEEN_HU = 700.0
BLOOM_HU = 250.0
# The working grid takes means with a triangle of its spacing, which is a blur of 0.8 mm at 2 mm; less for coarse CTs.
WORKING_BLUR_MM = (0.2, 0.95)
# Sources of streaks: metal, and blood with so much iodine that it is as dense as bone.
STREAK_HU = 1500.0
# Where air, lung, and fat end, and what bone (fatty marrow has -100 HU) and contrast agent must show at least.
AIR_END_HU, LUNG_END_HU, FAT_END_HU = -500.0, -300.0, -30.0
LEAST_BONE_HU, LEAST_CONTRAST_HU = -150.0, 100.0
# Blood and organs are not as dense as this without contrast agent.
PLAIN_HU = 100.0


def gaussian_matrix(n: int, sigma: float) -> np.ndarray:
    """float32 [n, n]: blur by a Gaussian of `sigma` voxels, border values repeated by renormalisation."""
    offset = np.arange(n)[:, None] - np.arange(n)[None]
    matrix = np.exp(-0.5 * (offset / max(sigma, 1e-3)) ** 2).astype(np.float32)
    return matrix / matrix.sum(1, keepdims=True)


def slice_matrices(n: int, thickness: float, distance: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: [m, n] averages n voxels over slices, [n, m] interpolates the slices back to the voxels.

    thickness, distance: of the slices, in voxels.
    """
    centers = np.arange(phase - distance, n + distance, distance)
    offset = np.abs(np.arange(n)[None] - np.clip(centers, 0, n - 1)[:, None])
    average = np.clip((thickness + 1) / 2 - offset, 0, 1).astype(np.float32) + 1e-6
    average /= average.sum(1, keepdims=True)
    position = (np.arange(n) - centers[0]) / distance
    first = np.floor(position).astype(int)
    back = np.zeros((n, len(centers)), np.float32)
    back[np.arange(n), first] = 1 - (position - first)
    back[np.arange(n), first + 1] = position - first
    return average, back


def scanned(
    hu,
    metal,
    labels,
    spacing: float,
    rng,
    strength: float = 1.0,
    perfused=None,
    slice_mm: float | None = None,
    resampling_mm: tuple[float, float] = WORKING_BLUR_MM,
):
    """HU float32, labels uint8 and weight float32 [k, j, i] as a scanner would show this body.

    hu: without metal. metal: HU that metal adds. labels: true materials, metal not yet among them. strength: factor of
    noise and shading. perfused: HU of what may hold contrast agent, 0 elsewhere; None for a real CT, which lost its
    sharpness before and whose labels are of what it shows. slice_mm: thickness of the slices, by chance if None. The
    scanner blurs and clips at its own resolution; bringing its CT to the working grid blurs once more, by
    `resampling_mm` at least and at most.
    """
    scanner, slices = _scanner_blur(hu.shape, spacing, rng, slice_mm)
    body_blur = [slices, None, None] if perfused is None else _joined(slices, scanner)
    working = [gaussian_matrix(n, rng.uniform(*resampling_mm) / spacing) for n in hu.shape]
    sharper = _sharper(hu.shape, spacing, rng)
    seen = sharper(along_axes(hu, body_blur))
    added = sharper(along_axes(metal, _joined(slices, scanner))) if metal.any() else metal

    total = seen + added
    total += _grain(hu.shape, slices, rng) * np.float32(strength * log_uniform(rng, 2, 28))
    shading = strength * _shading(hu.shape, spacing, rng)
    total += shading
    total += _streaks(np.clip(added + np.maximum(seen - STREAK_HU, 0), 0, 20000), spacing, rng)
    if rng.random() < 0.08:
        total = _moved(total, rng)
    gain, offset = np.float32(rng.normal(1, 0.01)), np.float32(rng.normal(0, 8))
    total = (total + 1000) * gain - 1000 + offset
    total = along_axes(np.clip(total, LOWEST_HU, HIGHEST_HU), working)

    labels, weight = labels.copy(), np.ones(hu.shape, np.float32)
    if perfused is not None:
        enhanced = (perfused > PLAIN_HU) & ((labels == SOFT) | (labels == CONTRAST))
        shown = (perfused + shading + 1000)[enhanced] * gain - 1000 + offset
        labels[enhanced] = np.where(shown >= CONTRAST_HU, CONTRAST, SOFT)
        labels = seen_labels(labels, along_axes(seen, working))
    if metal.any():
        bright = along_axes(np.minimum(added, HIGHEST_HU), working)
        labels[bright >= METAL_SEEN_HU] = METAL
        weight[(bright > BLOOM_HU) & (bright < METAL_SEEN_HU)] = 0.3
    if rng.random() < 0.15:
        outside = _outside_field(total.shape, rng)
        total[outside] = LOWEST_HU
        labels[outside] = AIR
    return np.clip(total, LOWEST_HU, HIGHEST_HU), labels, weight


def seen_labels(labels, clear) -> np.ndarray:
    """Labels of what can be seen: `clear` is the HU of the body after all blur, without noise.

    A seam of fat or a gas bubble narrower than a voxel is the mixture that is seen of it; so are the smallest vessels
    of the lungs and the thinnest bones, whose mineral no HU would show. Bone and contrast agent stay otherwise.
    """
    lung = (labels == LUNG).astype(np.float32)
    near_lung = along_axes(lung, [gaussian_matrix(n, 1.5) for n in labels.shape]) > 0.25 if lung.any() else lung > 0
    light = np.where(near_lung & (clear < LUNG_END_HU), LUNG, np.where(clear < AIR_END_HU, AIR, ADIPOSE))
    tissue = np.where(clear < FAT_END_HU, light, SOFT)
    kept = ((labels == BONE) & (clear > LEAST_BONE_HU)) | ((labels == CONTRAST) & (clear > LEAST_CONTRAST_HU))
    return np.where(kept, labels, tissue).astype(np.uint8)


def _scanner_blur(shape, spacing, rng, slice_mm):
    """Matrices of the scanner's blur in all directions, and of its slices along S (None where they are thin)."""
    blur = [gaussian_matrix(n, rng.uniform(0.1, 0.9) / spacing) for n in shape]
    if slice_mm is not None:
        return blur, slice_matrices(shape[0], max(1.0, slice_mm / spacing), 1, 1)[0][: shape[0]]
    thickness = 0.0 if rng.random() < 0.5 else log_uniform(rng, 1.5, 6) / spacing
    if thickness <= 1:
        return blur, None
    average, back = slice_matrices(shape[0], thickness, max(1.0, thickness * rng.uniform(0.6, 1.0)), rng.random())
    return blur, back @ average


def _joined(slices, blur):
    return blur if slices is None else [slices @ blur[0], *blur[1:]]


def _sharper(shape, spacing, rng):
    """An edge-enhancing kernel, or more often none, as a function of an image."""
    if rng.random() > 0.3:
        return lambda image: image
    gain = np.float32(rng.uniform(0.2, 1.0))
    soft = [None, *(gaussian_matrix(n, 2 / spacing) for n in shape[1:])]
    return lambda image: image + gain * (image - along_axes(image, soft))


def _grain(shape, slices, rng):
    """Noise of standard deviation about 1, fine or coarse, the same through a slice's thickness."""
    white = rng.standard_normal(shape, dtype=np.float32)
    width = rng.choice([0.0, rng.uniform(0.3, 1.2)])
    grain = along_axes(white, [slices, gaussian_matrix(shape[1], width), gaussian_matrix(shape[2], width)])
    if rng.random() < 0.12:  # photon starvation: streaks along the body's long diameter
        rays = along_axes(white[::-1], [None, None, gaussian_matrix(shape[2], 8.0)])
        grain = grain / grain.std() + np.float32(rng.uniform(0.3, 2)) * rays / rays.std()
    grain /= grain.std() + np.float32(1e-6)
    if rng.random() < 0.5:
        grain *= np.exp(np.float32(0.4) * smooth_noise(rng, shape, 25.0))
    return grain


def _shading(shape, spacing, rng):
    """Cups and bands of beam hardening and scatter, in HU."""
    amplitude = rng.choice([0.0, rng.uniform(2, 25)], p=[0.5, 0.5])
    field = np.float32(amplitude) * smooth_noise(rng, shape, 60 / spacing)
    if rng.random() < 0.2:
        k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
        angle, at = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8)
        across = (i - at * shape[2]) * np.sin(angle) + (j - at * shape[1]) * np.cos(angle)
        reach = np.exp(-(((k - rng.uniform(0, shape[0])) / rng.uniform(2, 10)) ** 2))
        field = field - np.float32(rng.uniform(10, 80)) * (np.exp(-((across / rng.uniform(2, 8)) ** 2)) * reach)
    return field.astype(np.float32)


def _streaks(dense, spacing, rng):
    """Rays and dark bands around each slice's densest spots; now and then from a source outside the window."""
    shape = dense.shape
    field = np.zeros(shape, np.float32)
    amount = dense.sum((1, 2)) * spacing**2
    sources = []
    if amount.max() > 0:
        i, j = np.arange(shape[2]), np.arange(shape[1])
        total = dense.sum((1, 2)) + 1e-6
        x, y = (dense.sum(1) @ i) / total, (dense.sum(2) @ j) / total
        strength = np.minimum(np.sqrt(amount) * rng.uniform(0.03, 0.4), 200)
        sources.append((x, y, strength))
        k = np.arange(shape[0])
        spot = dense.reshape(shape[0], -1).argmax(1)
        sources.append((spot[k] % shape[2], spot[k] // shape[2], strength * rng.uniform(0, 1)))
    if rng.random() < 0.06:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.2) * shape[2]
        reach = np.exp(-(((np.arange(shape[0]) - rng.uniform(0, shape[0])) / rng.uniform(3, 20)) ** 2))
        x, y = shape[2] / 2 + far * np.cos(angle), shape[1] / 2 + far * np.sin(angle)
        sources.append((np.full(shape[0], x), np.full(shape[0], y), reach * rng.uniform(20, 200)))
    for x, y, strength in sources:
        field += _star(shape, x, y, strength, spacing, rng)
    return field


def _star(shape, x, y, strength, spacing, rng):
    bins = 360
    sharp = rng.uniform(0.6, 4)
    pattern = rng.standard_normal((shape[0], bins)).astype(np.float32)
    for row in range(1, shape[0]):  # streaks go on from slice to slice
        pattern[row] = np.float32(0.6) * pattern[row - 1] + np.float32(0.8) * pattern[row]
    frequency = np.fft.rfftfreq(bins)
    keep = np.exp(-0.5 * (2 * np.pi * sharp * frequency) ** 2)
    keep[0] = 0
    pattern = np.fft.irfft(np.fft.rfft(pattern, axis=1) * keep, bins, axis=1)
    pattern = np.maximum(pattern / pattern.std(), -2.5) + rng.uniform(-0.6, 0.1)
    rows = np.flatnonzero(strength > 1)
    result = np.zeros(shape, np.float32)
    if not len(rows):
        return result
    dx = np.arange(shape[2], dtype=np.float32)[None, None] - np.asarray(x, np.float32)[rows, None, None]
    dy = np.arange(shape[1], dtype=np.float32)[None, :, None] - np.asarray(y, np.float32)[rows, None, None]
    angle = (np.arctan2(dy, dx) * np.float32(bins / (2 * np.pi))).astype(np.int32) % bins
    away = np.sqrt(dx * dx + dy * dy) * np.float32(spacing)
    fall = np.exp(-away / np.float32(rng.uniform(25, 110))) * np.minimum(away / 6, 1)
    result[rows] = (
        strength[rows, None, None]
        * fall
        * np.take_along_axis(pattern[rows].astype(np.float32)[:, None, :], angle.reshape(len(rows), 1, -1), 2).reshape(
            angle.shape
        )
    )
    return result


def _moved(hu, rng):
    """Two positions of a moving body in one image."""
    step = rng.integers(-2, 3, 2)
    share = np.float32(rng.uniform(0.2, 0.5))
    return (1 - share) * hu + share * np.roll(hu, step, axis=(1, 2))


def _outside_field(shape, rng):
    """Where a round field of view, larger or smaller than the body, does not reach; or a straight cut."""
    _, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    if rng.random() < 0.7:
        radius = rng.uniform(0.6, 2.5) * shape[2]
        angle, inside = rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.45) * shape[2]
        x, y = shape[2] / 2 + np.cos(angle) * (radius - inside), shape[1] / 2 + np.sin(angle) * (radius - inside)
        outside = (i - x) ** 2 + (j - y) ** 2 > radius**2
    else:
        edge = rng.integers(shape[2] // 2, shape[2])
        outside = (i > edge) | (j > edge * 2) if rng.random() < 0.5 else (j < shape[1] - edge) | (i < 0)
    return np.broadcast_to(outside, shape)
