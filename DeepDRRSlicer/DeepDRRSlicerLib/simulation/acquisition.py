"""How one picture is taken: by which machine, with which technique, through which shutters and grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.grid import Grid, load_grid
from DeepDRRSlicerLib.simulation.scatter import ScatterModel
from DeepDRRSlicerLib.simulation.technique import Technique, check_limits


@dataclass(frozen=True)
class Automatic:
    """Exposure by the brightness control of the device. mode: one of its exposure modes ("fluoro", "spot", "cine").

    kvp: a tube voltage that is kept while the load follows the patient; None leaves both to the control.
    pulse_rate: pulses/s; None is the mode's default. heel: whether the heel effect of the anode is simulated.
    """

    mode: str
    kvp: int | None = None
    pulse_rate: float | None = None
    heel: bool = False


@dataclass(frozen=True)
class Acquisition:
    """Everything about a picture but the patient and the view.

    device: its tube (anode, focal spot, collimator) is used; its limits hold for an Automatic technique.
    collimation: mm at the detector; None leaves the shutters open. grid: None is the one of the device.
    seed, frame: of the noise, which is the same for the same pair; a seed of None is a picture without noise.
    distortion: whether the detector's pincushion is applied. scatter: the way to find it; None leaves it out.
    """

    device: Device
    detector: Detector
    technique: Technique | Automatic
    collimation: Collimation | None = None
    grid: Grid | None = None
    seed: int | None = None
    frame: int = 0
    distortion: bool = False
    scatter: ScatterModel | None = None

    def __post_init__(self):
        if self.grid is None:
            object.__setattr__(self, "grid", load_grid(self.device.grid))

    @property
    def grid_in_use(self) -> Grid:
        """The grid, which is there once the acquisition is made."""
        assert self.grid is not None
        return self.grid

    def check_device(self) -> None:
        """Raises InputError where the device's generator cannot do what the technique asks."""
        if isinstance(self.technique, Technique):
            check_limits(self.technique, self.device)
        else:
            self.device.exposure_mode(self.technique.mode)

    def to_dict(self) -> dict:
        """Plain data for metadata and for the hash of the settings."""
        technique = self.technique.to_dict() if isinstance(self.technique, Technique) else asdict(self.technique)
        return {
            "technique": technique,
            "tube": {
                "anode_angle": self.device.anode_angle,
                "anode_direction": list(self.device.anode_direction),
                "focal_spot_mm": self.device.focal_spot,
                "collimator_distance_mm": self.device.collimator_distance,
            },
            "collimation_mm": self.collimation and asdict(self.collimation),
            "grid": asdict(self.grid_in_use),
            "detector": asdict(self.detector),
            "noise": None if self.seed is None else {"seed": self.seed, "frame": self.frame},
            "distortion": self.distortion,
            "scatter": self.scatter and {"model": self.scatter.name, "key": self.scatter.key},
        }
