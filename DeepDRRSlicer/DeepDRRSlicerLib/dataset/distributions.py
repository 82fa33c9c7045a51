"""What a dataset draws from: named distributions, and a generator for each quantity of each sample.

The generator of a quantity is made from (seed, sample, name of the quantity) alone: samples can be made in any order,
by any number of workers, and a quantity that is added to a job does not shift the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# A truncated normal is drawn by its inverse distribution; less than this inside its range is a mistake in the job.
LEAST_SHARE = 1e-6


def generator(seed: int, index: int, quantity: str) -> np.random.Generator:
    """The random numbers of one quantity of one sample. Philox: J. K. Salmon et al., SC'11."""
    digest = hashlib.sha256(f"{seed}/{index}/{quantity}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8")))


@dataclass(frozen=True)
class Constant:
    """Always the same number."""

    value: float

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest number that can be drawn."""
        return self.value, self.value

    def draw(self, random: np.random.Generator) -> float:
        """One number."""
        return self.value

    def describe(self) -> str:
        """In words, for data sheets."""
        return f"{self.value:g}"


@dataclass(frozen=True)
class Uniform:
    """Equally likely between two borders."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def draw(self, random: np.random.Generator) -> float:
        return float(np.clip(self.low + (self.high - self.low) * random.random(), self.low, self.high))

    def describe(self) -> str:
        return f"uniform from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """The logarithm is uniform between the logarithms of two borders above 0."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def draw(self, random: np.random.Generator) -> float:
        return float(np.clip(self.low * (self.high / self.low) ** random.random(), self.low, self.high))

    def describe(self) -> str:
        return f"log-uniform from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Normal:
    """Normal with mean and sd before it is truncated to low..high (not clipped: nothing piles up at the borders)."""

    mean: float
    sd: float
    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def share(self) -> tuple[float, float]:
        """The distribution's value at both borders, of the mirrored one where they lie above the mean (precision)."""
        a, b = (self.low - self.mean) / self.sd, (self.high - self.mean) / self.sd
        return (_cdf(-b), _cdf(-a)) if a > 0 else (_cdf(a), _cdf(b))

    def draw(self, random: np.random.Generator) -> float:
        first, last = self.share
        level = NormalDist().inv_cdf(min(max(first + (last - first) * random.random(), 1e-300), 1 - 1e-16))
        value = self.mean + self.sd * (-level if self.low > self.mean else level)
        return float(np.clip(value, self.low, self.high))

    def describe(self) -> str:
        return f"normal {self.mean:g} +- {self.sd:g}, from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of some numbers, with weights that need not add up to 1."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def bounds(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def draw(self, random: np.random.Generator) -> float:
        return self.values[pick(self.weights, random)]

    def describe(self) -> str:
        total = sum(self.weights)
        return ", ".join(f"{value:g} ({weight / total:.0%})" for value, weight in zip(self.values, self.weights))


Distribution = Constant | Uniform | LogUniform | Normal | Choice


def pick(weights, random: np.random.Generator) -> int:
    """An index, as likely as its weight says."""
    steps = np.cumsum(np.asarray(weights, dtype=np.float64))
    return int(min(np.searchsorted(steps, steps[-1] * random.random(), side="right"), np.flatnonzero(weights)[-1]))


def _cdf(x: float) -> float:
    return NormalDist().cdf(x)
