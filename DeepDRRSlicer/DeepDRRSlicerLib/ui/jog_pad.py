"""Buttons and keys that move the machine step by step, or on and on while they are held."""

import time

import qt

_STEP = {"primary": 1.0, "secondary": 1.0, "table_tilt": 1.0}  # degrees of a tap
_STEP_MM = 5.0
_DELAY = 0.25  # s that a button is held before it moves on and on
_TICK_MS = 40
_LONGEST = 0.1  # s: a key that repeats slowly, or a busy window, moves no farther at once

# Name of the button, what it moves, which way, and its key.
JOGS = (
    ("RAO", "primary", -1, "Ctrl+Shift+Left"),
    ("LAO", "primary", 1, "Ctrl+Shift+Right"),
    ("Cranial", "secondary", 1, "Ctrl+Shift+Up"),
    ("Caudal", "secondary", -1, "Ctrl+Shift+Down"),
    ("SIDLess", "sid", -1, "Ctrl+Shift+PgDown"),
    ("SIDMore", "sid", 1, "Ctrl+Shift+PgUp"),
    ("TableUp", "table_height", 1, "Alt+Shift+PgUp"),
    ("TableDown", "table_height", -1, "Alt+Shift+PgDown"),
    ("TableIn", "table_longitudinal", 1, "Alt+Shift+Up"),
    ("TableOut", "table_longitudinal", -1, "Alt+Shift+Down"),
    ("TableLeft", "table_lateral", -1, "Alt+Shift+Right"),
    ("TableRight", "table_lateral", 1, "Alt+Shift+Left"),
    ("TiltUp", "table_tilt", 1, "Alt+Shift+Home"),
    ("TiltDown", "table_tilt", -1, "Alt+Shift+End"),
)
_TYPED_IN = ("QAbstractSpinBox", "QLineEdit", "QTextEdit", "QPlainTextEdit")


class JogPad:
    """Calls onJog(what, signed degrees or mm): a step at once, then as fast as speedOf(what) says, per second."""

    def __init__(self, ui, onJog, speedOf, clock=time.monotonic):
        self._onJog, self._speedOf, self._clock = onJog, speedOf, clock
        self._held = None  # (what, direction)
        self._since = self._last = 0.0
        self._keyTimes = {}
        self._enabled = None
        self.buttons = {}
        self._shortcuts = []
        self._timer = qt.QTimer(ui.carmSection)
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._onTick)
        for name, what, direction, key in JOGS:
            button = getattr(ui, f"jog{name}Button")
            button.connect("pressed()", lambda what=what, direction=direction: self._press(what, direction))
            button.connect("released()", self._release)
            self.buttons[name] = button
            shortcut = qt.QShortcut(ui.carmSection)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setContext(qt.Qt.ApplicationShortcut)
            shortcut.setEnabled(False)
            shortcut.connect("activated()", lambda what=what, direction=direction: self._key(what, direction))
            self._shortcuts.append(shortcut)

    def setEnabled(self, enabled, without=()):
        """Let buttons and keys move things, or not; never what is named in `without`."""
        if not enabled:
            self._release()
        if (enabled, without) == self._enabled:
            return
        self._enabled = enabled, without
        for (name, what, _, _), shortcut in zip(JOGS, self._shortcuts):
            self.buttons[name].setEnabled(enabled and what not in without)
            shortcut.setEnabled(enabled and what not in without)

    def _press(self, what, direction):
        self._held = what, direction
        self._since = self._last = self._clock()
        self._timer.start()
        self._step(what, direction)

    def _release(self):
        self._held = None
        self._timer.stop()

    def _onTick(self):
        now = self._clock()
        passed, self._last = now - self._last, now
        if self._held is not None and now - self._since >= _DELAY:
            what, direction = self._held
            self._onJog(what, direction * self._speedOf(what) * min(passed, _LONGEST))

    def _key(self, what, direction):
        """A key repeats as long as it is held: the first time a step, then as far as the time since allows."""
        focus = qt.QApplication.focusWidget()
        if focus is not None and any(focus.inherits(name) for name in _TYPED_IN):
            return
        now = self._clock()
        passed, self._keyTimes[what] = now - self._keyTimes.get(what, 0.0), now
        if passed < _DELAY * 3:
            self._onJog(what, direction * self._speedOf(what) * min(passed, _LONGEST))
        else:
            self._step(what, direction)

    def _step(self, what, direction):
        self._onJog(what, direction * _STEP.get(what, _STEP_MM))
