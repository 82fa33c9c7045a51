"""The panel's .ui files: which widget of which class has which name."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Interface:
    """classes: object name -> class, of all .ui files of a module together."""

    classes: dict = field(default_factory=dict)

    def matching(self, pattern):
        """Classes of the widgets whose whole name matches a regular expression."""
        return frozenset(cls for name, cls in self.classes.items() if re.fullmatch(pattern, name))


def read_interfaces(paths):
    """One Interface of all files."""
    classes = {}
    for path in paths:
        for element in ElementTree.parse(path).getroot().iter():
            if element.tag in ("widget", "layout") and element.get("name"):
                classes[element.get("name")] = element.get("class")
    return Interface(classes)


def interface_files(folder):
    """The .ui files below a folder."""
    return sorted(Path(folder).rglob("*.ui"))
