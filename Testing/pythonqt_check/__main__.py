"""Prints a line for each finding; exit code 1 if there is one, 2 if a file cannot be read."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pythonqt_check.check import check_files, shipped_files  # noqa: E402


def main(arguments):
    """Exit code 0, 1 or 2."""
    try:
        findings = check_files([Path(name) for name in arguments] or shipped_files())
    except (OSError, SyntaxError) as error:
        print(f"pythonqt_check: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
