"""The size of a tool that was made here, typed in: one panel of spin boxes for each kind."""

from dataclasses import fields

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.projection.tool_shapes import GAUGES, SHAPES, Needle

# field: (title, suffix, decimals, what it is)
_FIELDS = {
    "diameter": (_("Diameter:"), _(" mm"), 2, _("Of the wire, or over the thread of the screw.")),
    "length": (_("Length:"), _(" mm"), 1, _("From the tip to the rear end; of a screw, to the underside of its head.")),
    "tip_angle": (_("Point:"), _("°"), 1, _("Between the facets of the trocar point and the axis.")),
    "core": (_("Core:"), _(" mm"), 2, _("Diameter of the shaft, and of the thread at its root.")),
    "pitch": (_("Pitch:"), _(" mm"), 2, _("Along the axis for one turn of the thread.")),
    "thread": (_("Thread:"), _(" mm"), 1, _("Length of the thread, from the tip.")),
    "cannula": (_("Bore:"), _(" mm"), 2, _("Diameter of the bore for a guide wire; 0 is a solid screw.")),
    "head_diameter": (_("Head:"), _(" mm"), 2, _("Diameter of the head.")),
    "head_length": (_("Head length:"), _(" mm"), 1, _("Height of the head.")),
    "bevel": (_("Bevel:"), _("°"), 1, _("Between the plane of the bevel and the axis.")),
}


class ToolSize:
    """Calls onShape(shape or InputError text) when a number is changed."""

    def __init__(self, group, onShape):
        self._onShape = onShape
        self._group = group
        self._panels = {kind: self._panel(kind, made) for kind, made in SHAPES.items()}
        self._showing = False

    def show(self, shape):
        """Show the numbers of a shape; None hides all panels."""
        self._showing = True
        for kind, (panel, boxes) in self._panels.items():
            mine = isinstance(shape, SHAPES[kind])
            panel.setVisible(mine)
            for name, box in boxes.items() if mine else ():
                if name == "gauge":
                    box.setCurrentIndex(list(GAUGES).index(shape.gauge))
                else:
                    box.setValue(getattr(shape, name))
        self._showing = False

    def _panel(self, kind, made):
        panel = qt.QWidget(self._group)
        panel.setObjectName(f"toolSizePanel_{kind}")
        form = qt.QFormLayout(panel)
        form.setContentsMargins(0, 0, 0, 0)
        boxes = {}
        for field in fields(made):
            box = self._gaugeBox(panel) if field.name == "gauge" else self._numberBox(panel, made, field.name)
            box.setObjectName(f"toolSize_{kind}_{field.name}")
            title = _("Gauge:") if field.name == "gauge" else _FIELDS[field.name][0]
            form.addRow(title, box)
            boxes[field.name] = box
        for name, box in boxes.items():
            signal = "activated(int)" if name == "gauge" else "valueChanged(double)"
            box.connect(signal, self._reader(kind))
        self._group.layout().addWidget(panel)
        panel.setVisible(False)
        return panel, boxes

    def _numberBox(self, panel, made, name):
        _title, suffix, decimals, words = _FIELDS[name]
        low, high = made.limits[name]
        box = qt.QDoubleSpinBox(panel)
        box.setKeyboardTracking(False)
        box.setDecimals(decimals)
        box.setRange(float(low), float(high))
        box.setSingleStep(1.0 if high >= 100 else 0.1)
        box.setSuffix(suffix)
        box.setToolTip(words)
        return box

    def _gaugeBox(self, panel):
        box = qt.QComboBox(panel)
        for gauge, (outer, _inner) in GAUGES.items():
            box.addItem(_("{gauge} G, {outer} mm").format(gauge=gauge, outer=f"{outer:g}"))
        box.setToolTip(_("Gauge of the needle, and its outer diameter."))
        return box

    def _reader(self, kind):
        def read(_value):
            if self._showing:
                return
            boxes = self._panels[kind][1]
            numbers = {name: box.value for name, box in boxes.items() if name != "gauge"}
            if SHAPES[kind] is Needle:
                numbers["gauge"] = list(GAUGES)[boxes["gauge"].currentIndex]
            self._onShape(SHAPES[kind], numbers)

        return read
