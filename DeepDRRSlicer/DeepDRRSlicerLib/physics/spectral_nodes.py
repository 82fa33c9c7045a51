"""Few energies in place of a spectrum: a quadrature for what a detector takes in behind an object.

A sum over some hundred energy bins in every pixel costs more than the projection itself, though the exponentials in it
are nearly the same function. About ten of the bins, each counted more than once, do as well. They are chosen, as in a
generalised Gauss quadrature, by non-negative least squares over sample objects (C. L. Lawson and R. J. Hanson, Solving
least squares problems, 1974, chapter 23), one bin at a time, until the sums are right for all of many other objects.
As no bin counts negatively, the sum keeps what the spectrum has: it falls with all matter added, and the beam hardens.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.physics.materials import mass_attenuation

TOLERANCE = 1e-4  # relative, of each sum behind every object that is judged
LOWEST_TRANSMISSION = 1e-6  # of these objects; behind thicker ones the error grows

_FITTED, _JUDGED = 60, 200  # objects per material
_OPEN_WEIGHT = 100.0  # of no object at all in the fit: there the sums are right to about 1e-6
_MOST_NODES = 40  # more would save little


def spectral_nodes(materials: tuple[str, ...], energies: np.ndarray, weights: np.ndarray):
    """(bins, counts), each (k,): the bins to sum over, and how often each of them counts.

    energies: (n,) keV of the bins. weights: (q, n), what each bin adds to each of q sums without an object, not
    negative. The sums are within TOLERANCE of those over all bins for objects of `materials` (one or more) that
    transmit LOWEST_TRANSMISSION or more of the first sum. Where no few bins reach that, all are returned.
    """
    energies, weights = np.asarray(energies, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    return _nodes(tuple(materials), energies.tobytes(), weights.tobytes())


@lru_cache(maxsize=64)
def _nodes(materials: tuple[str, ...], energy_bytes: bytes, weight_bytes: bytes):
    energies = np.frombuffer(energy_bytes)
    weights = np.frombuffer(weight_bytes).reshape(-1, len(energies))
    coefficients = np.array([mass_attenuation(material, energies) for material in materials])
    random = np.random.default_rng(0)
    fitted, judged = (
        _shares(coefficients, weights, _objects(coefficients, weights[0], per_material, random))
        for per_material in (_FITTED, _JUDGED)
    )
    fitted[:, 0] *= _OPEN_WEIGHT
    bins, counts = _least_squares(fitted.reshape(-1, len(energies)), judged.reshape(-1, len(energies)))
    bins.flags.writeable = counts.flags.writeable = False
    return bins, counts


def _objects(coefficients, weights, per_material, random) -> np.ndarray:
    """(s, m) g/cm2: the first is nothing; then each material alone and mixtures, down to LOWEST_TRANSMISSION."""
    m = len(coefficients)
    alone = np.tile(np.eye(m), (per_material // 4, 1))
    mixed = random.dirichlet(np.full(m, 0.5), m * per_material - len(alone))
    directions = np.concatenate([alone, mixed]) / (coefficients @ weights / weights.sum())
    exponents = np.einsum("sm,mn->sn", directions, coefficients)
    attenuation = random.random(len(directions)) * -np.log(LOWEST_TRANSMISSION)
    # -ln(transmission) is concave along a path: Newton's steps from 0 approach the length from below.
    length = np.zeros(len(directions))
    for _ in range(4):
        passing = weights * np.exp(-exponents * length[:, None])
        total = passing.sum(1)
        length += (attenuation + np.log(total / weights.sum())) * total / (passing * exponents).sum(1)
    return np.concatenate([np.zeros((1, m)), directions * length[:, None]])


def _shares(coefficients, weights, objects) -> np.ndarray:
    """(q, s, n) share of each bin in each sum behind each object; they add up to 1."""
    parts = weights[:, None] * np.exp(-np.einsum("sm,mn->sn", objects, coefficients))
    return parts / parts.sum(-1, keepdims=True)


def _least_squares(fitted: np.ndarray, judged: np.ndarray):
    """(bins, counts) with fitted[:, bins] @ counts nearest to fitted.sum(1), none negative, and judged likewise.

    The algorithm of Lawson and Hanson, ended as soon as judged[:, bins] @ counts is within TOLERANCE of 1.
    """
    columns, target = np.ascontiguousarray(fitted.T), fitted.sum(1)
    judged = np.ascontiguousarray(judged.T)
    bins, counts, residual = np.empty(0, dtype=np.intp), np.empty(0), target
    while len(bins) < _MOST_NODES:
        gain = np.einsum("ns,s->n", columns, residual)
        gain[bins] = -np.inf
        added = int(np.argmax(gain))
        if gain[added] <= 0:
            break
        bins, counts = np.append(bins, added), np.append(counts, 0.0)
        while True:
            wanted, residual = _solved(columns[bins], target)
            if wanted.min() > 0:
                break
            # Go only as far as the first count falls to 0, and do without that bin.
            falling = wanted <= 0
            reach = (counts[falling] / (counts[falling] - wanted[falling])).min()
            counts = counts + reach * (wanted - counts)
            kept = ~(falling & (counts <= 1e-12 * counts.max()))
            bins, counts = bins[kept], counts[kept]
        counts = wanted
        if np.abs(np.einsum("ns,n->s", judged[bins], counts) - 1).max() <= TOLERANCE:
            order = np.argsort(bins)
            return bins[order], counts[order]
    every = np.flatnonzero(judged.max(1) > 0)
    return every, np.ones(len(every))


def _solved(columns: np.ndarray, target: np.ndarray):
    """(counts (k,), target - counts @ columns) of ordinary least squares, by Gram and Schmidt as modified.

    Written in plain sums, as the rest here: the threads of a linear algebra library cost such small problems many times
    their time, and could change the last digit.
    """
    rest = np.vstack([columns, target])
    triangle = np.zeros((len(columns), len(rest)))
    for j in range(len(columns)):
        triangle[j, j] = np.sqrt(np.einsum("s,s->", rest[j], rest[j]))
        unit = rest[j] / triangle[j, j]
        triangle[j, j + 1 :] = np.einsum("ks,s->k", rest[j + 1 :], unit)
        rest[j + 1 :] -= triangle[j, j + 1 :, None] * unit
    return np.linalg.solve(triangle[:, :-1], triangle[:, -1]), rest[-1]
