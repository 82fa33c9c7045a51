"""Panel section "Materials": what the CT is made of, which segment is what, and a look at it."""

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.anatomy.segment_materials import UNSEGMENTED
from DeepDRRSlicerLib.anatomy.substances import CLASSES, VESSEL
from DeepDRRSlicerLib.dataset.materials import NETWORK
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.materials import material_names
from DeepDRRSlicerLib.scene.materials import (
    AUTOMATIC,
    LABEL_MAP,
    MODES,
    SEGMENTATION,
    THRESHOLD,
    chooseMaterial,
    materialsFingerprint,
    materialsNode,
    rows,
)
from DeepDRRSlicerLib.scene.materials_view import hideMaterials, showMaterials
from DeepDRRSlicerLib.scene.request import patientKey

_POLL_MS = 100
_PER_CENT = 100
_ROW_HEIGHT = 22
_NOTHING = ()
_MODE_TITLES = {
    AUTOMATIC: _("Automatic"),
    THRESHOLD: _("Threshold"),
    SEGMENTATION: _("Segmentation"),
    LABEL_MAP: _("Label map"),
}
_IODINE = (10, 50, 100, 150, 300, 370)  # mg/ml


class MaterialsSection:
    """The network begins by itself where it is wanted, in the background; the picture follows when it has an answer.

    onMaterials: called when the materials have become others without a parameter that says so.
    """

    def __init__(self, ui, work, onMaterials):
        self._ui = ui
        self._work = work
        self._onMaterials = onMaterials
        self._parameters = None
        self._node, self._tags = None, []
        self._rows = []
        self._fingerprint = None
        self._looked = None  # what is shown; None until that is known
        self._failure = ""
        self._choices = [None, UNSEGMENTED, *CLASSES, VESSEL, THRESHOLD]
        others = [name for name in material_names() if name not in self._choices]
        self._choices += [*others, *(f"blood with {amount} mgI/ml" for amount in _IODINE)]
        for mode in MODES:
            ui.materialsSelector.addItem(_MODE_TITLES[mode])
        for choice in self._choices:
            ui.materialsChoiceSelector.addItem(_choiceText(choice))
        _makeTable(ui.materialsTable, [_("Segment"), _("Material")])
        ui.materialsTable.setSelectionBehavior(qt.QTableWidget.SelectRows)
        _makeTable(ui.materialAmountsTable, [_("Material"), _("Volume, ml"), _("Density, g/cm³")])
        ui.materialAmountsTable.setSelectionMode(qt.QTableWidget.NoSelection)
        self._poll = qt.QTimer(ui.materialsSection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        self._changed = qt.QTimer(ui.materialsSection)  # a segmentation is drawn in many steps
        self._changed.setSingleShot(True)
        self._changed.setInterval(_POLL_MS)
        self._changed.connect("timeout()", self.onNodeSettled)
        ui.materialsSelector.connect("activated(int)", self.onMode)
        ui.materialsTable.connect("itemSelectionChanged()", self.onSelection)
        ui.materialsChoiceSelector.connect("activated(int)", self.onChoice)
        ui.materialsNetworkButton.connect("clicked(bool)", self.onNetwork)

    def setParameters(self, parameters):
        """Show another parameter node, or None; the network goes on until the scene is closed."""
        self._poll.stop()
        self._work.cancelLook()
        self._parameters = parameters
        self._fingerprint = self._looked = None
        self._failure = ""
        if parameters is None:
            self._observe(None)

    def parametersChanged(self, parameters):
        """Follow the parameter node: the network begins where it is wanted, and what is shown is made anew."""
        ui = self._ui
        ui.materialsSelector.setCurrentIndex(MODES.index(parameters.materials) if parameters.materials in MODES else -1)
        for mode, widgets in (
            (SEGMENTATION, (ui.materialsSegmentationLabel, ui.materialsSegmentationSelector)),
            (LABEL_MAP, (ui.materialsLabelMapLabel, ui.materialsLabelMapSelector)),
        ):
            for widget in widgets:
                widget.setVisible(parameters.materials == mode)
        self._observe(materialsNode(parameters))
        fingerprint = materialsFingerprint(parameters)
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._showRows()
        try:
            patient = patientKey(parameters.ct)
        except InputError:
            patient = None
        if patient is not None and self._work.wantsNetwork(parameters, patient):
            self._failure = ""
            self._work.startNetwork(parameters)
        self._look(patient)
        self._tell(patient)
        if self._work.isRunning or self._work.isLooking:
            self._poll.start()

    def onMode(self, index):
        """Take the materials from elsewhere."""
        if self._parameters is not None:
            self._parameters.materials = MODES[index]

    def onSelection(self):
        """Show the material of the selected segments."""
        chosen = {row.chosen for row in self._selected()}
        same = chosen.pop() if len(chosen) == 1 else ""
        self._ui.materialsChoiceSelector.setEnabled(bool(self._selected()))
        self._ui.materialsChoiceSelector.setCurrentIndex(self._choices.index(same) if same in self._choices else -1)

    def onChoice(self, index):
        """Give the selected segments a material by hand."""
        if self._node is not None and self._selected():
            chooseMaterial(self._node, [row.id for row in self._selected()], self._choices[index])

    def onNetwork(self):
        """Stop the network, or begin it."""
        if self._parameters is None:
            return
        if self._work.isRunning:
            self._work.cancelNetwork()
        else:
            self._failure = ""
            try:
                self._work.startNetwork(self._parameters)
            except InputError as error:
                self._failure = str(error)
        self._refresh()

    def onNodeSettled(self):
        """Segments, or their materials, are others now."""
        if self._parameters is not None and materialsFingerprint(self._parameters) != self._fingerprint:
            self._refresh()
            self._onMaterials()

    def onPoll(self):
        """Take what is ready."""
        try:
            answered = self._work.collectNetwork()
            shown = self._work.collectLook()
        except InputError as error:
            self._fail(str(error))
            return
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
            raise
        self._ui.materialsProgressBar.setValue(round(self._work.progress * _PER_CENT))
        if shown is not None:
            labels, names, found = shown
            showMaterials(self._parameters.ct, labels, names)
            self._showAmounts(found)
        if answered:
            self._refresh()
            self._onMaterials()
        if not self._work.isRunning and not self._work.isLooking:
            self._poll.stop()

    def _refresh(self):
        self.parametersChanged(self._parameters)

    def _fail(self, why):
        self._failure = why
        self._refresh()

    def _look(self, patient):
        """Have what is to be shown made ready, if it is another than what is shown."""
        parameters = self._parameters
        if patient is None or not parameters.materialsShown:
            if self._looked != _NOTHING:
                self._looked = _NOTHING
                self._work.cancelLook()
                hideMaterials()
                self._showAmounts([])
            self._ui.materialAmountsTable.setVisible(False)
            return
        self._ui.materialAmountsTable.setVisible(True)
        wanted = self._fingerprint, self._work.inUse(parameters, patient), patient
        if wanted == self._looked:
            return
        self._looked, self._failure = wanted, ""
        try:
            self._work.startLook(parameters)
        except InputError as error:
            self._failure = str(error)

    def _tell(self, patient):
        """Say what is in use, and what of the network."""
        ui, parameters, work = self._ui, self._parameters, self._work
        running = work.isRunning
        ui.materialsProgressBar.setVisible(running)
        known = patient is not None and work.inUse(parameters, patient) == NETWORK
        wanted = patient is not None and parameters.materials != THRESHOLD and not known
        missing = work.whyNoNetwork() if wanted else None
        ui.materialsNetworkButton.setVisible(running or wanted and missing is None)
        ui.materialsNetworkButton.setText(_("Cancel") if running else _("Run the network"))
        more = _("The network looks at the CT ...") if running else missing
        ui.materialsStatusLabel.setText(" ".join(filter(None, (self._inUse(patient, known), more, self._failure))))

    def _inUse(self, patient, known):
        if patient is None:
            return _("Choose a CT.")
        parameters = self._parameters
        model = _("the network") if known else _("the threshold model")
        if self._work.isRunning:
            model = _("{model}, until the network is ready").format(model=model)
        if parameters.materials not in (SEGMENTATION, LABEL_MAP):
            return _("In use: {model}.").format(model=model)
        if self._node is None:
            return _("In use: {model}; choose segments.").format(model=model)
        return _("In use: {name}, the rest by {model}.").format(name=self._node.GetName(), model=model)

    def _selected(self):
        places = {item.row() for item in self._ui.materialsTable.selectedItems()}
        return [row for place, row in enumerate(self._rows) if place in places]

    def _showRows(self):
        """The table of segments, made anew when they have changed."""
        ui, node = self._ui, self._node
        for widget in (ui.materialsTable, ui.materialsChoiceLabel, ui.materialsChoiceSelector):
            widget.setVisible(node is not None)
        found = self._rows = rows(node) if node is not None else []
        ui.materialsTable.setRowCount(len(found))
        for place, row in enumerate(found):
            _setCell(ui.materialsTable, place, 0, row.name)
            text = _choiceText(row.material)
            if row.chosen is None:
                text = _("{material} (automatic)").format(material=text)
            _setCell(ui.materialsTable, place, 1, text)
        self.onSelection()

    def _showAmounts(self, found):
        table = self._ui.materialAmountsTable
        table.setRowCount(len(found))
        for place, amount in enumerate(found):
            _setCell(table, place, 0, amount.name)
            _setCell(table, place, 1, f"{amount.volume:.1f}")
            _setCell(table, place, 2, f"{amount.density:.3f}")

    def _observe(self, node):
        if node is self._node:
            return
        self._changed.stop()
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._node, self._tags = node, []
        if node is None:
            return
        watched = [(node, "ModifiedEvent"), (node, node.TransformModifiedEvent)]
        if node.IsA("vtkMRMLSegmentationNode"):
            watched.append((node.GetSegmentation(), "AnyEvent"))
        else:
            watched.append((node, node.ImageDataModifiedEvent))
        for each, event in watched:
            self._tags.append((each, each.AddObserver(event, self._onNodeModified)))

    def _onNodeModified(self, caller, event):
        self._changed.start()


def _choiceText(choice):
    if choice is None:
        return _("Automatic")
    return _("As unsegmented") if choice == UNSEGMENTED else choice


def _makeTable(table, titles):
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
    for column in range(len(titles)):
        table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)


def _setCell(table, row, column, text):
    item = qt.QTableWidgetItem(text)
    item.setFlags(int(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable))
    table.setItem(row, column, item)
