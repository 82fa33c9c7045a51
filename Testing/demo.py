"""`make demo`: a CT in, a C-arm in the scene, fluoroscopy in a slice view, labels on disk."""

import argparse
import ast
import ctypes.util
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer"), str(ROOT / "Testing"), str(ROOT / "Utilities")]

VIEWS = {"AP": (0.0, 0.0), "LAO 30": (30.0, 0.0), "Cranial 25": (0.0, 25.0)}
LANDMARK_SEGMENTS = ("vertebrae_T5", "vertebrae_T8", "vertebrae_T11", "heart", "aorta", "sternum", "liver", "spleen")
SYSTEM_PACKAGES = "libgl1 libegl1 libxkbcommon0 (Debian and Ubuntu: sudo apt-get install libgl1 libegl1 libxkbcommon0)"


def parameter_node(**choices):
    """What the module's parameter node holds, without the application that would store it: its defaults, and these."""
    module = ast.parse((ROOT / "DeepDRRSlicer" / "DeepDRRSlicer.py").read_text(encoding="utf-8"))
    members = next(n.body for n in module.body if getattr(n, "name", "") == "DeepDRRSlicerParameterNode")
    fields = [entry for entry in members if isinstance(entry, ast.AnnAssign)]
    defaults = {field.target.id: field.value and ast.literal_eval(field.value) for field in fields}
    return SimpleNamespace(**(defaults | choices))


class Steps:
    """Says what is being done, and in the end how long each step took."""

    def __init__(self):
        self.times = {}

    @contextmanager
    def __call__(self, name):
        print(f"{name} ...", end=" ", flush=True)
        start = time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - start
        print(f"{self.times[name]:.1f} s", flush=True)


def run(ct_path, series, output, steps):
    """Does the whole job; returns the files written."""
    import slicer

    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from DeepDRRSlicerLib.dataset.export_view import export_view
    from DeepDRRSlicerLib.scene.fluoroscopy import Fluoroscopy
    from DeepDRRSlicerLib.scene.patient import showPatient
    from DeepDRRSlicerLib.scene.threed_view import frameCArm
    from DeepDRRSlicerLib.scene.xray_layout import VIEW_NAME, installLayout
    from DeepDRRSlicerLib.scene.xray_view import showInView
    from host.core import saveScene
    from host.views import OffscreenSliceView, OffscreenThreeDView

    sample = None
    if ct_path is None:
        from fetch_sample_ct import fetch

        with steps("Fetching the sample CT (34 MB, once)"):
            sample = fetch()
    with steps("Reading the CT"):
        ct = read_ct(sample["ct"]) if sample else read_ct(ct_path, series)
        node = slicer.util.addVolumeFromArray(ct.array, ijkToRAS=ct.ijk_to_ras, name="CT")
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
    with steps("Reading segments and landmarks"):
        segments, landmarks = labels_of(ct, sample)
        add_landmarks_to_scene(landmarks)

    output.mkdir(parents=True, exist_ok=True)
    files = []
    installLayout()
    xray_view, threed_view = OffscreenSliceView(VIEW_NAME, (800, 800)), OffscreenThreeDView("1", (1280, 960))
    ct_views = {name: OffscreenSliceView(name, (400, 400)) for name in ("Red", "Green", "Yellow")}
    r, a, s = (float(x) for x in ct.center_ras)
    parameters = parameter_node(ct=node, isocenterR=r, isocenterA=a, isocenterS=s, exposureMode="spot")
    fluoroscopy = Fluoroscopy()
    try:
        with steps("Showing the patient"):
            showPatient(node)
        for name, (parameters.primaryAngle, parameters.secondaryAngle) in VIEWS.items():
            folder = output / name.replace(" ", "_")
            with steps(f"Simulating {name}"):
                fluoroscopy.moveCArm(parameters)
                radiograph = fluoroscopy.simulate(parameters)
            with steps(f"Labelling and writing {name}"):
                files += export_view(folder, radiograph, segments, landmarks)
                files.append(write_png(output / f"{folder.name}.png", xray_view.render()))
            if radiograph.warning:
                print(f"  {radiograph.warning}")
        with steps("Drawing the scene"):
            parameters.primaryAngle, parameters.secondaryAngle = VIEWS["LAO 30"]
            fluoroscopy.moveCArm(parameters)
            radiograph = fluoroscopy.simulate(parameters)
            frameCArm((r, a, s))
            files.append(write_png(output / "scene.png", threed_view.render()))
        with steps("Saving the scene"):
            store_parameters(parameters)
            # A layout that every Slicer knows, with or without this extension, whose panel brings its own.
            showInView(ct_views["Green"].logic, parameters.xray, radiograph.beam)
            installLayout().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
            saveScene(output / "scene.mrb")
            files.append(output / "scene.mrb")
    finally:
        fluoroscopy.close()
        for view in (xray_view, threed_view, *ct_views.values()):
            view.close()
    return files


def labels_of(ct, sample):
    """The sample CT's own segments, and landmarks within some; of any other CT its bone, by threshold."""
    import numpy as np

    from DeepDRRSlicerLib.anatomy.landmarks import Landmark
    from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
    from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points

    if sample is None:
        bone = Segment("above 300 HU", Volume((ct.array > 300).astype(np.uint8), ct.ijk_to_ras), (0.9, 0.85, 0.7))
        return [bone], [Landmark("centre of the CT", tuple(ct.center_ras))]
    segments = read_segmentation(sample["labels"], sample["names"])
    landmarks = []
    for segment in segments:
        if segment.name in LANDMARK_SEGMENTS:
            voxels = np.argwhere(segment.mask.array)
            # The middle of a curved structure may lie outside it: take the voxel of the structure that is nearest.
            middle = voxels[np.linalg.norm(voxels - voxels.mean(axis=0), axis=1).argmin()][::-1]
            landmarks.append(Landmark(segment.name, tuple(transform_points(segment.mask.ijk_to_ras, middle))))
    return segments, landmarks


def add_landmarks_to_scene(landmarks):
    """A point list node, so that the saved scene holds the landmarks."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Landmarks")
    node.CreateDefaultDisplayNodes()
    for landmark in landmarks:
        node.AddControlPoint(*landmark.position_ras, landmark.name)
    node.GetDisplayNode().SetVisibility(False)


def store_parameters(parameters):
    """The module's parameter node as Slicer writes it, so that the panel finds the scene as it was left."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "DeepDRRSlicer")
    node.SetSingletonTag("DeepDRRSlicer")
    node.SetModuleName("DeepDRRSlicer")
    node.SetAttribute("ModuleName", "DeepDRRSlicer")
    for name, value in vars(parameters).items():
        if name in ("ct", "xray"):
            node.SetNodeReferenceID(name, value.GetID())
        else:
            node.SetParameter(name, str(value))
    node.SetNodeReferenceID("centeredCT", parameters.ct.GetID())


def write_png(path, rgb):
    """Writes a picture (rows, columns, 3) and returns its path."""
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(path))
    return path


def system_library_missing():
    """What cannot be drawn without, on a Linux machine without a display."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return None
    return next((name for name in ("GL", "EGL") if ctypes.util.find_library(name) is None), None)


def main():
    """Exit code 0, or 2 after one sentence."""
    parser = argparse.ArgumentParser(description="Simulates a CT from three sides and writes pictures and data.")
    parser.add_argument("--ct", type=Path, help="NIfTI, NRRD, MetaImage or a DICOM folder (default: the sample CT)")
    parser.add_argument("--series", help="which DICOM series, where the folder holds several")
    parser.add_argument("--output", type=Path, default=Path("demo"))
    options = parser.parse_args()
    missing = system_library_missing()
    if missing:
        print(f"demo: The system library lib{missing} is missing; install {SYSTEM_PACKAGES}.", file=sys.stderr)
        return 2
    try:
        from DeepDRRSlicerLib.errors import InputError
        from host import core
    except ImportError as error:
        print(f"demo: A library is missing ({error}); install {SYSTEM_PACKAGES}.", file=sys.stderr)
        return 2
    steps = Steps()
    with steps("Starting Slicer's libraries"):
        core.start()
    try:
        files = run(options.ct, options.series, options.output, steps)
    except (InputError, RuntimeError, OSError) as error:
        print(f"\ndemo: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    except MemoryError:
        print("\ndemo: This CT needs more memory than there is; resample it first.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndemo: Stopped.", file=sys.stderr)
        return 2
    finally:
        core.stop()
    print(f"\nWrote {len(files)} files to {options.output}:")
    for name in VIEWS:
        name = name.replace(" ", "_")
        print(f"  {name}.png, {name}/  picture; signal in keV per pixel, geometry, masks, thickness, landmarks")
    print("  scene.png  patient, C-arm, detector and beam in 3D")
    print("  scene.mrb  opens in 3D Slicer with the C-arm and image in place")
    print(f"Total {sum(steps.times.values()):.0f} s, of which:")
    for name, seconds in steps.times.items():
        print(f"  {seconds:6.1f} s  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
