"""DeepDRRSlicer: realistic fluoroscopy from CT with a C-arm in the scene. A thin shell over DeepDRRSlicerLib."""

import os
import sys
import tempfile
from typing import Annotated

import numpy as np
import slicer
import vtk
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLModelNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Sections of the panel from top to bottom, in the order of work; each has a file Resources/UI/<name>Section.ui.
PANEL = ("Patient", "Materials", "CArm", "XRay", "Image", "Tools", "Tasks", "Dose", "Export", "Dataset", "Packages")
AT_ONCE = ("Patient", "Materials", "CArm", "XRay")  # those that hear of a change first: they decide the picture


class DeepDRRSlicer(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DeepDRR C-arm")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Simulation")]
        # Loaded before this module, so that their node classes and logics are there.
        self.parent.dependencies = [
            "Cameras", "Markups", "Segmentations", "Sequences", "SubjectHierarchy", "VolumeRendering",
        ]  # fmt: skip
        self.parent.contributors = ["DeepDRRSlicer contributors"]
        self.parent.helpText = _(
            "Turns a CT into physically scaled X-ray images, seen from a C-arm that stands in the scene. "
            "Choose a CT, choose a standard view or turn the C-arm; the X-ray view follows. "
            "For research and teaching: not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Implements the system of M. Unberath et al., DeepDRR: A Catalyst for Machine Learning in "
            "Fluoroscopy-guided Procedures, MICCAI 2018. Apache License 2.0."
        )
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def onStartupCompleted():
    """Makes the layout known, which a scene names by number only, and the sample data, before the module is opened."""
    from DeepDRRSlicerLib.scene.sample_data import registerSampleData
    from DeepDRRSlicerLib.scene.xray_layout import registerLayout

    registerLayout()
    registerSampleData(os.path.join(os.path.dirname(__file__), "Resources", "Icons", "DeepDRRSlicer.png"))


@parameterNodeWrapper
class DeepDRRSlicerParameterNode:
    """All choices, so that a saved scene opens as it was. Angles in degrees, lengths mm, kvp kV, mas mAs per image.

    binning: pixels of the detector read out as one; 0 is the detector's default.
    centeredCT: the CT that the C-arm was centred on when it was chosen.
    exposureMode: an exposure mode of the device, or "manual", where kvp and mas hold. dose: totals of the study, JSON.
    scatter: none, network, montecarlo, or empty: the network if it is there. scatterLimit: what ends a reference image,
    photons (scatterPhotons, millions) or error (scatterError, percent of a cell).
    pulseRate, cineRate: pulses/s while the pedal is held, and of a cine run. autoUpdate: previews without dose.
    materials: automatic, threshold, segmentation or label map (scene/materials.py). materialsShown: over the CT.
    dataset...: of the section Dataset; plan and centre as in scene/job_settings.py, folder empty for the default one.
    magnificationField: of the detector. gridName: empty for the device's own. shutter..., iris: mm at the detector from
    the middle of the image as its rows and columns run; beyond the field is open. image...: how the picture is turned
    and shown; windowName names one of the display windows, or is empty where windowLow and windowHigh hold.
    edgeRadius: mm at the detector. contrast...: iodine, mg/ml, given to a segment (its ID). subtraction: "none", "dsa"
    or "roadmap". real...: an X-ray image beside the simulated one, and the geometry (JSON) that stands for the C-arm's.
    patientPosition: DICOM's Patient Position. standJoints: JSON of the joints that the view leaves open, by name.
    tool: the one that keys and buttons move; toolStep, toolTwist: by how much. toolLine: on which tools are laid.
    task: the text of its file. taskTool: its wire. taskAttempt: one that was under way when the scene was saved.
    taskDraft, makeTask...: a task in the making (scene/task_draft.py).
    savedPositions: JSON (geometry/saved_positions.py). driveAtSpeed: standard views are driven to, not jumped to.
    """

    ct: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    landmarks: vtkMRMLMarkupsFiducialNode
    xray: vtkMRMLScalarVolumeNode
    centeredCT: vtkMRMLScalarVolumeNode
    device: str = "mobile_carm"
    binning: int = 0
    primaryAngle: Annotated[float, WithinRange(-180.0, 180.0)] = 0.0
    secondaryAngle: Annotated[float, WithinRange(-90.0, 90.0)] = 0.0
    sid: Annotated[float, WithinRange(500.0, 2000.0)] = 1000.0
    isocenterR: Annotated[float, WithinRange(-10000.0, 10000.0)] = 0.0
    isocenterA: Annotated[float, WithinRange(-10000.0, 10000.0)] = 0.0
    isocenterS: Annotated[float, WithinRange(-10000.0, 10000.0)] = 0.0
    patientPosition: str = "HFS"
    tableTilt: Annotated[float, WithinRange(-60.0, 60.0)] = 0.0
    standJoints: str = ""
    savedPositions: str = ""
    driveAtSpeed: bool = False
    collisionStops: bool = True
    carmHandles: bool = True
    beamInSlices: bool = True
    laserCross: bool = False
    kvp: Annotated[float, WithinRange(40.0, 125.0)] = 80.0
    mas: Annotated[float, WithinRange(0.01, 100.0)] = 1.0
    exposureMode: str = "fluoro"
    noise: bool = True
    scatter: str = ""
    scatterLimit: str = "photons"
    scatterPhotons: Annotated[float, WithinRange(0.1, 200.0)] = 20.0
    scatterError: Annotated[float, WithinRange(0.5, 50.0)] = 5.0
    pulseRate: float = 15.0
    cineRate: float = 15.0
    dose: str = ""
    autoUpdate: bool = True
    materials: str = "automatic"
    materialsSegmentation: vtkMRMLSegmentationNode
    materialsLabelMap: vtkMRMLLabelMapVolumeNode
    keepCouch: bool = False
    materialsShown: bool = False
    datasetCount: Annotated[int, WithinRange(1, 1000000)] = 200
    datasetSeed: Annotated[int, WithinRange(0, 1000000000)] = 0
    datasetPlan: str = "cone"
    datasetPrimaryRange: Annotated[float, WithinRange(0.0, 180.0)] = 15.0
    datasetSecondaryRange: Annotated[float, WithinRange(0.0, 90.0)] = 10.0
    datasetStep: Annotated[float, WithinRange(1.0, 45.0)] = 5.0
    datasetCentre: str = "isocenter"
    datasetOffset: Annotated[float, WithinRange(0.0, 100.0)] = 10.0
    datasetRandomise: bool = False
    datasetCoco: bool = True
    datasetWebDataset: bool = False
    datasetDicom: bool = False
    datasetHdf5: bool = False
    datasetLicence: str = ""
    datasetFolder: str = ""
    magnificationField: str = "full"
    gridName: str = ""
    shutterLeft: Annotated[float, WithinRange(-1000.0, 1000.0)] = 1000.0
    shutterRight: Annotated[float, WithinRange(-1000.0, 1000.0)] = 1000.0
    shutterTop: Annotated[float, WithinRange(-1000.0, 1000.0)] = 1000.0
    shutterBottom: Annotated[float, WithinRange(-1000.0, 1000.0)] = 1000.0
    iris: Annotated[float, WithinRange(1.0, 1000.0)] = 1000.0
    shutterHandles: bool = False
    imageRotation: int = 0
    imageFlip: bool = False
    imageAsOnDevice: bool = False
    imageMarkers: bool = True
    imageInvert: bool = False
    windowName: str = "chest"
    windowLow: Annotated[float, WithinRange(-2.0, 15.0)] = 1.2
    windowHigh: Annotated[float, WithinRange(-2.0, 15.0)] = 7.0
    edgeGain: Annotated[float, WithinRange(0.0, 5.0)] = 0.0
    edgeRadius: Annotated[float, WithinRange(0.2, 20.0)] = 1.0
    contrastSegment: str = ""
    contrastIodine: Annotated[float, WithinRange(0.0, 400.0)] = 150.0
    contrastGiven: bool = False
    subtraction: str = "none"
    subtractionRange: Annotated[float, WithinRange(0.1, 3.0)] = 0.8
    roadmapOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.7
    overlayLandmarks: bool = False
    overlaySegments: bool = False
    realImage: vtkMRMLScalarVolumeNode
    realGeometry: str = ""
    realOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    realBeside: bool = False
    realRotation: int = 0
    realFlip: bool = False
    realInvert: bool = False
    realPitch: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    tool: vtkMRMLModelNode
    toolStep: Annotated[float, WithinRange(0.1, 50.0)] = 1.0
    toolTwist: Annotated[float, WithinRange(0.5, 180.0)] = 5.0
    toolLine: vtkMRMLMarkupsLineNode
    toolTipShown: bool = False
    task: str = ""
    taskTool: vtkMRMLModelNode
    taskLearner: str = ""
    taskAttempt: str = ""
    taskDraft: str = ""
    makeTaskLine: vtkMRMLMarkupsLineNode
    makeTaskApex: vtkMRMLMarkupsFiducialNode


class DeepDRRSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: connects the scene's parameter node to the sections of DeepDRRSlicerLib.ui."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self.sections = {}
        self._parameterNode = None
        self._guiTag = None

    def setup(self):
        """Builds the panel, once."""
        from DeepDRRSlicerLib.ui.carm_section import CArmSection
        from DeepDRRSlicerLib.ui.dataset_section import DatasetSection
        from DeepDRRSlicerLib.ui.dependencies import Packages
        from DeepDRRSlicerLib.ui.dose_section import DoseSection
        from DeepDRRSlicerLib.ui.export_section import ExportSection
        from DeepDRRSlicerLib.ui.image_section import ImageSection
        from DeepDRRSlicerLib.ui.later import Later
        from DeepDRRSlicerLib.ui.materials_section import MaterialsSection
        from DeepDRRSlicerLib.ui.packages_section import PackagesSection
        from DeepDRRSlicerLib.ui.patient_section import PatientSection
        from DeepDRRSlicerLib.ui.tasks_section import TasksSection
        from DeepDRRSlicerLib.ui.tools_section import ToolsSection
        from DeepDRRSlicerLib.ui.xray_section import XRaySection

        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/DeepDRRSlicer.ui"))
        for place, name in enumerate(PANEL):
            section = slicer.util.loadUI(self.resourcePath(f"UI/{name}Section.ui"))
            panel.layout().insertWidget(place, section)
            section.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(panel)
        self.panel = panel
        self.ui = slicer.util.childWidgetVariables(panel)

        self.logic = DeepDRRSlicerLogic()
        doseSection = DoseSection(self.ui, self.logic.fluoroscopy)
        packages = Packages(self.resourcePath("requirements.txt"))
        packages.onInstalled.append(self.onInstalled)
        self._others = Later(panel, self.showInOthers)
        self.sections = {  # in the order in which they hear of a change
            "Patient": PatientSection(self.ui, self.onCTChanged),
            "Materials": MaterialsSection(self.ui, self.logic.fluoroscopy.materials, self.onCTChanged),
            "CArm": CArmSection(self.ui),
            "XRay": XRaySection(self.ui, self.logic.fluoroscopy, packages, doseSection.showPicture),
            "Image": ImageSection(self.ui),
            "Tools": ToolsSection(self.ui, self.onParametersChanged),
            "Tasks": TasksSection(self.ui, self.logic.tasks),
            "Dose": doseSection,
            "Export": ExportSection(self.ui, self.logic.fluoroscopy),
            "Dataset": DatasetSection(self.ui, self.logic.datasets),
            "Packages": PackagesSection(self.ui, packages),
        }
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)
        self.onSceneReady()  # a reloaded module is not entered again

    def enter(self):
        """The module is shown."""
        if self.logic is not None:  # else setup failed
            self.setParameterNode(self.logic.getParameterNode())

    def exit(self):
        """Another module is shown."""
        self.setParameterNode(None)

    def cleanup(self):
        """The module is closed or reloaded."""
        self.setParameterNode(None)
        self.removeObservers()
        if self.logic is not None:
            self.logic.close()
        if self.panel is not None:
            self.panel.deleteLater()  # a reload only hides it, and its node selectors would go on following the scene

    def onReload(self):
        """The developer's Reload button: the library is loaded anew, too, which Slicer would leave as it was."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "DeepDRRSlicerLib"]:
            del sys.modules[name]
        slicer.util.reloadScriptedModule(self.moduleName)

    def onSceneStartClose(self, caller, event):
        """The scene goes away, and with it the parameters."""
        self.setParameterNode(None)
        self.logic.fluoroscopy.forget()
        self.logic.tasks.forget()

    def onSceneStartImport(self, caller, event):
        """Nodes arrive one by one; nothing must be made of them before all are there."""
        self.setParameterNode(None)

    def onSceneReady(self, caller=None, event=None):
        """Another scene is there."""
        if self.parent.isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Binds the panel to a parameter node, or to none."""
        if parameterNode is None and self._parameterNode is None:
            return
        if self._parameterNode is not None:
            node = self._parameterNode.parameterNode  # the wrapper would be kept alive by the list of observations
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self.logic.chooseCT(parameterNode)
            self._guiTag = parameterNode.connectGui(self.ui)
        self._others.cancel()
        for section in self.sections.values():
            section.setParameters(parameterNode)
        if parameterNode is not None:
            node = parameterNode.parameterNode
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
            self.onParametersChanged()

    def onParametersChanged(self, caller=None, event=None):
        """A choice has changed, here, in a script or by undo."""
        for name in AT_ONCE:
            self.sections[name].parametersChanged(self._parameterNode)
        self._others.ask()

    def showInOthers(self):
        """What does not decide the picture is shown after it has been asked for, once for many changes."""
        for name, section in self.sections.items():
            if name not in AT_ONCE:
                section.parametersChanged(self._parameterNode)

    def onCTChanged(self):
        """The voxels or the place of the CT have changed; it may have been chosen before it had any voxels."""
        self.sections["XRay"].outdate()
        self.onParametersChanged()

    def onInstalled(self):
        """A package is there that was missing: what lacked it is made anew."""
        self.logic.fluoroscopy.prepareAnew()
        if self._parameterNode is not None:
            self.onParametersChanged()


class DeepDRRSlicerLogic(ScriptedLoadableModuleLogic):
    """What scripts use: set the parameter node, then simulate().

    >>> logic = DeepDRRSlicerLogic()
    >>> parameters = logic.getParameterNode()
    >>> parameters.ct = slicer.util.getNode("CT")
    >>> logic.centerOnCT(); parameters.primaryAngle = 30
    >>> radiograph = logic.simulate()
    """

    def __init__(self):
        from DeepDRRSlicerLib.scene.dataset_work import DatasetWork
        from DeepDRRSlicerLib.scene.fluoroscopy import Fluoroscopy
        from DeepDRRSlicerLib.scene.task_run import TaskRun

        ScriptedLoadableModuleLogic.__init__(self)
        self.fluoroscopy = Fluoroscopy()
        self.datasets = DatasetWork()
        self.tasks = TaskRun(self.fluoroscopy)

    def close(self):
        """End the threads."""
        self.tasks.close()
        self.fluoroscopy.close()
        self.datasets.close()

    def getParameterNode(self):
        """The scene's choices."""
        return DeepDRRSlicerParameterNode(super().getParameterNode())

    def chooseCT(self, parameters):
        """Take the first scalar volume that is not an own X-ray image, if no CT is chosen yet."""
        from DeepDRRSlicerLib.scene.xray_image import QUANTITY

        className = "vtkMRMLScalarVolumeNode"  # label maps and vector volumes derive from it
        volumes = [node for node in slicer.util.getNodesByClass(className) if node.GetClassName() == className]
        if parameters.ct is None:
            parameters.ct = next((node for node in volumes if not node.GetAttribute(QUANTITY)), None)

    def centerOnCT(self):
        """Put the isocentre in the middle of the CT."""
        from DeepDRRSlicerLib.scene.request import centerOnCT

        centerOnCT(self.getParameterNode())

    def simulate(self):
        """Move the C-arm, simulate its view, show it, and return the Radiograph. Raises InputError."""
        parameters = self.getParameterNode()
        self.fluoroscopy.moveCArm(parameters)
        return self.fluoroscopy.simulate(parameters)


class DeepDRRSlicerTest(ScriptedLoadableModuleTest):
    """Self-test on a made-up patient; runs in Slicer and in the test host alike."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = DeepDRRSlicerLogic()

    def tearDown(self):
        self.logic.fluoroscopy.close()

    def test_pictureIsReadAsARadiograph(self):
        """At 0/0 the bead at the patient's left is right of centre, the one at the head above."""
        parameters = self._parametersWithPatient()
        self.assertEqual(self._beadSides(parameters, 0, 0), {"left": (1, 0), "head": (0, -1), "front": (0, 0)})
        self.assertEqual(self._beadSides(parameters, 30, 0)["front"], (-1, 0))
        self.assertEqual(self._beadSides(parameters, 90, 0)["front"], (-1, 0))
        self.assertEqual(self._beadSides(parameters, 0, 25)["front"], (0, 1))

    def test_imageLiesOnTheDetector(self):
        """The image node's voxels lie where the C-arm's detector is, and it names the settings that made it."""
        parameters = self._parametersWithPatient()
        radiograph = self.logic.simulate()
        matrix = vtk.vtkMatrix4x4()
        parameters.xray.GetIJKToRASMatrix(matrix)
        self.assertTrue(np.allclose(slicer.util.arrayFromVTKMatrix(matrix), radiograph.beam.image_to_ras()))
        self.assertEqual(parameters.xray.GetAttribute("DeepDRRSlicer.SettingsHash"), radiograph.settings_hash)
        before = radiograph.settings_hash
        parameters.kvp = 90
        self.assertNotEqual(self.logic.simulate().settings_hash, before)

    def test_exportedViewIsComplete(self):
        """Export writes image, geometry and labels."""
        parameters = self._parametersWithPatient()
        with tempfile.TemporaryDirectory() as folder:
            self.logic.fluoroscopy.startExport(parameters, folder)
            files = None
            while files is None:
                slicer.app.processEvents()
                files = self.logic.fluoroscopy.collectExport()
            names = set(os.listdir(folder))
        self.assertLessEqual({"signal.nrrd", "open_field.nrrd", "display.png", "view.json", "masks.seg.nrrd"}, names)

    def _parametersWithPatient(self):
        """A water block of 20 cm with three beads of bone, 4 mm voxels, centred on the isocentre."""
        index = np.indices((50, 50, 50)).transpose(1, 2, 3, 0)[..., ::-1]
        ras = (index - 24.5) * 4.0
        hu = np.where(np.abs(ras).max(axis=-1) < 90, 0, -1000).astype(np.int16)
        for bead in self._beads().values():
            hu[np.linalg.norm(ras - bead, axis=-1) < 8] = 2500
        node = slicer.util.addVolumeFromArray(hu, name="Patient")
        node.SetSpacing(4.0, 4.0, 4.0)
        node.SetOrigin(-98.0, -98.0, -98.0)
        parameters = self.logic.getParameterNode()
        parameters.ct = node
        parameters.binning = 4
        return parameters

    def _beads(self):
        return {"left": (-50, 0, 0), "head": (0, 0, 50), "front": (0, 50, 0)}

    def _beadSides(self, parameters, primary, secondary):
        """Where each bead's shadow lies from the middle of the picture: (column, row) as -1, 0 or 1."""
        parameters.primaryAngle, parameters.secondaryAngle = float(primary), float(secondary)
        radiograph = self.logic.simulate()
        image = slicer.util.arrayFromVolume(parameters.xray)[0]
        sides = {}
        for name, bead in self._beads().items():
            column, row = radiograph.beam.project(bead)[0]
            here = image[round(row) - 2 : round(row) + 3, round(column) - 2 : round(column) + 3].mean()
            self.assertGreater(here, np.median(image) + 0.3, f"no shadow of the bead {name}")
            middle = (np.array(image.shape[::-1]) - 1) / 2
            offset = np.array([column, row]) - middle
            sides[name] = tuple(int(x) for x in np.where(np.abs(offset) < 5, 0, np.sign(offset)))
        return sides
