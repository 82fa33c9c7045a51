"""`make screenshot`: the panel with its views, as a person would see them in Slicer, on the sample CT."""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer"), str(ROOT / "Testing"), str(ROOT / "Utilities")]


def main():
    """Writes screenshot.png, or another file."""
    parser = argparse.ArgumentParser(description="Draws the module's panel and views on the sample CT.")
    parser.add_argument("--output", type=Path, default=ROOT / "screenshot.png")
    parser.add_argument("--dark", action="store_true", help="Slicer's dark theme")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 1000), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()

    import slicer
    from fetch_sample_ct import fetch

    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from host.application import HostApplication

    ct = read_ct(fetch()["ct"])
    with HostApplication() as host:
        host.loadModule(ROOT / "DeepDRRSlicer" / "DeepDRRSlicer.py")
        node = slicer.util.addVolumeFromArray(ct.array, ijkToRAS=ct.ijk_to_ras, name="Chest CT")
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetWindowLevelMinMax(-160, 240)
        widget = host.openModule()
        widget.ui.exportFolderButton.directory = str(Path(tempfile.gettempdir()) / "views")
        widget.logic.getParameterNode().primaryAngle = 30.0
        host.processEvents(until=lambda: "LAO 30" in widget.ui.statusLabel.text, timeout_s=120)
        host.screenshot(options.output, tuple(options.size), options.dark)
    print(options.output)


if __name__ == "__main__":
    main()
