"""The attempts at tasks, one a row of a table node that is saved with the scene; the same table as a CSV file."""

import csv
import io
from pathlib import Path

import vtk

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.rehearsal.score import MEASURES, Row
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode

_ROLE = "task.attempts"
_CLASS = "vtkMRMLTableNode"
NUMBER, TASK, LEARNER, DATE, OUTCOME = "attempt", "task", "learner", "started", "outcome"
_HEAD = (NUMBER, TASK, LEARNER, DATE, OUTCOME)
_LIMIT = "_limit"
FINISHED, ABANDONED = "finished", "abandoned"


def attemptsNode():
    """The table node of the attempts, or None before the first."""
    return findNode(_ROLE, _CLASS)


def addAttempt(head, rows):
    """Add an attempt; returns its number. head: of TASK, LEARNER, DATE, OUTCOME. rows: of rehearsal/score.py."""
    node = ensureNode(_ROLE, _CLASS, "Attempts")
    table = node.GetTable()
    for name in _columns():
        if table.GetColumnByName(name) is None:
            node.AddColumn(_column(name, table.GetNumberOfRows()))
    number = 1 + max((int(a[NUMBER]) for a in attempts()), default=0)
    texts = {NUMBER: str(number)} | {name: " ".join(text.split()) for name, text in head.items()}
    for row in rows:
        texts[_title(row.key)] = "" if row.value is None else repr(round(float(row.value), 6))
        if row.limit is not None:
            texts[_title(row.key) + _LIMIT] = repr(float(row.limit))
    index = node.AddEmptyRow()
    for name in _columns():
        node.GetTable().GetColumnByName(name).SetValue(index, texts.get(name, ""))
    node.GetTable().Modified()
    node.Modified()
    return number


def attempts():
    """Every attempt as {column: text}, in the order in which they were made."""
    node = attemptsNode()
    if node is None:
        return []
    table = node.GetTable()
    columns = {name: table.GetColumnByName(name) for name in _columns()}
    if columns[NUMBER] is None:
        return []
    texts = [
        {name: str(column.GetVariantValue(n).ToString()) for name, column in columns.items() if column is not None}
        for n in range(table.GetNumberOfRows())
    ]
    return [attempt for attempt in texts if attempt[NUMBER].isdigit()]


def rowsOf(attempt):
    """The Rows of an attempt in the order of MEASURES, of those that it has."""
    rows = []
    for key in MEASURES:
        value, limit = (_number(attempt.get(_title(key) + end, "")) for end in ("", _LIMIT))
        if value is not None or limit is not None:
            rows.append(Row(key, value, limit))
    return rows


def writeAttempts(folder):
    """Write all attempts to attempts.csv in a folder; returns its path. Raises InputError where that cannot be."""
    made = attempts()
    if not made:
        raise InputError("There are no attempts yet; finish one first.")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns())
    writer.writeheader()
    writer.writerows(made)
    path = Path(folder) / "attempts.csv"
    try:
        path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")  # the mark tells Excel that it is UTF-8
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}; choose another folder.") from error
    return path


def _columns():
    names = list(_HEAD)
    for key in MEASURES:
        names += [_title(key), _title(key) + _LIMIT]
    return names


def _title(key):
    """The column of a measure: its key and its unit in letters that every program takes."""
    unit = {"°": "deg", "mm": "mm", "s": "s", "mGy": "mGy", "Gy·cm²": "Gycm2"}.get(MEASURES[key][1], "")
    return f"{key}_{unit}" if unit else key


def _column(name, length):
    column = vtk.vtkStringArray()
    column.SetName(name)
    column.SetNumberOfValues(length)
    for n in range(length):
        column.SetValue(n, "")
    return column


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
