"""The space bar as the pedal: held down wherever the window has the keyboard, but not where text is typed."""

import qt
import slicer

_KEY = "Space"
_LET_GO = (qt.QEvent.ApplicationDeactivate, qt.QEvent.WindowDeactivate)


class _Release(qt.QObject):
    """Watches the application while the key is down: until it comes up, or another window takes the keyboard."""

    def __init__(self, onReleased):
        qt.QObject.__init__(self)
        self._onReleased = onReleased

    def eventFilter(self, watched, event):
        kind = event.type()
        if kind == qt.QEvent.KeyRelease:
            released = event.key() == qt.Qt.Key_Space and not event.isAutoRepeat()
        else:
            released = kind in _LET_GO
        if released:
            self._onReleased()
        return False


class PedalKeys:
    """Calls onPressed() and onReleased(), in turn. A shortcut hears the key before buttons and views do.

    Edit fields keep the key for themselves, and holding it down does not press it again.
    """

    def __init__(self, widget, onPressed, onReleased):
        self._onPressed, self._onReleased = onPressed, onReleased
        self._shortcut = qt.QShortcut(widget)
        self._shortcut.setKey(qt.QKeySequence(_KEY))
        self._shortcut.setContext(qt.Qt.ApplicationShortcut)
        self._shortcut.setAutoRepeat(False)
        self._shortcut.setEnabled(False)
        self._shortcut.connect("activated()", self._press)
        self._release = _Release(self._letGo)
        self._held = False

    def setEnabled(self, enabled):
        """Listen, or not; a key that is held is let go of."""
        self._shortcut.setEnabled(enabled)
        if not enabled:
            self._letGo()

    def _press(self):
        if not self._held:
            self._held = True
            slicer.app.installEventFilter(self._release)
            self._onPressed()

    def _letGo(self):
        if self._held:
            self._held = False
            slicer.app.removeEventFilter(self._release)
            self._onReleased()
