"""Keys that advance and twist the chosen tool, while the module is open."""

import qt

# key: (which button it stands for, part of the step)
_KEYS = {
    "Alt+Up": ("advance", 1.0),
    "Alt+Down": ("retract", 1.0),
    "Alt+PgUp": ("advance", 0.1),
    "Alt+PgDown": ("retract", 0.1),
    "Alt+Right": ("right", 1.0),
    "Alt+Left": ("left", 1.0),
}
_TYPED_IN = ("QAbstractSpinBox", "QLineEdit", "QTextEdit", "QPlainTextEdit")


class ToolKeys:
    """Calls act(action, part of the step) for each key, unless something is being typed."""

    def __init__(self, widget, act):
        self._act = act
        self._shortcuts = []
        for key, (action, share) in _KEYS.items():
            shortcut = qt.QShortcut(widget)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setContext(qt.Qt.ApplicationShortcut)
            shortcut.setEnabled(False)
            shortcut.connect("activated()", lambda action=action, share=share: self._onKey(action, share))
            self._shortcuts.append(shortcut)

    def setEnabled(self, enabled):
        """Take the keys, or leave them to others."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(enabled)

    def _onKey(self, action, share):
        focus = qt.QApplication.focusWidget()
        if focus is None or not any(focus.inherits(kind) for kind in _TYPED_IN):
            self._act(action, share)
