"""Models with a material become tools of the engine, wherever their transforms put them, and cast the right shadow."""

import gc
import weakref

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from test_scene_job import parameters_with, patient  # noqa: F401
from test_scene_mrml import parent, warp  # noqa: F401

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.sample import make_ready
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.tool_shapes import KWire, Needle
from DeepDRRSlicerLib.scene.job import snapshot, writeJob
from DeepDRRSlicerLib.scene.tool_drive import (
    addTool,
    advance,
    alignToLine,
    driverOf,
    handlesShown,
    pointing,
    removeTool,
    setDriver,
    setShape,
    setToolToWorld,
    shapeOf,
    showHandles,
    tipOf,
    twist,
    useAsTool,
    wireOf,
)
from DeepDRRSlicerLib.scene.tool_tip import tipInPicture
from DeepDRRSlicerLib.scene.tool_watch import ToolWatch
from DeepDRRSlicerLib.scene.tools import DENSITY, IN_BEAM, MATERIAL, beamTools, setInBeam, toolNodes, toolsFingerprint
from DeepDRRSlicerLib.scene.xray_image import VIEW
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique

DEVICE, IDEAL = load_device("mobile_carm"), load_detector("ideal")


def box(low, high):
    low, high = np.asarray(low, float), np.asarray(high, float)
    vertices = np.array([np.where(corner, high, low) for corner in np.ndindex(2, 2, 2)])
    return vertices, [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def model(scene, vertices, faces, name="Implant", material="titanium"):
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    for vertex in vertices:
        points.InsertNextPoint(*vertex)
    for face in faces:
        cells.InsertNextCell(len(face), [int(corner) for corner in face])
    surface = vtk.vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObservePolyData(surface)
    if material:
        node.SetAttribute(MATERIAL, material)
    return node


def transform(scene, matrix=None, name="T"):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    if matrix is not None:
        slicer.util.updateTransformMatrixFromArray(node, matrix)
    return node


def simulator(hu=0):
    """20 cm of water around the origin."""
    array = np.full((50, 50, 50), hu, np.int16)
    matrix = np.diag([4.0, 4.0, 4.0, 1.0])
    matrix[:3, 3] = -98.0
    return Simulator(Volume(array, matrix))


def view(primary=0.0, secondary=0.0, size=(161, 161), pitch=0.5):
    return CArmPose(primary, secondary, (0, 0, 0), 1000, 600, size, (pitch, pitch)).beam()


def acquisition(detector=IDEAL):
    return Acquisition(DEVICE, detector, Technique(80, 1.0, {"Al": 3}), grid=load_grid("none"))


# Shadows


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (37, 21)])
def test_the_shadow_of_a_wire_falls_on_its_projection(scene, angles):
    """Pinhole by hand: a point p at the depth z in front of the source is seen at f p / z. Under a chain of two."""
    tip, direction = np.array([6.0, -4.0, 9.0]), np.array([0.5, 0.3, 0.8])
    direction /= np.linalg.norm(direction)
    node = addTool("k-wire")
    setShape(node, KWire(diameter=2.0, length=60.0))
    tracker = transform(scene, pointing((30, -20, 5), (0.2, 1, 0.1)))
    setDriver(node, tracker)
    setToolToWorld(node, pointing(tip, direction))
    beam = view(*angles)
    with_wire = simulator().simulate(beam, acquisition(), beamTools())
    metal = with_wire.area_density[with_wire.materials.index("stainless steel 316L")]
    checked = 0
    for way in (10.0, 20.0, 30.0, 40.0, 50.0):  # mm from the tip
        ray = tip - way * direction - beam.source
        u, v = (ray @ axis / (ray @ beam.normal) * 1000 / 0.5 + 80 for axis in (beam.e_c, beam.e_r))
        if not (12 < u < 148 and 12 < v < 148):
            continue
        along = np.array([direction @ beam.e_c, direction @ beam.e_r])
        if np.linalg.norm(along) < 0.3:
            continue
        # The middle of the shadow across the wire, through this place, along the row or the column that crosses it.
        steep = abs(along[1]) > abs(along[0])
        row, column = round(v), round(u)
        line = metal[row, column - 12 : column + 13] if steep else metal[row - 12 : row + 13, column]
        middle = (np.arange(25) * line).sum() / line.sum() - 12
        expected = (u - round(u)) - (v - round(v)) * along[0] / along[1] if steep else (
            (v - round(v)) - (u - round(u)) * along[1] / along[0]
        )  # fmt: skip
        off = abs(middle - expected) * abs(along[1 if steep else 0]) / np.linalg.norm(along)
        assert off < 0.5, (angles, way, off)
        assert off < 0.15, (angles, way, off)  # what it is in fact
        checked += 1
    assert checked >= 2


def test_the_tip_is_where_the_shadow_begins(scene):
    """A wire across the beam: along its axis the shadow ends within half a pixel of the projected tip."""
    node = addTool("k-wire", pointing((5.3, 0, 2.1), (1, 0, 0)))
    setShape(node, KWire(diameter=2.0, length=100.0, tip_angle=60.0))
    beam = view()
    metal = simulator().simulate(beam, acquisition(), beamTools()).area_density[-1]
    column, row = beam.project([5.3, 0, 2.1])[0]
    shadow = np.flatnonzero(metal[round(row)] > 0)
    nearest = shadow[np.abs(shadow - column).argmin()]
    assert abs(nearest - column) <= 0.5 + 0.5  # half a pixel, and pixels have a width
    assert tipOf(node) == pytest.approx([5.3, 0, 2.1])


def slab_contrast(millimetres, material, tissues, path):
    """Signal with over without the slab, summed over the spectrum by hand: E x photons x exp(-sum mu A).

    tissues: g/cm2 of what a path of so many mm crosses, of which the slab takes its share away.
    """
    spectrum = tube_spectrum(80, {"Al": 3.0})
    energies, weights = spectrum.energies, spectrum.fluence * spectrum.energies
    tissue = sum(mass_attenuation(name, energies) * area for name, area in tissues.items())
    metal = mass_attenuation(material, energies) * density(material) * millimetres / 10
    before = weights * np.exp(-tissue)
    after = before * np.exp(tissue * millimetres / path - metal)
    return after.sum() / before.sum()


@pytest.mark.parametrize("material", ["titanium", "PEEK", "CoCrMo", "bone cement", "tantalum"])
def test_an_implant_of_4_mm_has_the_contrast_of_the_slab_formula(scene, material):
    node = model(scene, *box((-15, -2, -15), (15, 2, 15)), material=material)
    matrix = np.eye(4)
    matrix[1, 3] = 10.0
    node.SetAndObserveTransformNodeID(transform(scene, matrix).GetID())
    body, beam = simulator(), view(size=(21, 21))
    empty = body.simulate(beam, acquisition())
    filled = body.simulate(beam, acquisition(), beamTools())
    found = filled.signal[10, 10] / empty.signal[10, 10]
    tissues = {name: float(empty.area_density[n, 10, 10]) for n, name in enumerate(empty.materials)}
    assert sum(tissues.values()) == pytest.approx(20.0, rel=0.1)  # 20 cm of water
    expected = slab_contrast(4.0, material, tissues, 200.0)
    assert np.log(found) == pytest.approx(np.log(expected), rel=0.02)
    assert np.log(found) == pytest.approx(np.log(expected), rel=0.005)  # what it is in fact


def test_moving_a_tool_changes_nothing_outside_its_shadow(scene):
    node = addTool("k-wire", pointing((0, 0, 10), (0, 0, 1)))
    body, beam = simulator(), view()
    first = body.simulate(beam, acquisition(), beamTools())
    advance(node, -6.0)
    setToolToWorld(node, pointing((12, 3, 4), (0.3, 0.2, 1)))
    second = body.simulate(beam, acquisition(), beamTools())
    without = body.simulate(beam, acquisition())
    steel = first.materials.index("stainless steel 316L")
    shadow = (first.area_density[steel] > 0) | (second.area_density[steel] > 0)
    assert 500 < shadow.sum() < shadow.size / 2
    for channel in range(len(without.materials)):
        for other in (first, second):
            assert np.array_equal(other.area_density[channel][~shadow], without.area_density[channel][~shadow])
    # What falls on the detector, before it is blurred. A picture without the tool is summed over other energies.
    spectrum = tube_spectrum(80, {"Al": 3.0})
    one, other, none = (detected(r.area_density, r.materials, spectrum, IDEAL)[0] for r in (first, second, without))
    assert np.array_equal(one[~shadow], other[~shadow])
    assert np.abs(one[~shadow] / none[~shadow] - 1).max() < 1e-4
    # The blur of pixels and focal spot is cut off at the Nyquist frequency, so that the edge of the metal rings on.
    for pixels, most in ((10, 1e-3), (40, 2e-4)):
        far = ~dilated(shadow, pixels)
        assert far.sum() > 1000
        assert np.abs(first.signal[far] / second.signal[far] - 1).max() < most


def dilated(mask, steps):
    grown = mask.copy()
    for _ in range(steps):
        new = grown.copy()
        new[1:] |= grown[:-1]
        new[:-1] |= grown[1:]
        new[:, 1:] |= grown[:, :-1]
        new[:, :-1] |= grown[:, 1:]
        grown = new
    return grown


# From nodes to tools


def test_a_tool_stands_where_its_chain_of_transforms_puts_it(scene, parent):  # noqa: F811
    inner, product = parent
    vertices, faces = box((0, 0, 0), (1, 2, 3))
    node = model(scene, vertices, faces)
    node.SetAndObserveTransformNodeID(inner.GetID())
    (tool,) = beamTools()
    expected = vertices @ product[:3, :3].T + product[:3, 3]  # a mirroring chain
    assert np.allclose(np.sort(tool.vertices, axis=0), np.sort(expected, axis=0), atol=1e-4)
    assert (tool.name, tool.material, tool.density) == ("Implant", "titanium", 4.54)
    node.SetAttribute(DENSITY, "4.43")
    assert beamTools()[0].density == 4.43


def test_the_surface_is_read_once_while_the_tool_moves(scene, monkeypatch):
    import DeepDRRSlicerLib.scene.tools as module

    node = addTool("needle")
    made = []
    monkeypatch.setattr(module, "Tool", lambda *a: made.append(a) or original(*a))
    original = __import__("DeepDRRSlicerLib.projection.tools", fromlist=["Tool"]).Tool
    setShape(node, Needle(20))
    for _ in range(5):
        advance(node, 1.0)
        beamTools()
    assert len(made) == 1
    node.SetAttribute(MATERIAL, "titanium")
    assert beamTools()[0].material == "titanium" and len(made) == 2


def test_tools_are_in_the_beam_or_not_whether_they_are_drawn_or_not(scene):
    node = addTool("k-wire")
    node.SetDisplayVisibility(False)
    assert len(beamTools()) == 1
    setInBeam(node, False)
    assert beamTools() == () and toolsFingerprint() == () and toolNodes() == [node]
    scene.AddNewNodeByClass("vtkMRMLModelNode", "no tool")
    assert toolNodes() == [node]


def test_what_cannot_be_a_tool_is_said_in_one_sentence(scene, warp):  # noqa: F811
    vertices, faces = box((0, 0, 0), (1, 1, 1))
    said = {}
    open_box = model(scene, vertices, faces[:-1], "Open")
    said["not closed"] = open_box
    said["no surface"] = model(scene, np.zeros((0, 3)), [], "Empty")
    said["no material"] = model(scene, vertices, faces, "Plain", material=None)
    useAsTool(said["no material"])
    said["no material 'adamantium'"] = model(scene, vertices, faces, "Odd", material="adamantium")
    said["no number"] = model(scene, vertices, faces, "Heavy")
    said["no number"].SetAttribute(DENSITY, "very")
    said["non-linear"] = model(scene, vertices, faces, "Bent")
    said["non-linear"].SetAndObserveTransformNodeID(warp.GetID())
    for node in said.values():
        setInBeam(node, False)
    for words, node in said.items():
        setInBeam(node, True)
        with pytest.raises(InputError) as caught:
            beamTools()
        message = str(caught.value)
        assert words in message and message.endswith(".") and message.count(". ") == 0, message
        assert node.GetName() in message or words.startswith("no material 'ad")
        hash(toolsFingerprint())
        setInBeam(node, False)


def test_the_fingerprint_follows_what_the_beam_meets_and_nothing_else(scene):
    node = addTool("k-wire")
    seen = {toolsFingerprint()}

    def changed():
        new = toolsFingerprint() not in seen
        seen.add(toolsFingerprint())
        return new

    node.SetDisplayVisibility(False)
    assert not changed()
    for change in (
        lambda: advance(node, 1.0),
        lambda: twist(node, 5.0),
        lambda: setShape(node, KWire(1.6)),
        lambda: node.SetAttribute(MATERIAL, "titanium"),
        lambda: addTool("needle"),
    ):
        change()
        assert changed()


# Driving


def test_advancing_and_twisting_move_along_and_about_the_axis(scene):
    node = addTool("cannulated screw", pointing((1, 2, 3), (0, 1, 1)))
    advance(node, 7.0)
    axis = np.array([0, 1, 1]) / np.sqrt(2)
    assert tipOf(node) == pytest.approx(np.array([1, 2, 3]) + 7 * axis)
    before = beamTools()[0].vertices.copy()
    twist(node, 90.0)
    assert tipOf(node) == pytest.approx(np.array([1, 2, 3]) + 7 * axis)
    after = beamTools()[0].vertices - tipOf(node)
    # Clockwise from the rear is right-handed about the direction in which it points.
    x = before - tipOf(node)
    turned = np.cross(axis, x) + np.outer(x @ axis, axis)
    assert np.allclose(after, turned, atol=1e-4)


def test_another_model_turns_about_its_own_middle(scene):
    node = model(scene, *box((50, 50, 50), (60, 60, 60)))
    before = beamTools()[0].vertices.mean(axis=0)
    twist(node, 30.0)
    assert beamTools()[0].vertices.mean(axis=0) == pytest.approx(before)
    advance(node, -4.0)
    assert beamTools()[0].vertices.mean(axis=0) == pytest.approx(before - (0, 0, 4))


def test_a_line_is_entry_and_target(scene, parent):  # noqa: F811
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Path")
    node = addTool("k-wire")
    with pytest.raises(InputError, match="no two points"):
        alignToLine(node, line)
    line.AddControlPointWorld(1, 2, 3)
    line.AddControlPointWorld(1, 2, 43)
    alignToLine(node, line)
    assert tipOf(node) == pytest.approx([1, 2, 3])
    assert wireOf(node).direction == pytest.approx([0, 0, 1])
    inner, product = parent
    line.SetAndObserveTransformNodeID(inner.GetID())
    alignToLine(node, line, atTarget=True)
    assert tipOf(node) == pytest.approx(product[:3, :3] @ [1, 2, 43] + product[:3, 3], abs=1e-3)
    line.SetNthControlPointPosition(1, 1, 2, 3)
    with pytest.raises(InputError, match="same place"):
        alignToLine(node, line)


def test_any_transform_can_carry_a_tool(scene, warp):  # noqa: F811
    node = addTool("needle", pointing((10, 0, 0), (1, 0, 0)))
    tracker = transform(scene, pointing((100, 0, 0), (0, 0, 1)), "Tracker")
    setDriver(node, tracker)
    assert tipOf(node) == pytest.approx([100, 0, 0]) and driverOf(node) is tracker
    slicer.util.updateTransformMatrixFromArray(tracker, pointing((0, 5, 0), (0, 0, 1)))
    assert tipOf(node) == pytest.approx([0, 5, 0])
    setDriver(node, None)  # it stays
    assert tipOf(node) == pytest.approx([0, 5, 0]) and driverOf(node) is None
    with pytest.raises(InputError, match="not a linear"):
        setDriver(node, warp)
    with pytest.raises(InputError, match="under"):
        setDriver(node, node.GetParentTransformNode())


def test_handles_are_drawn_for_the_tool_alone(scene):
    node = addTool("k-wire")
    assert not handlesShown(node)
    showHandles(node, True)
    assert handlesShown(node)
    display = node.GetParentTransformNode().GetDisplayNode()
    assert display.GetEditorVisibility3D() and not display.GetEditorScalingEnabled()
    showHandles(node, False)
    assert not handlesShown(node)


def nodesBut(scene, name):
    names = [scene.GetNthNode(n).GetName() for n in range(scene.GetNumberOfNodes())]
    return [found for found in names if found != name]


def test_removing_a_tool_leaves_nothing_of_it(scene):
    before = nodesBut(scene, "SubjectHierarchy")
    tracker = transform(scene, name="Tracker")
    node = addTool("cannulated screw")
    setDriver(node, tracker)
    showHandles(node, True)
    other = model(scene, *box((0, 0, 0), (1, 1, 1)))
    removeTool(node)
    removeTool(other)  # which was not made here: it stays
    assert toolNodes() == [] and scene.GetNodeByID(other.GetID()) is other
    scene.RemoveNode(tracker)
    assert set(nodesBut(scene, "SubjectHierarchy")) - set(before) == {"Implant"}
    assert beamTools() == ()


def test_tools_are_in_the_scene_file(scene, tmp_path):
    from host.core import loadScene, saveScene

    node = addTool("cannulated screw", pointing((1, 2, 3), (0, 1, 0)))
    node.SetAttribute(MATERIAL, "CoCrMo")
    setInBeam(addTool("needle"), False)
    shape, place = shapeOf(node), beamTools()[0].vertices
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    found, needle = toolNodes()
    assert shapeOf(found) == shape and found.GetAttribute(MATERIAL) == "CoCrMo"
    assert needle.GetAttribute(IN_BEAM) == "0"
    assert np.allclose(beamTools()[0].vertices, place, atol=1e-3)
    advance(found, 2.0)
    assert tipOf(found) == pytest.approx([1, 4, 3], abs=1e-5)


# Watching


def test_every_change_is_heard_of_and_nothing_after_the_end(scene):
    heard = []
    watch = ToolWatch(lambda: heard.append("list"), lambda: heard.append("place"))
    scene.AddNewNodeByClass("vtkMRMLModelNode", "no tool").SetName("still none")
    assert heard == []
    node = addTool("k-wire")
    assert "list" in heard and "place" in heard
    for change, expected in (
        (lambda: advance(node, 1.0), ["place"]),
        (lambda: node.SetName("Wire"), ["list", "place"]),
        (lambda: node.SetDisplayVisibility(False), ["list"]),
        (lambda: setInBeam(node, False), ["list", "place"]),
        (lambda: advance(node, 1.0), []),
        (lambda: setInBeam(node, True), ["list", "place"]),
        (lambda: setShape(node, KWire(1.2)), ["list", "place"]),
        (lambda: slicer.util.updateTransformMatrixFromArray(node.GetParentTransformNode(), np.eye(4)), ["place"]),
        (lambda: removeTool(node), ["list", "place"]),
    ):
        heard.clear()
        change()
        assert sorted(set(heard)) == expected
    node = addTool("k-wire")
    watch.close()
    heard.clear()
    advance(node, 1.0)
    removeTool(node)
    assert heard == [] and watch.Observations == []
    gone = weakref.ref(watch)
    del watch
    gc.collect()
    assert gone() is None


def test_the_tip_is_found_in_the_picture(scene):
    import json

    node = addTool("k-wire", pointing((10, 0, 20), (0, 0, 1)))
    xray = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "X-ray")
    assert tipInPicture(node, xray) is None
    beam = view()
    xray.SetAttribute(VIEW, json.dumps(beam_to_dict(beam)))
    # At 0/0 columns run towards -R, rows towards -S, 1000/600 magnified, 0.5 mm a pixel.
    assert tipInPicture(node, xray) == pytest.approx((80 - 10 * 1000 / 600 / 0.5, 80 - 20 * 1000 / 600 / 0.5))
    setToolToWorld(node, pointing((100, 0, 0), (0, 0, 1)))
    assert tipInPicture(node, xray) is None
    assert tipInPicture(None, xray) is None


# Jobs


def test_tools_of_the_scene_are_in_the_job(patient, tmp_path):  # noqa: F811
    scene = slicer.mrmlScene
    screw = addTool("cannulated screw", pointing((3, -2, 5), (0.1, 1, 0.2)))
    screw.SetName("Screw / left")
    setInBeam(addTool("k-wire"), False)
    plate = model(scene, *box((0, 0, 0), (1, 20, 5)), "Plate", "PEEK")
    plate.SetAttribute(DENSITY, "1.5")
    placed = beamTools()
    job = writeJob(snapshot(patient, "set"), tmp_path / "job")
    from DeepDRRSlicerLib.dataset.job import read_job

    job = read_job(job)
    assert [(t.name, t.material, t.density) for t in job.tools] == [
        ("Screw _ left", "titanium", 4.54), ("Plate", "PEEK", 1.5)
    ]  # fmt: skip
    for plan, (vertices, faces), tool in zip(job.tools, read_patient(job, 0).tool_meshes, placed):
        matrix = np.array(plan.matrix)
        assert np.allclose(vertices @ matrix[:3, :3].T + matrix[:3, 3], tool.vertices, atol=1e-9)
        assert np.array_equal(faces, tool.faces)
    assert len(make_ready(job, read_patient(job, 0)).tools) == 2
    plate.SetName("Screw / left")
    with pytest.raises(InputError, match="Two tools"):
        snapshot(patient, "set")
