"""From the panel's choices to what a job file says: views, technique, pictures, outputs. No file is looked at."""

from DeepDRRSlicerLib.dataset.job_fields import FORMAT
from DeepDRRSlicerLib.dataset.materials import THRESHOLD, automatic
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION
from DeepDRRSlicerLib.geometry.presets import PRESETS
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.scatter import MONTE_CARLO, NONE, chosenScatter, photonsOf
from DeepDRRSlicerLib.simulation.technique import MANUAL

CONE, VIEWS, BOX, GRID = "cone", "views", "box", "grid"
PLANS = (CONE, VIEWS, BOX, GRID)
ISOCENTER, LANDMARKS, SEGMENTS = "isocenter", "landmarks", "segments"
CENTRES = (ISOCENTER, LANDMARKS, SEGMENTS)
# parameter of the panel -> writer of the job, and the package that it needs beside what Slicer and the projector have
FORMATS = {
    "datasetCoco": ("coco", None),
    "datasetWebDataset": ("webdataset", None),
    "datasetDicom": ("dicom", "pydicom"),
    "datasetHdf5": ("hdf5", "h5py"),
}
PATIENT = "patient"  # not the node's name, which may be a person's


def _uniform(low, high):
    return {"distribution": "uniform", "range": [low, high]}


# What "vary the picture" means; the panel's tool tip says the same in words.
RANDOM_PICTURE = {
    "centre": {"distribution": "normal", "mean": 4.1, "sd": 0.4, "range": [3.1, 5.1]},
    "width": _uniform(4.6, 7.0),
    "contrast": _uniform(0.8, 1.25),
    "gamma": {"distribution": "log-uniform", "range": [0.75, 1.35]},
    "blur": _uniform(0.0, 1.2),
    "inverted": 0.1,
    "shutter": {
        "probability": 0.3,
        "shapes": ["rectangle", "ellipse", "octagon"],
        "width": _uniform(0.7, 1.0),
        "height": _uniform(0.7, 1.0),
    },
    "overlays": {"probability": 0.3, "count": _uniform(1, 4)},
}
RANDOM_DOSE = {"distribution": "log-uniform", "range": [0.5, 2.0]}


def jobSettings(parameters, name):
    """The job's JSON but for its patients, files and machines. Raises InputError for choices that make no job."""
    outputs = [{"writer": writer} for choice, (writer, _) in FORMATS.items() if getattr(parameters, choice)]
    for output in outputs:
        if output["writer"] == "dicom" and parameters.patientPosition != DEFAULT_POSITION:
            output["patient_position"] = parameters.patientPosition
    if not outputs:
        raise InputError("No file format is chosen; choose at least one under Formats.")
    if len(name) > 100:
        raise InputError("The folder's name is longer than 100 letters; choose a shorter one.")
    data = {
        "format": FORMAT,
        "name": name,
        "licence": parameters.datasetLicence,
        "seed": parameters.datasetSeed,
        "image": _image(parameters),
        "technique": _technique(parameters),
        "plan": _plan(parameters),
        "outputs": outputs,
        "materials": THRESHOLD if parameters.materials == THRESHOLD else automatic(),
    }
    if parameters.keepCouch:
        data["keep_couch"] = True
    scatter = chosenScatter(parameters)
    if scatter != NONE:
        data["scatter"] = scatter
    if scatter == MONTE_CARLO:
        data["histories"] = photonsOf(parameters)
    if parameters.datasetPlan != GRID:
        data["count"] = parameters.datasetCount
    if parameters.datasetRandomise:
        data["picture"] = RANDOM_PICTURE
        data["technique"]["dose"] = RANDOM_DOSE
    return data


def reachableViews(parameters):
    """Names of the standard views that the device reaches, missed by as much as the parameter node says."""
    low, high = load_device(parameters.device).joint("secondary_angle").limits
    error = parameters.datasetSecondaryRange
    return [name for name, (_, secondary) in PRESETS.items() if low <= secondary - error <= secondary + error <= high]


def gridAngles(parameters):
    """(primary angles, secondary angles) of a grid about the present view, in degrees."""
    step = parameters.datasetStep
    return tuple(
        [_tidy(middle + n * step) for n in range(-int(reach / step + 1e-9), int(reach / step + 1e-9) + 1)]
        for middle, reach in (
            (parameters.primaryAngle, parameters.datasetPrimaryRange),
            (parameters.secondaryAngle, parameters.datasetSecondaryRange),
        )
    )


def _plan(parameters):
    primary, secondary = _tidy(parameters.primaryAngle), _tidy(parameters.secondaryAngle)
    reach, other = _tidy(parameters.datasetPrimaryRange), _tidy(parameters.datasetSecondaryRange)
    if parameters.datasetPlan == CONE:
        plan = {"kind": "cones", "cones": [{"axis": [primary, secondary], "half_angle": reach}]}
    elif parameters.datasetPlan == VIEWS:
        names = reachableViews(parameters)
        if not names:
            raise InputError("The C-arm reaches no standard view with so large an error; lower the range of angles.")
        plan = {"kind": "views", "views": names, "primary_error": _error(reach)}
        plan["secondary_error"] = _error(other)
    elif parameters.datasetPlan == BOX:
        plan = {"kind": "box", "primary_angle": _about(primary, reach), "secondary_angle": _about(secondary, other)}
    else:
        columns, rows = gridAngles(parameters)
        plan = {"kind": "grid", "primary_angles": columns, "secondary_angles": rows}
    return plan | {"centre": _centre(parameters), "sid": _tidy(parameters.sid)}


def _centre(parameters):
    if parameters.datasetCentre == ISOCENTER:
        point = (parameters.isocenterR, parameters.isocenterA, parameters.isocenterS)
        centre = {"on": "point", "point": [_tidy(x) for x in point]}
    else:
        centre = {"on": parameters.datasetCentre}
        node = getattr(parameters, "landmarks" if parameters.datasetCentre == LANDMARKS else "segmentation")
        if node is None:
            raise InputError(f"No {parameters.datasetCentre} are chosen; choose them under Patient, or another centre.")
    return centre | {"offset": [_about(0.0, _tidy(parameters.datasetOffset))] * 3}


def _technique(parameters):
    technique = {"mode": parameters.exposureMode, "noise": parameters.noise}
    if parameters.exposureMode == MANUAL:
        technique |= {"kvp": round(parameters.kvp), "mas": _tidy(parameters.mas)}
    return technique


def _image(parameters):
    detector = load_detector(load_device(parameters.device).detector)
    size, pitch = detector.pixel_grid(binning=parameters.binning or None)
    return {"size": [int(n) for n in size], "pitch": float(pitch)}


def _about(middle, reach):
    return _uniform(_tidy(middle - reach), _tidy(middle + reach)) if reach else middle


def _error(reach):
    """How an operator misses an angle: mostly by little, never by more than so many degrees."""
    return {"distribution": "normal", "mean": 0.0, "sd": reach / 2, "range": [-reach, reach]} if reach else 0.0


def _tidy(value):
    """Without the last bits that sliders leave."""
    return round(float(value), 6)
