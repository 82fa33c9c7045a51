"""The table of the section "Tasks": the measures of one attempt, or of two beside each other."""

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.rehearsal.score import MEASURES, met_count
from DeepDRRSlicerLib.scene.task_table import (
    DATE,
    FINISHED,
    LEARNER,
    NUMBER,
    OUTCOME,
    TASK,
    attempts,
    attemptsNode,
    rowsOf,
)

_GOOD, _BAD = "#2e9b4f", "#d2443c"
_ROW = 21  # pixels
_MEASURE, _LIMIT, _FIRST, _SECOND = range(4)


class TaskResult:
    """Which attempts are shown is chosen in two selectors; the second may be none."""

    def __init__(self, ui):
        self._ui = ui
        self._known = ()  # the state of the table node that is shown
        table = ui.taskResultTable
        table.setColumnCount(4)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(_ROW)
        table.setSelectionMode(qt.QAbstractItemView.NoSelection)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        for column in range(4):
            stretch = qt.QHeaderView.Stretch if column == _MEASURE else qt.QHeaderView.ResizeToContents
            table.horizontalHeader().setSectionResizeMode(column, stretch)
        ui.taskAttemptSelector.connect("activated(int)", self.onChosen)
        ui.taskCompareSelector.connect("activated(int)", self.onChosen)

    def update(self, newest=False):
        """Follow the table of attempts; newest: show the last of them."""
        node = attemptsNode()
        key = node and (node.GetID(), node.GetMTime(), node.GetTable().GetMTime())
        if key == self._known and not newest:
            return
        made = attempts()
        first, second = self._ui.taskAttemptSelector, self._ui.taskCompareSelector
        chosen = first.currentIndex, second.currentIndex
        self._known = key
        first.clear()
        second.clear()
        second.addItem(_("none"))
        for attempt in made:
            first.addItem(_name(attempt))
            second.addItem(_name(attempt))
        last = len(made) - 1
        first.setCurrentIndex(last if newest or not 0 <= chosen[0] <= last else chosen[0])
        second.setCurrentIndex(chosen[1] if 0 < chosen[1] <= len(made) else 0)
        self._ui.saveAttemptsButton.setEnabled(bool(made))
        self._ui.label_tasksForm_attempt.setVisible(bool(made))
        self._show(made)

    def onChosen(self, index):
        """Show another attempt."""
        self._show(attempts())

    def _show(self, made):
        ui, table = self._ui, self._ui.taskResultTable
        index, other = ui.taskAttemptSelector.currentIndex, ui.taskCompareSelector.currentIndex - 1
        shown = [made[n] for n in (index, other) if 0 <= n < len(made)]
        rows = [{row.key: row for row in rowsOf(attempt)} for attempt in shown]
        keys = [key for key in MEASURES if any(key in found for found in rows)]
        table.setColumnHidden(_SECOND, len(shown) < 2)
        titles = [_("No. {number}").format(number=attempt[NUMBER]) for attempt in shown]
        table.setHorizontalHeaderLabels([_("Measure"), _("At most"), *titles, *[""] * (2 - len(titles))])
        table.setRowCount(len(keys))
        for line, key in enumerate(keys):
            title, unit, _digits = MEASURES[key]
            limit = next((found[key].limit for found in rows if key in found), None)
            self._setCell(line, _MEASURE, f"{_(title)} [{unit}]" if unit else _(title))
            self._setCell(line, _LIMIT, "" if limit is None else _number(limit, key))
            for column, found in zip((_FIRST, _SECOND), rows):
                self._setMeasure(line, column, found.get(key), key)
        for widget in (table, ui.taskAttemptSelector, ui.taskCompareLabel, ui.taskCompareSelector):
            widget.setVisible(bool(made))
        ui.taskSummaryLabel.setText(_summary(shown[0]) if shown else _("No attempt has been made yet."))

    def _setMeasure(self, line, column, row, key):
        if row is None:
            self._setCell(line, column, "")
            return
        text = "–" if row.value is None else _number(row.value, key)
        mark = {None: "", True: " ✓", False: " ✗"}[row.met]
        item = self._setCell(line, column, text + mark)
        if row.met is not None:
            item.setForeground(qt.QBrush(qt.QColor(_GOOD if row.met else _BAD)))

    def _setCell(self, line, column, text):
        item = qt.QTableWidgetItem(text)
        if column != _MEASURE:
            item.setTextAlignment(int(qt.Qt.AlignRight | qt.Qt.AlignVCenter))
        self._ui.taskResultTable.setItem(line, column, item)
        return item


def _number(value, key):
    digits = MEASURES[key][2]
    return f"{value:.{digits}f}"


def _name(attempt):
    text = f"{attempt[NUMBER]}: {attempt[TASK]}"
    if attempt[LEARNER]:
        text += f", {attempt[LEARNER]}"
    return text if attempt[OUTCOME] == FINISHED else _("{name} (abandoned)").format(name=text)


def _summary(attempt):
    kept, limits = met_count(rowsOf(attempt))
    text = _("No. {number}, {date}: {kept} of {limits} limits kept.")
    return text.format(number=attempt[NUMBER], date=attempt[DATE], kept=kept, limits=limits)
