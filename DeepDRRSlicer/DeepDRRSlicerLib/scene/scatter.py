"""Scatter in the scene's pictures: what is chosen, what live pictures use, and what a reference image follows."""

from pathlib import Path

import DeepDRRSlicerLib
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_choice import SCATTER, scatter_model
from DeepDRRSlicerLib.learning.scatter_network import SHIPPED
from DeepDRRSlicerLib.simulation.reference import Wanted

NONE, NETWORK, MONTE_CARLO = CHOICES = SCATTER
PHOTONS, ERROR = LIMITS = ("photons", "error")
_WEIGHTS = Path(DeepDRRSlicerLib.__file__).parent / "data" / "networks" / SHIPPED
_MILLION = 1_000_000
_PER_CENT = 100.0
_SEED = 0


def networkMissing():
    """None where the scatter network can run, else a sentence on what it lacks. Loads nothing."""
    if not _WEIGHTS.is_file():
        return "The scatter network's weights did not come with this program."
    return None


def chosenScatter(parameters):
    """One of CHOICES; where nothing was chosen, the network if it is there."""
    return parameters.scatter or (NETWORK if networkMissing() is None else NONE)


def liveScatter(parameters):
    """What previews and pictures that are taken use: NETWORK or NONE. Following photons takes too long for them."""
    chosen = chosenScatter(parameters)
    if chosen != MONTE_CARLO:
        return chosen
    return NETWORK if networkMissing() is None else NONE


def scatterOf(parameters):
    """The ScatterModel of such pictures, or None. Raises InputError where the network was chosen and cannot run."""
    chosen, missing = liveScatter(parameters), networkMissing()
    if chosen == NONE:
        return None
    if chosen == NETWORK and missing is not None:
        raise InputError(f"{missing} Choose another way under X-ray, Scatter.")
    return scatter_model(chosen)


def wantedPhotons(parameters):
    """What a reference image follows."""
    if parameters.scatterLimit == ERROR:
        return Wanted(error=parameters.scatterError / _PER_CENT)
    return Wanted(photons=photonsOf(parameters))


def photonsOf(parameters):
    """How many photons are followed for each picture of a dataset."""
    return round(parameters.scatterPhotons * _MILLION)


def followedPhotons(photons, tell):
    """The Monte Carlo of so many photons, as reference_image wants it."""
    return scatter_model(MONTE_CARLO, photons, _SEED, None, tell)
