"""The section "Dataset" as a person uses it: choose, preview, write the job, start, pause, cancel and go on."""

import json
import shutil

import numpy as np
import pytest
from panel_actions import opened

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.dataset import runner
from DeepDRRSlicerLib.dataset.job import read_job
from DeepDRRSlicerLib.dataset.pictures import grid
from DeepDRRSlicerLib.dataset.set_folder import complete_samples, sole_writer
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene import dataset_work

IMAGES, MANY = 6, 20


@pytest.fixture
def panel(host, patient, tmp_path):
    """The panel with a segmented patient, small images and a folder of its own; nothing is running."""
    import slicer

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Beads")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(patient)
    hu = slicer.util.arrayFromVolume(patient)
    for name, mask in (("bone", hu > 1000), ("body", hu > -500)):  # they overlap
        segment = segmentation.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segment, patient)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.AddControlPoint(-50, 0, 0, "left")
    widget, parameters = opened(host, segmentation=segmentation, landmarks=points, datasetCount=IMAGES)
    widget.ui.datasetSection.collapsed = False
    widget.ui.datasetFolderButton.directory = str(tmp_path / "set")
    return widget, parameters


def finish(host, widget, says, timeout_s=300):
    """Runs the event loop until the work that was begun has ended, with a message."""
    host.processEvents(until=lambda: not widget.ui.cancelDatasetButton.enabled, timeout_s=timeout_s)
    assert says in widget.ui.datasetStatusLabel.text


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def samples_there(folder):
    return len(complete_samples(folder)) if folder.is_dir() else 0


def hasEnded(folder):
    """Whether the run that writes there is over: it is the sole writer as long as it lasts."""
    try:
        with sole_writer(folder):
            return True
    except InputError:
        return False


def test_the_window_and_the_command_line_make_the_same_bytes(host, panel, tmp_path):
    """Every format that the panel offers, with the picture varied."""
    widget, parameters = panel
    ui = widget.ui
    for box in (ui.datasetWebDatasetCheckBox, ui.datasetDicomCheckBox, ui.datasetHdf5CheckBox):
        box.setChecked(True)
    ui.datasetRandomiseCheckBox.setChecked(True)
    ui.startDatasetButton.click()
    assert not ui.startDatasetButton.enabled and ui.pauseDatasetButton.enabled and ui.datasetProgressBar.visible
    finish(host, widget, f"{IMAGES} images in")
    assert not ui.datasetProgressBar.visible and ui.startDatasetButton.enabled
    made = tree(tmp_path / "set" / "job-set")
    assert {name.partition("/")[0] for name in made} >= {"coco", "webdataset", "dicom", "hdf5", "records", "README.md"}

    ui.datasetFolderButton.directory = str(tmp_path / "elsewhere" / "set")
    ui.writeJobButton.click()
    finish(host, widget, "Wrote")
    job = tmp_path / "elsewhere" / "set" / "job.json"
    assert tree(job.parent) == {n: c for n, c in tree(tmp_path / "set").items() if not n.startswith("job-set/")}
    assert main(["export", str(job), "--workers", "2"]) == 0
    assert tree(job.parent / "job-set") == made
    assert main(["dataset", "inspect", str(job.parent / "job-set")]) == 0


def test_a_cancelled_run_is_gone_on_with_in_the_window_and_on_the_command_line(host, panel, tmp_path):
    widget, parameters = panel
    ui, folder = widget.ui, tmp_path / "set" / "job-set"
    parameters.datasetCount = MANY
    ui.startDatasetButton.click()
    for wanted in (1, 3):
        host.processEvents(until=lambda wanted=wanted: samples_there(folder) >= wanted, timeout_s=300)
        ui.cancelDatasetButton.click()
        assert "Start goes on" in ui.datasetStatusLabel.text and ui.startDatasetButton.enabled
        assert not ui.pauseDatasetButton.enabled and not ui.datasetProgressBar.visible
        if wanted == 1:
            ui.startDatasetButton.click()
    host.processEvents(until=lambda: hasEnded(folder))  # with what was under way
    there = samples_there(folder)
    assert wanted <= there < MANY and not (folder / "coco" / "annotations.json").exists()
    shutil.copytree(folder.parent, tmp_path / "copy" / "set")
    ui.startDatasetButton.click()
    finish(host, widget, f"{MANY} images in")
    assert f"{MANY - there} of them new" in ui.datasetStatusLabel.text
    assert main(["export", str(tmp_path / "copy" / "set" / "job.json")]) == 0
    assert tree(tmp_path / "copy" / "set") == tree(folder.parent)
    whole = tmp_path / "whole"
    runner.run_job(read_job(folder.parent / "job.json"), whole, workers=2)
    assert tree(whole) == tree(folder)


@pytest.fixture
def watched(monkeypatch):
    """(indices of the samples that a run has begun, its looks at the pause button that found it pressed)."""
    begun, looks = [], []
    submit, run_job = runner.ThreadCrew.submit, dataset_work.run_job

    def submitted(crew, index):
        begun.append(index)
        submit(crew, index)

    def run(*arguments, pause, **others):
        return run_job(*arguments, pause=lambda: pause() and not looks.append(True), **others)

    monkeypatch.setattr(runner.ThreadCrew, "submit", submitted)
    monkeypatch.setattr(dataset_work, "run_job", run)
    return begun, looks


def test_a_paused_run_begins_no_further_image(host, panel, watched, tmp_path):
    widget, parameters = panel
    ui, folder, (begun, looks) = widget.ui, tmp_path / "set" / "job-set", watched
    parameters.datasetCount = 10 * MANY
    ui.startDatasetButton.click()
    host.processEvents(until=lambda: "left" in ui.datasetStatusLabel.text, timeout_s=300)
    assert "per second" in ui.datasetStatusLabel.text and ui.datasetProgressBar.maximum == 10 * MANY
    ui.pauseDatasetButton.click()
    host.processEvents(until=lambda: looks and samples_there(folder) == len(begun))  # what was under way ends
    there = samples_there(folder)
    host.processEvents(until=lambda: "paused" in ui.datasetStatusLabel.text)
    looks.clear()
    host.processEvents(until=lambda: len(looks) >= 5)
    assert len(begun) == samples_there(folder) == there < 10 * MANY and ui.cancelDatasetButton.enabled
    ui.pauseDatasetButton.click()
    host.processEvents(until=lambda: samples_there(folder) > there)
    host.processEvents(until=lambda: "paused" not in ui.datasetStatusLabel.text)
    ui.pauseDatasetButton.click()
    ui.cancelDatasetButton.click()  # of a run that waits
    assert not ui.pauseDatasetButton.checked
    widget.logic.datasets.close()


def test_a_preview_shows_samples_of_the_run_and_writes_nothing(host, panel, tmp_path):
    widget, parameters = panel
    widget.ui.previewDatasetButton.click()
    assert not widget.ui.pauseDatasetButton.enabled
    finish(host, widget, f"{IMAGES} of the images")
    label = widget.ui.datasetPreviewLabel
    pictures = widget.logic.datasets.state.pictures
    sheet = grid(pictures, 3)
    assert label.visible and (label.pixmap.height(), label.pixmap.width()) == sheet.shape[:2]
    assert len(pictures) == IMAGES and len({p.tobytes() for p in pictures}) == IMAGES
    image = label.pixmap.toImage()
    for row, column in ((40, 40), (60, 200), (150, 90)):
        color = image.pixelColor(column, row)
        assert (color.red(), color.green(), color.blue()) == tuple(sheet[row, column])
    assert list(tmp_path.iterdir()) == []
    widget.ui.startDatasetButton.click()
    finish(host, widget, f"{IMAGES} images in")
    from DeepDRRSlicerLib.dataset.pictures import thumbnail
    from DeepDRRSlicerLib.dataset.writers import coco

    folder = tmp_path / "set" / "job-set"
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").iterdir())]
    made = {thumbnail(record, coco.read(folder, record), 120).tobytes() for record in records}
    assert {picture.tobytes() for picture in pictures} == made


def test_every_control_is_a_choice_of_the_scene(host, panel, tmp_path):
    from host.core import loadScene, saveScene

    widget, parameters = panel
    ui = widget.ui
    ui.datasetCountSpinBox.setValue(17)
    ui.datasetSeedSpinBox.setValue(99)
    ui.datasetPlanSelector.setCurrentIndex(3)
    ui.datasetPlanSelector.activated.emit(3)
    ui.datasetPrimaryRangeSlider.value = 21.0
    ui.datasetSecondaryRangeSlider.value = 7.0
    ui.datasetStepSlider.value = 7.0
    ui.datasetCentreSelector.activated.emit(2)
    ui.datasetOffsetSlider.value = 4.0
    for box in (ui.datasetRandomiseCheckBox, ui.datasetWebDatasetCheckBox, ui.datasetDicomCheckBox):
        box.click()
    ui.datasetHdf5CheckBox.click()
    ui.datasetCocoCheckBox.click()
    ui.datasetLicenceEdit.setText("CC-BY-4.0")

    def chosen(parameters):
        names = [name for name in parameters.allParameters if name.startswith("dataset")]
        return {name.removeprefix("dataset"): getattr(parameters, name) for name in names}

    expected = {
        "Count": 17, "Seed": 99, "Plan": "grid", "PrimaryRange": 21.0, "SecondaryRange": 7.0, "Step": 7.0,
        "Centre": "segments", "Offset": 4.0, "Randomise": True, "Coco": False, "WebDataset": True, "Dicom": True,
        "Hdf5": True, "Licence": "CC-BY-4.0", "Folder": str(tmp_path / "set"),
    }  # fmt: skip
    assert chosen(parameters) == expected
    assert ui.datasetPlanLabel.text == "21 images: 7 × 3 angles." and not ui.datasetCountSpinBox.enabled
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    assert chosen(parameters) == expected
    assert (ui.datasetPlanSelector.currentText, ui.datasetCentreSelector.currentText) == (
        "Grid of angles about this view", "A segment"
    )  # fmt: skip
    assert ui.datasetSeedSpinBox.value == 99 and ui.datasetHdf5CheckBox.checked and not ui.datasetCocoCheckBox.checked
    parameters.datasetPlan = "cone"
    assert not ui.datasetSecondaryRangeSlider.enabled and not ui.datasetStepSlider.enabled
    assert ui.datasetPlanLabel.text == "17 images within 21° of AP." and ui.datasetPrimaryRangeLabel.text == "Within:"
    parameters.datasetPlan = "box"
    assert ui.datasetPlanLabel.text == "17 images from RAO 21 CAU 7 to LAO 21 CRA 7."
    parameters.datasetPlan = "views"
    assert "Left lateral" in ui.datasetPlanLabel.text and "Inlet CRA 40" in ui.datasetPlanLabel.text
    parameters.datasetSecondaryRange = 15.0
    assert "Left lateral" in ui.datasetPlanLabel.text and "Inlet" not in ui.datasetPlanLabel.text


def test_wrong_use_is_answered_in_a_sentence(host, panel, patient, tmp_path):
    import slicer

    widget, parameters = panel
    ui = widget.ui
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")

    def said(button, expected):
        button.click()
        finish(host, widget, expected)
        assert ui.startDatasetButton.enabled

    parameters.datasetCoco = False
    for button in (ui.previewDatasetButton, ui.writeJobButton, ui.startDatasetButton):
        said(button, "No file format is chosen")
    parameters.datasetCoco = True
    for name, says in (("file/set", "Cannot write to"), ("full", "notes.txt); choose an empty folder")):
        ui.datasetFolderButton.directory = str(tmp_path / name)
        said(ui.startDatasetButton, says)
    ui.datasetFolderButton.directory = str(tmp_path / "set")
    said(ui.writeJobButton, "Wrote")
    ui.datasetSeedSpinBox.setValue(5)
    said(ui.startDatasetButton, "holds the job of another scene or other settings; choose another folder.")
    ui.datasetFolderButton.directory = str(tmp_path / "new")
    parameters.landmarks = None
    parameters.datasetCentre = "landmarks"
    said(ui.startDatasetButton, "No landmarks are chosen")
    parameters.datasetCentre = "isocenter"
    parameters.datasetPlan, parameters.secondaryAngle = "box", 45.0
    said(ui.previewDatasetButton, "outside the -50 to 50 degrees")
    assert not (tmp_path / "new").exists()
    slicer.mrmlScene.RemoveNode(patient)
    parameters.ct = None
    assert not ui.startDatasetButton.enabled and not ui.previewDatasetButton.enabled and not ui.writeJobButton.enabled


def test_a_package_that_is_missing_switches_its_format_off(host, patient, monkeypatch):
    from DeepDRRSlicerLib.ui import dataset_section

    monkeypatch.setattr(dataset_section, "find_spec", lambda name: None)
    widget, parameters = opened(host)
    ui = widget.ui
    assert not ui.datasetHdf5CheckBox.enabled and "h5py" in ui.datasetHdf5CheckBox.toolTip
    assert not ui.datasetDicomCheckBox.enabled and ui.datasetCocoCheckBox.enabled
    parameters.datasetHdf5 = True  # a scene from elsewhere
    assert ui.datasetHdf5CheckBox.enabled


def test_a_run_goes_on_in_another_module_and_another_scene(host, panel, tmp_path):
    import slicer

    widget, parameters = panel
    widget.ui.startDatasetButton.click()
    host.leaveModule()
    slicer.mrmlScene.Clear()
    host.openModule()
    finish(host, widget, f"{IMAGES} images in")
    assert samples_there(tmp_path / "set" / "job-set") == IMAGES
    assert not widget.ui.startDatasetButton.enabled  # no CT


def test_closing_the_panel_ends_a_run_and_leaves_nothing_but_a_folder_to_go_on_with(host, panel, tmp_path):
    widget, parameters = panel
    folder = tmp_path / "set" / "job-set"
    parameters.datasetCount = MANY
    widget.ui.startDatasetButton.click()
    host.processEvents(until=lambda: samples_there(folder) >= 1, timeout_s=300)
    del widget, parameters, panel
    assert [left for left in host.closeModule() if "dataset" in left or "timer" in left] == []
    assert samples_there(folder) < MANY
    assert main(["export", str(tmp_path / "set" / "job.json")]) == 0


def test_what_goes_wrong_unforeseen_is_shown_and_the_panel_goes_on(host, panel, monkeypatch):
    widget, parameters = panel

    def broken(contents, folder, shouldStop=None):
        raise RuntimeError("out of order")

    monkeypatch.setattr("DeepDRRSlicerLib.scene.dataset_work.writeJob", broken)
    widget.ui.writeJobButton.click()
    with pytest.raises(AssertionError, match="out of order"):
        finish(host, widget, "")
    assert "out of order" in widget.ui.datasetStatusLabel.text and widget.ui.writeJobButton.enabled
