"""Networks and bodies for the tests of learning."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.anatomy.volume import Volume
from phantoms import centered


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """For a test file that imports it: networks as small as these are quicker in one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_small_network(path, seed=4, classes=CLASSES):
    """A network of random weights, of all that matters to inference but small."""
    import torch

    from DeepDRRSlicerLib.learning.network import MaterialNet, NetworkConfig
    from DeepDRRSlicerLib.learning.refinement import Refiner
    from DeepDRRSlicerLib.learning.weights import Trained
    from DeepDRRSlicerLib.training.tensor_files import write_trained

    torch.manual_seed(seed)
    network = MaterialNet(NetworkConfig(detail=4, widths=(8, 8), blocks=1))
    with torch.no_grad():  # the blocks begin as nothing
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return write_trained(path, Trained(network, Refiner(), 2.0, classes))


def lumpy_ct(shape=(20, 28, 36), step=(1.3, 1.7, 2.4), rotation=None):
    """Air around a body with fat, muscle, bone and noise, without any symmetry."""
    rng = np.random.default_rng(11)
    k, j, i = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    hu = np.full(shape, -1000.0)
    hu[(0.3 * k**2 + j**2 + i**2) < 0.8] = -90
    hu[(0.3 * k**2 + (j + 0.1) ** 2 + i**2) < 0.6] = 50
    hu[(0.2 * k**2 + (j - 0.2) ** 2 + (i + 0.3) ** 2) < 0.06] = 700
    hu += rng.normal(0, 12, shape)
    return Volume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), centered(shape, step, rotation))
