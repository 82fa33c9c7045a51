"""Says in one sentence why the tests on the card cannot run, and ends with 2; else names the card and ends with 0."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "DeepDRRSlicer"))

from DeepDRRSlicerLib.errors import InputError  # noqa: E402
from DeepDRRSlicerLib.projection.projector import backend_in_use  # noqa: E402

if __name__ == "__main__":
    try:
        print(f"Testing on {backend_in_use('cuda')[1]}.")
    except InputError as error:
        print(str(error).replace("; use --backend cpu or auto", ""), file=sys.stderr)
        sys.exit(2)
