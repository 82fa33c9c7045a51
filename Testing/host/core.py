"""Real MRML scene and module logics from the slicer-core wheel, without Qt.

``start()`` provides what code running in 3D Slicer takes for granted: ``slicer.mrmlScene``, ``slicer.app`` (a minimal
one), ``slicer.modules.<name>.logic()``, a layout node and readers for scene bundles. ``stop()`` takes it away again.
One core runs at a time, because the slicer namespace holds one scene.
"""

import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import slicer
import slicer.util
import vtk

# Colors comes first: logics that create display nodes ask it for the default colour tables.
_LOGIC_CLASSES = {
    "Colors": "vtkSlicerColorLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}

_SLICE_DISPLAYABLE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
)

_THREED_DISPLAYABLE_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
)

_core = None


class Application:
    """The part of ``slicer.app`` that works without Qt; there is no layout manager."""

    applicationName = "Slicer"

    def __init__(self, core, testing):
        self._core = core
        self._testing = testing

    @property
    def temporaryPath(self):
        return self._core.temporaryPath

    def applicationLogic(self):
        return self._core.applicationLogic

    def mrmlScene(self):
        return self._core.scene

    def layoutManager(self):
        return None

    def processEvents(self):
        pass

    def testingEnabled(self):
        return self._testing

    def pauseRender(self):
        self._core.applicationLogic.PauseRender()

    def resumeRender(self):
        self._core.applicationLogic.ResumeRender()


class Core:
    """What a running core consists of.

    scene, applicationLogic, layoutLogic: the MRML objects; moduleLogics: module name (as in Slicer, "VolumeRendering")
    to its logic; temporaryPath: a folder that stop() removes.
    """

    def __init__(self):
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer-core-")
        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        self.applicationLogic = slicer.vtkSlicerApplicationLogic()
        self.applicationLogic.SetTemporaryPath(self.temporaryPath)
        # The wheel has no colour files; without a folder to look in the colour logic reports errors.
        self.applicationLogic.SetHomeDirectory(self.temporaryPath)
        self.applicationLogic.SetShareDirectory("share")
        os.makedirs(os.path.join(self.temporaryPath, "share", "ColorFiles"))
        self.applicationLogic.SetMRMLScene(self.scene)
        # Views take the logics from these collections, as slice and 3D widgets do in the application.
        self.applicationLogic.SetSliceLogics(vtk.vtkCollection())
        self.applicationLogic.SetViewLogics(vtk.vtkCollection())
        self._addDataReaders()
        self.moduleLogics = {name: self._addModuleLogic(name, cls) for name, cls in _LOGIC_CLASSES.items()}
        self.scene.AddNewNodeByClass("vtkMRMLCrosshairNode", "default")
        self.layoutLogic = slicer.vtkMRMLLayoutLogic()
        self.layoutLogic.SetMRMLScene(self.scene)
        self._registerDisplayableManagers()

    def _addModuleLogic(self, name, className):
        logic = getattr(slicer, className)()
        if name == "Colors":
            self.applicationLogic.SetColorLogic(logic)
        if name == "VolumeRendering":
            logic.SetModuleShareDirectory(self._emptyPresets())
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        # Displayable managers and segmentation export look their logic up here; without it they fail.
        self.applicationLogic.SetModuleLogic(name, logic)
        if name != "Terminologies":  # with a scene it loads terminology files, which the wheel lacks
            logic.SetMRMLScene(self.scene)
        return logic

    def _emptyPresets(self):
        """The wheel has no volume rendering presets; the logic reports an error where it finds no file of them."""
        folder = os.path.join(self.temporaryPath, "share", "VolumeRendering")
        os.makedirs(folder)
        with open(os.path.join(folder, "presets.xml"), "w") as file:
            file.write("<MRML></MRML>")
        return folder

    def _addDataReaders(self):
        """Without a cache and a data IO manager a scene bundle is read, but not the files in it."""
        cache = os.path.join(self.temporaryPath, "cache")
        os.makedirs(cache, exist_ok=True)
        self.remoteIOLogic = slicer.vtkMRMLRemoteIOLogic()
        self.remoteIOLogic.GetCacheManager().SetRemoteCacheDirectory(cache)
        self.dataIOManagerLogic = slicer.vtkDataIOManagerLogic()
        self.dataIOManagerLogic.SetMRMLApplicationLogic(self.applicationLogic)
        self.applicationLogic.SetMRMLSceneDataIO(self.scene, self.remoteIOLogic, self.dataIOManagerLogic)

    def _registerDisplayableManagers(self):
        for factory, names in (
            (slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), _SLICE_DISPLAYABLE_MANAGERS),
            (slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), _THREED_DISPLAYABLE_MANAGERS),
        ):
            factory.SetMRMLApplicationLogic(self.applicationLogic)
            for name in names:
                if not factory.IsDisplayableManagerRegistered(name):
                    factory.RegisterDisplayableManager(name)

    def close(self):
        self.layoutLogic.SetMRMLScene(None)
        self.scene.Clear(1)
        for factory in (
            slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(),
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(),
        ):
            factory.SetMRMLApplicationLogic(None)
        for name in self.moduleLogics:
            self.applicationLogic.SetModuleLogic(name, None)
        self.moduleLogics.clear()
        self.applicationLogic.SetMRMLSceneDataIO(None, self.remoteIOLogic, self.dataIOManagerLogic)
        self.applicationLogic.SetMRMLScene(None)
        shutil.rmtree(self.temporaryPath, ignore_errors=True)


def start(testing=False):
    """Start the core and return it; ``testing`` is what ``slicer.app.testingEnabled()`` answers."""
    global _core
    if _core is not None:
        raise RuntimeError("A core is already running: call core.stop() first.")
    _core = Core()
    slicer.app = Application(_core, testing)
    slicer.modules = SimpleNamespace(
        **{
            name.lower(): SimpleNamespace(name=name, logic=lambda logic=logic: logic)
            for name, logic in _core.moduleLogics.items()
        }
    )
    return _core


def stop():
    """Take the scene and the shims away. Close the views first: they observe the scene."""
    global _core
    if _core is None:
        return
    for name in ("app", "modules", "mrmlScene"):
        delattr(slicer, name)
    core, _core = _core, None
    core.close()


def saveScene(path):
    """Write the scene as a bundle (.mrb); raises OSError with Slicer's messages when that fails."""
    messages = slicer.vtkMRMLMessageCollection()
    if not slicer.mrmlScene.WriteToMRB(str(Path(path)), None, messages):
        raise OSError(f"The scene could not be written to {path}: {messages.GetAllMessagesAsString()}")


def loadScene(path, clear=True):
    """Read a scene bundle (.mrb) in place of the present scene, or into it with clear=False."""
    messages = slicer.vtkMRMLMessageCollection()
    if not slicer.mrmlScene.ReadFromMRB(str(Path(path)), clear, messages):
        raise OSError(f"The scene could not be read from {path}: {messages.GetAllMessagesAsString()}")
