"""Panel section "Tools": wires, screws, needles and models in the beam, and how they are moved."""

import numpy as np
import qt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.machine_state import isocenterOf
from DeepDRRSlicerLib.scene.tool_drive import (
    NAMES,
    addTool,
    advance,
    alignToLine,
    driverOf,
    handlesShown,
    lineEnds,
    pointing,
    removeTool,
    setDriver,
    setShape,
    shapeOf,
    showHandles,
    tipOf,
    twist,
    useAsTool,
)
from DeepDRRSlicerLib.scene.tool_tip import hideTip, markTip
from DeepDRRSlicerLib.scene.tool_watch import ToolWatch
from DeepDRRSlicerLib.scene.tools import MATERIAL, beamTools, isInBeam, isTool, setInBeam, toolNodes
from DeepDRRSlicerLib.ui.tool_keys import ToolKeys
from DeepDRRSlicerLib.ui.tool_size import ToolSize

# What tools are made of, in the material library's names; the library has more.
MATERIALS = {
    "stainless steel 316L": _("Stainless steel"),
    "titanium": _("Titanium"),
    "CoCrMo": _("Cobalt-chrome"),
    "nitinol": _("Nitinol"),
    "tantalum": _("Tantalum"),
    "tungsten": _("Tungsten"),
    "lead": _("Lead"),
    "aluminium": _("Aluminium"),
    "PEEK": _("PEEK"),
    "PMMA": _("PMMA"),
    "bone cement": _("Bone cement"),
}
_ROW = 22  # pixels
_NAME, _MATERIAL, _BEAM, _SHOWN = range(4)


class ToolsSection(VTKObservationMixin):
    """The list of tools, and what is said of the chosen one. onMove is called when the beam meets other tools."""

    def __init__(self, ui, onMove):
        VTKObservationMixin.__init__(self)
        self._ui, self._onMove = ui, onMove
        self._parameters = self._watch = None
        self._shown = None  # what the section shows of the parameter node
        self._showing = False
        self._ids = []  # of the tools in the table, by row
        self._keys = ToolKeys(ui.toolsSection, self.onKey)
        self._size = ToolSize(ui.toolShapeGroup, self.onShape)
        for name in NAMES.values():
            ui.toolKindSelector.addItem(_(name))
        for title in MATERIALS.values():
            ui.toolMaterialSelector.addItem(title)
        self._makeTable()
        ui.addToolButton.connect("clicked(bool)", self.onAdd)
        ui.useModelButton.connect("clicked(bool)", self.onUse)
        ui.removeToolButton.connect("clicked(bool)", self.onRemove)
        ui.toolTable.connect("cellChanged(int,int)", self.onCell)
        ui.toolTable.connect("currentCellChanged(int,int,int,int)", self.onRow)
        ui.toolMaterialSelector.connect("activated(int)", self.onMaterial)
        ui.toolDriverSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onDriver)
        ui.toolHandlesCheckBox.connect("toggled(bool)", self.onHandles)
        ui.advanceToolButton.connect("clicked(bool)", lambda: self.onKey("advance", 1.0))
        ui.retractToolButton.connect("clicked(bool)", lambda: self.onKey("retract", 1.0))
        ui.twistLeftButton.connect("clicked(bool)", lambda: self.onKey("left", 1.0))
        ui.twistRightButton.connect("clicked(bool)", lambda: self.onKey("right", 1.0))
        ui.tipAtEntryButton.connect("clicked(bool)", lambda: self.onAlign(False))
        ui.tipAtTargetButton.connect("clicked(bool)", lambda: self.onAlign(True))

    def setParameters(self, parameters):
        """Show another parameter node, or None, which listens to nothing."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self.removeObservers()
        self._parameters, self._shown = parameters, None
        if parameters is not None:
            self._watch = ToolWatch(self.onListChanged, self.onMoved)
        self._keys.setEnabled(parameters is not None)

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        nodes = [node and node.GetID() for node in (parameters.tool, parameters.toolLine, parameters.xray)]
        if self._shown == (nodes, parameters.toolTipShown):
            return  # the C-arm has moved
        self._shown = nodes, parameters.toolTipShown
        self.removeObservers()
        events = slicer.vtkMRMLMarkupsNode.PointModifiedEvent, vtk.vtkCommand.ModifiedEvent
        for node, event in zip((parameters.toolLine, parameters.xray), events):
            if node is not None:
                self.addObserver(node, event, self.onSeen)
        self._show()

    def onListChanged(self):
        """A tool has come, gone, or is another one."""
        self._show()

    def onMoved(self):
        """The beam meets other tools, or the same ones elsewhere."""
        self._showTip()
        self._onMove()

    def onAdd(self):
        """Make a tool of the chosen kind, at the isocentre, pointing to the front."""
        if self._parameters is not None:
            kind = list(NAMES)[self._ui.toolKindSelector.currentIndex]
            self._parameters.tool = addTool(kind, pointing(isocenterOf(self._parameters), np.array([0.0, 1.0, 0.0])))

    def onUse(self):
        """Put a model of the scene into the beam."""
        node = self._ui.toolModelSelector.currentNode()
        if self._parameters is not None and node is not None:
            useAsTool(node)
            self._parameters.tool = node

    def onRemove(self):
        """Remove the chosen tool."""
        node = self._tool()
        if node is not None:
            removeTool(node)
            left = toolNodes()
            self._parameters.tool = left[-1] if left else None

    def onRow(self, row, _column, _rowBefore, _columnBefore):
        """Choose the tool of a row."""
        if not self._showing and self._parameters is not None and 0 <= row < len(self._ids):
            self._parameters.tool = slicer.mrmlScene.GetNodeByID(self._ids[row])

    def onCell(self, row, column):
        """A tool was renamed, or a box ticked."""
        if self._showing or self._parameters is None or not 0 <= row < len(self._ids):
            return
        node, item = slicer.mrmlScene.GetNodeByID(self._ids[row]), self._ui.toolTable.item(row, column)
        if column == _NAME and item.text().strip():
            node.SetName(item.text().strip())
        elif column == _BEAM:
            setInBeam(node, item.checkState() == qt.Qt.Checked)
        elif column == _SHOWN:
            node.SetDisplayVisibility(item.checkState() == qt.Qt.Checked)
        self._show()

    def onMaterial(self, index):
        """Make the tool of something else."""
        if self._tool() is not None:
            self._tool().SetAttribute(MATERIAL, list(MATERIALS)[index])

    def onShape(self, kind, numbers):
        """Give the tool another size."""
        node = self._tool()
        if node is None:
            return
        try:
            setShape(node, kind(**numbers))
        except InputError as error:
            self._ui.toolWarningLabel.setText(str(error))

    def onDriver(self, transform):
        """Let a transform carry the tool."""
        node = self._tool()
        if self._showing or node is None or driverOf(node) is transform:
            return
        try:
            setDriver(node, transform)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
        self._show()

    def onHandles(self, shown):
        """Draw handles, or take them away."""
        if not self._showing and self._tool() is not None:
            showHandles(self._tool(), shown)

    def onKey(self, action, share):
        """Move the chosen tool by a step, or a part of it."""
        node = self._tool()
        if node is None:
            return
        along, about = self._parameters.toolStep * share, self._parameters.toolTwist * share
        if action in ("advance", "retract"):
            advance(node, along if action == "advance" else -along)
        else:
            twist(node, about if action == "right" else -about)

    def onAlign(self, atTarget):
        """Lay the tool on the line."""
        if self._tool() is None:
            return
        try:
            alignToLine(self._tool(), self._parameters.toolLine, atTarget)
        except InputError as error:
            slicer.util.errorDisplay(str(error))

    def onSeen(self, caller, event):
        """Another picture is shown, in which the tip is elsewhere, or the line has been moved."""
        self._showTip()

    def _tool(self):
        node = self._parameters.tool if self._parameters is not None else None
        return node if node is not None and isTool(node) else None

    def _makeTable(self):
        table = self._ui.toolTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Tool"), _("Material"), _("In beam"), _("Shown")])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(_ROW)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        for column in range(4):
            stretch = qt.QHeaderView.Stretch if column == _NAME else qt.QHeaderView.ResizeToContents
            table.horizontalHeader().setSectionResizeMode(column, stretch)

    def _show(self):
        if self._parameters is None:
            return
        self._showing = True
        node, ui = self._tool(), self._ui
        self._showTable(node)
        there = node is not None
        material = node.GetAttribute(MATERIAL) if there else None
        ui.toolMaterialSelector.setCurrentIndex(list(MATERIALS).index(material) if material in MATERIALS else -1)
        shape = shapeOf(node) if there else None
        self._size.show(shape)
        ui.toolShapeLabel.setVisible(shape is None)
        ui.toolDriverSelector.setCurrentNode(driverOf(node) if there else None)
        ui.toolHandlesCheckBox.setChecked(there and handlesShown(node))
        for widget in (
            ui.toolMaterialSelector, ui.toolDriverSelector, ui.toolHandlesCheckBox, ui.removeToolButton,
            ui.advanceToolButton, ui.retractToolButton, ui.twistLeftButton, ui.twistRightButton, ui.toolShapeGroup,
        ):  # fmt: skip
            widget.setEnabled(there)
        line = there and self._parameters.toolLine is not None
        ui.tipAtEntryButton.setEnabled(line)
        ui.tipAtTargetButton.setEnabled(line)
        self._showing = False
        self._showTip()

    def _showTable(self, chosen):
        table, nodes = self._ui.toolTable, toolNodes()
        self._ids = [node.GetID() for node in nodes]
        table.setRowCount(len(nodes))
        for row, node in enumerate(nodes):
            material = node.GetAttribute(MATERIAL) or ""
            fixed = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
            self._setCell(row, _NAME, node.GetName(), fixed | qt.Qt.ItemIsEditable)
            self._setCell(row, _MATERIAL, MATERIALS.get(material, material or _("none chosen")), fixed)
            ticked = fixed | qt.Qt.ItemIsUserCheckable
            self._setCell(row, _BEAM, "", ticked, isInBeam(node))
            self._setCell(row, _SHOWN, "", ticked, bool(node.GetDisplayVisibility()))
        if chosen is not None:
            table.setCurrentCell(self._ids.index(chosen.GetID()), _NAME)

    def _setCell(self, row, column, text, flags, ticked=None):
        item = qt.QTableWidgetItem(text)
        item.setFlags(int(flags))
        if ticked is not None:
            item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self._ui.toolTable.setItem(row, column, item)

    def _showTip(self):
        parameters, node = self._parameters, self._tool()
        text, warning = "–", ""
        try:
            tip = tipOf(node) if node is not None else None
            if tip is not None:
                text = _("R {r}  A {a}  S {s} mm").format(**{n: f"{x:.1f}" for n, x in zip("ras", tip)})
                if parameters.toolLine is not None and parameters.toolLine.GetNumberOfDefinedControlPoints() > 1:
                    left = np.linalg.norm(lineEnds(parameters.toolLine)[1] - tip)
                    text += _(", {left} mm to the target").format(left=f"{left:.1f}")
            beamTools()
        except InputError as error:
            warning = str(error)
        self._ui.toolTipLabel.setText(text)
        self._ui.toolWarningLabel.setText(warning)
        self._ui.toolWarningLabel.setVisible(bool(warning))
        if parameters.toolTipShown and node is not None:
            markTip(node, parameters.xray)
        else:
            hideTip()
