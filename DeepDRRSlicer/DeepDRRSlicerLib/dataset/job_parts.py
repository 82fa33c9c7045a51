"""What a job is made of, as data."""

from __future__ import annotations

from dataclasses import dataclass

from DeepDRRSlicerLib.dataset.distributions import Distribution

Triple = tuple[Distribution, Distribution, Distribution]


@dataclass(frozen=True)
class PatientFiles:
    """Files relative to the job. series: of a DICOM folder, as in read_ct. materials: segments that are materials."""

    name: str
    ct: str
    series: str | int | None
    segmentation: str | None
    landmarks: str | None
    materials: str | None


@dataclass(frozen=True)
class LabelChoice:
    """Names of what is labelled; None: everything that a patient has."""

    segments: tuple[str, ...] | None
    landmarks: tuple[str, ...] | None


@dataclass(frozen=True)
class ImageGrid:
    """size: (rows, columns); pitch: mm. None: the detector's."""

    size: tuple[int, int] | None
    pitch: float | None


@dataclass(frozen=True)
class TechniqueRanges:
    """mode: manual, or the exposure control's. kvp in kV, mas in mAs, filtration total mm by material; None: device's.

    dose: factor on the mAs (manual) or on the dose that the exposure control aims at. noise: whether there is any.
    """

    mode: str
    kvp: Distribution | None
    mas: Distribution | None
    filtration: dict[str, float] | None
    dose: Distribution
    noise: bool


@dataclass(frozen=True)
class Shutters:
    """mm at the detector from the middle of the image to each edge of the open field."""

    left: Distribution
    right: Distribution
    top: Distribution
    bottom: Distribution


@dataclass(frozen=True)
class Centre:
    """What stands at the isocentre. on: ct, point, landmarks or segments (one of them, drawn for each sample)."""

    on: str
    point: tuple[float, float, float] | None
    names: tuple[str, ...] | None
    offset: Triple


@dataclass(frozen=True)
class Visible:
    """A segment ("*": every labelled one) or a landmark that must be in the picture, by at least a part, 0 to 1."""

    segment: str | None
    landmark: str | None
    at_least: float


@dataclass(frozen=True)
class PatientPose:
    """rotation: degrees about the patient's R, A and S axes through the centre, one after the other.

    translation: mm along R, A, S.
    """

    rotation: Triple
    translation: Triple


@dataclass(frozen=True)
class Around:
    """What every plan has beside its angles. table: mm that the table carries the patient to the right, front, head.

    tries: views drawn for a sample before its demands on visibility count as impossible.
    """

    centre: Centre
    sid: Distribution | None
    sod: Distribution | None
    patient: PatientPose
    table: Triple
    visible: tuple[Visible, ...]
    tries: int


@dataclass(frozen=True)
class Grid:
    """Every combination of the angles in degrees, the primary ones first."""

    primary_angles: tuple[float, ...]
    secondary_angles: tuple[float, ...]
    around: Around


@dataclass(frozen=True)
class Box:
    """Angles drawn independently."""

    primary_angle: Distribution
    secondary_angle: Distribution
    around: Around


@dataclass(frozen=True)
class Cone:
    """Directions evenly over the cap within half_angle degrees of an axis (primary, secondary)."""

    axis: tuple[float, float]
    half_angle: float
    weight: float


@dataclass(frozen=True)
class Cones:
    """One of some cones, by weight."""

    cones: tuple[Cone, ...]
    around: Around


@dataclass(frozen=True)
class Views:
    """One of the standard views by name, missed by an operator's error in degrees."""

    views: tuple[str, ...]
    primary_error: Distribution
    secondary_error: Distribution
    around: Around


@dataclass(frozen=True)
class Waypoint:
    """A pose of a trajectory. isocenter: RAS mm, None: the plan's centre. sid: mm, None: the plan's."""

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float] | None
    sid: float | None


@dataclass(frozen=True)
class Trajectory:
    """Frames evenly along straight lines between the waypoints, in angles and mm; each leg takes the same time."""

    waypoints: tuple[Waypoint, ...]
    frames: int
    around: Around


Plan = Grid | Box | Cones | Views | Trajectory


@dataclass(frozen=True)
class ToolPlan:
    """A tool and where it may be. matrix: 4x4 from the mesh file to the patient; then it is turned and moved.

    pivot: what it turns about, RAS mm or the name of a landmark; None: the middle of its vertices. at_pivot: whether
    its middle is first moved there. rotation: degrees about R, A and S, one after the other. translation: mm.
    """

    name: str
    mesh: str
    material: str
    density: float | None
    matrix: tuple[tuple[float, ...], ...] | None
    probability: float
    pivot: tuple[float, float, float] | str | None
    at_pivot: bool
    rotation: Triple
    translation: Triple


@dataclass(frozen=True)
class PictureShutter:
    """A black border drawn over the picture. width, height: of the opening, as parts of the image's."""

    probability: float
    shapes: tuple[str, ...]
    width: Distribution
    height: Distribution


@dataclass(frozen=True)
class Overlays:
    """Markers and writing, as machines and readers put on pictures."""

    probability: float
    count: Distribution


@dataclass(frozen=True)
class PictureRanges:
    """How pictures differ. centre, width: of the window, in -ln(transmission), or transmission for a linear curve.

    contrast: factor about middle grey. gamma: power of the grey value. blur: sigma in pixels. inverted: probability.
    """

    curve: str
    centre: Distribution
    width: Distribution
    contrast: Distribution
    gamma: Distribution
    blur: Distribution
    inverted: float
    shutter: PictureShutter
    overlays: Overlays
