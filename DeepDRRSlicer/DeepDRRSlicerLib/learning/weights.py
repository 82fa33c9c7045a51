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

SHIPPED = "decomposition.safetensors"


@dataclass(frozen=True)
class Trained:
    """A network and how it was trained to be used.

    spacing: mm of its grid. classes: names, in the order of its answer.
    """

    network: MaterialNet
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
        network = network_of(header["network"], tensors)
        return Trained(network, float(header["spacing"]), tuple(header["classes"]))
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


def shipped() -> Path:
    """The weights that come with the program."""
    return Path(str(resources.files("DeepDRRSlicerLib") / "data" / "networks" / SHIPPED))
