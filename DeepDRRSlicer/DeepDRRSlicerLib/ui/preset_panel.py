"""Standard views by group, and a person's own positions: a button for each, which sends the C-arm there."""

import json

import qt
import slicer
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import view_name
from DeepDRRSlicerLib.geometry.presets import GROUPS
from DeepDRRSlicerLib.geometry.saved_positions import positions_from_json, positions_to_json

_MOST_COLUMNS = 4
_PANEL, _LETTER, _BORDER = 380, 6, 12  # pixels: width of the panel at least, of a letter, and about the text
_SAVED = _("My positions")


def savedPositions(parameters):
    """{name: SavedPosition} of the parameter node. Raises InputError for what cannot be read."""
    if not parameters.savedPositions:
        return {}
    try:
        data = json.loads(parameters.savedPositions)
    except ValueError as error:
        raise InputError(f"The saved positions of this scene cannot be read: {error}.") from error
    return positions_from_json(data)


class PresetPanel:
    """onView(primary, secondary) and onSaved(SavedPosition) send the C-arm; standing() tells where it stands."""

    def __init__(self, ui, onView, onSaved, standing):
        self._ui = ui
        self._onView, self._onSaved, self._standing = onView, onSaved, standing
        self._parameters = None
        self._saved = {}
        self._name = None  # of the saved position chosen last
        self.groups = [*GROUPS, _SAVED]
        self._buttons = {name: [] for name in self.groups}
        for name in self.groups:
            ui.presetGroupSelector.addItem(_(name))
        for group, presets in GROUPS.items():
            for preset in presets:
                self._addViewButton(group, preset)
        ui.presetGroupSelector.connect("currentIndexChanged(int)", self._showGroup)
        ui.savePositionButton.connect("clicked(bool)", self.onSave)
        ui.renamePositionButton.connect("clicked(bool)", self.onRename)
        ui.deletePositionButton.connect("clicked(bool)", self.onDelete)
        self._showGroup()

    def buttonOf(self, name):
        """The button of a standard view or saved position, or None."""
        found = [button for buttons in self._buttons.values() for button in buttons if button.text == name]
        return found[0] if found else None

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._name = None
        self._refill()

    def parametersChanged(self, parameters):
        """Follow the saved positions of the parameter node."""
        self._refill()

    def onSave(self):
        """Save where the C-arm stands, under the name typed or one made of the view."""
        if self._parameters is None:
            return
        position = self._standing()
        name = self._typedName() or view_name(position.primary_angle, position.secondary_angle)
        self._write({**self._saved, name: position}, name)

    def onRename(self):
        """Give the position chosen last the name that is typed."""
        name = self._typedName()
        if self._parameters is None or self._name not in self._saved or not name or name == self._name:
            return
        renamed = {name if old == self._name else old: p for old, p in self._saved.items() if old != name}
        self._write(renamed, name)

    def onDelete(self):
        """Delete the position whose name is typed, or else the one chosen last."""
        name = self._typedName() if self._typedName() in self._saved else self._name
        if self._parameters is not None and name in self._saved:
            self._write({other: p for other, p in self._saved.items() if other != name}, None)

    def _typedName(self):
        return self._ui.savedNameEdit.text.strip()

    def _write(self, positions, name):
        data = positions_to_json(positions)
        try:
            positions_from_json(data)  # a name may be too long
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._name = name
        self._ui.savedNameEdit.setText(name or "")
        self._parameters.savedPositions = json.dumps(data) if positions else ""

    def _refill(self):
        """A button for each saved position."""
        try:
            saved = savedPositions(self._parameters) if self._parameters is not None else {}
        except InputError:  # a scene made by hand; the next one that is saved replaces them
            saved = {}
        if saved == self._saved and len(saved) == len(self._buttons[_SAVED]):
            return
        self._saved = saved
        for button in self._buttons[_SAVED]:
            button.setVisible(False)
            button.deleteLater()
        self._buttons[_SAVED] = []
        for name, position in saved.items():
            view = view_name(position.primary_angle, position.secondary_angle)
            tip = _("{view}, SID {sid:g} mm").format(view=view, sid=position.sid)
            self._addButton(_SAVED, name, tip, self._goTo(name))
        self._showGroup()

    def _goTo(self, name):
        def go():
            self._name = name
            self._ui.savedNameEdit.setText(name)
            self._onSaved(self._saved[name])

        return go

    def _addViewButton(self, group, preset):
        primary, secondary = preset.primary_angle, preset.secondary_angle
        tip = f"{view_name(primary, secondary)}: {primary:g}° / {secondary:g}°. {_(preset.text)}."
        self._addButton(group, preset.name, tip, lambda: self._onView(primary, secondary))

    def _addButton(self, group, name, tip, onClicked):
        button = qt.QPushButton(_(name), self._ui.presetPanel)
        button.setToolTip(tip)
        button.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        button.connect("clicked(bool)", onClicked)
        self._buttons[group].append(button)

    def _showGroup(self):
        chosen = self.groups[self._ui.presetGroupSelector.currentIndex]
        grid = self._ui.presetPanel.layout()
        for buttons in self._buttons.values():
            for button in buttons:
                grid.removeWidget(button)
                button.setVisible(False)
        longest = max((len(button.text) for button in self._buttons[chosen]), default=1)
        columns = min(max(_PANEL // (longest * _LETTER + _BORDER), 1), _MOST_COLUMNS)
        for place, button in enumerate(self._buttons[chosen]):
            grid.addWidget(button, place // columns, place % columns)
            button.setVisible(True)
        self._ui.savedPanel.setVisible(chosen == _SAVED)
