"""Networks as safetensors files: the weights, and as JSON in the header all that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from DeepDRRSlicerLib.errors import InputError

if TYPE_CHECKING:
    import torch

    from DeepDRRSlicerLib.learning.network import MaterialNet
    from DeepDRRSlicerLib.learning.refinement import Refiner

SHIPPED = "decomposition.safetensors"
_REFINER = "refiner."  # before the names of its tensors


@dataclass(frozen=True)
class Trained:
    """A network and how it was trained to be used.

    spacing: mm of its grid. classes: names, in the order of its answer. refiner: what brings its answer to finer grids.
    """

    network: MaterialNet
    refiner: Refiner
    spacing: float
    classes: tuple[str, ...]


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and header of a safetensors file that this program wrote. Raises InputError for any other file."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file of weights '{path}'; check the path, or install the program again.")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})["header"])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path.name}' holds no weights of this program; choose a safetensors file that it wrote (pickled "
            "checkpoints, as .pt, are never opened, because they can run code)."
        ) from error


def load_trained(path: Path) -> Trained:
    """The network of a file of weights, on the CPU, in float32. Raises InputError."""
    tensors, header = read_tensors(path)
    try:
        coarse, fine = split(tensors)
        network = network_of(header["network"], coarse)
        return Trained(network, refiner_of(header["refiner"], fine), float(header["spacing"]), tuple(header["classes"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The weights in '{Path(path).name}' do not fit this version of the program; take those that came with it."
        ) from error


def network_of(config: dict, tensors: Mapping[str, torch.Tensor]) -> MaterialNet:
    """A network with these weights. Raises TypeError, ValueError or RuntimeError where they do not fit."""
    import torch

    from DeepDRRSlicerLib.learning.network import MaterialNet, NetworkConfig

    with torch.device("meta"):  # takes no memory, however large a network the header asks for
        network = MaterialNet(NetworkConfig.from_dict(config))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True, assign=True)
    return network.eval()


def split(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Tensors of a file of weights: those of the network, and those of the refiner."""
    fine = {name.removeprefix(_REFINER): tensor for name, tensor in tensors.items() if name.startswith(_REFINER)}
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_REFINER)}, fine


def joined(network: MaterialNet, refiner: Refiner) -> dict[str, torch.Tensor]:
    """What `split` takes apart."""
    return network.state_dict() | {_REFINER + name: tensor for name, tensor in refiner.state_dict().items()}


def refiner_of(config: dict, tensors: Mapping[str, torch.Tensor]) -> Refiner:
    """A refiner with these weights. Raises TypeError, ValueError or RuntimeError where they do not fit."""
    import torch

    from DeepDRRSlicerLib.learning.refinement import Refiner, RefinerConfig

    with torch.device("meta"):
        refiner = Refiner(RefinerConfig.from_dict(config))
    refiner.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True, assign=True)
    return refiner.eval()


def shipped() -> Path:
    """The weights that come with the program."""
    return Path(str(resources.files("DeepDRRSlicerLib") / "data" / "networks" / SHIPPED))
