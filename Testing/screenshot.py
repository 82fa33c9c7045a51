"""`make screenshot`: the panel with its views, as a person would see them in Slicer, on the sample CT.

    python Testing/screenshot.py [--output FILE] [--dark] [--size 1280 800] [--sections XRay Dose]
    python Testing/screenshot.py --tour FOLDER [--size 1280 800]

The tour draws one picture of each section of the panel, in the light and in the dark theme.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer"), str(ROOT / "Testing"), str(ROOT / "Utilities")]


def main():
    """Writes screenshot.png, or another file, or a folder of them."""
    options = _options()

    import slicer
    from fetch_sample_ct import fetch

    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from host.application import HostApplication

    ct = read_ct(fetch()["ct"])
    with HostApplication() as host:
        module = host.loadModule(ROOT / "DeepDRRSlicer" / "DeepDRRSlicer.py")
        node = slicer.util.addVolumeFromArray(ct.array, ijkToRAS=ct.ijk_to_ras, name="Chest CT")
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
        widget = host.openModule()
        widget.ui.exportFolderButton.directory = str(Path(tempfile.gettempdir()) / "views")
        widget.logic.getParameterNode().primaryAngle = 30.0
        host.processEvents(until=lambda: _isShown(widget), timeout_s=120)
        if options.tour is None:
            if options.sections:
                _open(widget, options.sections)
            host.processEvents()
            host.screenshot(options.output, tuple(options.size), options.dark)
            print(options.output)
            return
        _use(host, widget)
        options.tour.mkdir(parents=True, exist_ok=True)
        for name in module.PANEL:
            _open(widget, [name])
            for dark in (False, True):
                path = options.tour / f"{name}{'-dark' if dark else ''}.png"
                host.processEvents()
                host.screenshot(path, tuple(options.size), dark)
                print(path)


def _isShown(widget):
    return widget.sections["XRay"].isIdle and "LAO 30" in widget.ui.statusLabel.text


def _use(host, widget):
    """A second on the pedal and a wire, so that there is something to read off."""
    from DeepDRRSlicerLib.scene import pedal

    widget.ui.addToolButton.click()
    pedal.setPressed(True)
    host.processEvents(until=lambda: "X-rays on" in widget.ui.statusLabel.text, timeout_s=120)
    pedal.setPressed(False)
    host.processEvents(until=lambda: widget.sections["XRay"].isIdle, timeout_s=120)


def _open(widget, names):
    """Unfolds sections, with all that they hold, and folds the others."""
    for name in widget.sections:
        button = getattr(widget.ui, f"{name.lower()}Section")
        button.collapsed = name not in names
    for part in vars(widget.ui).values():
        if part.className() == "ctkCollapsibleGroupBox":
            part.collapsed = False


def _options():
    parser = argparse.ArgumentParser(description="Draws the module's panel and views on the sample CT.")
    parser.add_argument("--output", type=Path, default=ROOT / "screenshot.png")
    parser.add_argument("--dark", action="store_true", help="Slicer's dark theme")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 1000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--sections", nargs="+", default=(), help="unfold these alone, such as XRay Dose")
    parser.add_argument("--tour", type=Path, metavar="FOLDER", help="a picture of each section, light and dark")
    return parser.parse_args()


if __name__ == "__main__":
    main()
