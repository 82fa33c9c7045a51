"""How fast the C-arm feels: a table of latencies, frame rates, and of how long the window is blocked.

    QT_QPA_PLATFORM=offscreen python Testing/benchmarks/felt_speed.py [CT] [--matrix 4 3 2 1] [--rates 15 30]

The module runs in the test host on the sample CT, or on another one, and is steered as by hand. Matrices are named by
the detector's binning. Latency is the time from a change of a parameter to the picture of it in the scene; refined is
counted from the last change. Blocked is the longest time that the event loop was away, told by a timer that beats each
millisecond; after the stroke stands the processor time of it, which other programs on the computer do not lengthen. In
the test host views are drawn on request only, so rendering is not in these numbers. The network looks at the CT first,
as it does once for each patient; how the C-arm feels meanwhile is a line of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer"), str(ROOT / "Testing"), str(ROOT / "Utilities")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_MOVES = 25  # of the C-arm, for each latency
_STEP_S = 0.15  # between two of them
_HELD_S = 3.0


class Heartbeat:
    """Beats in the event loop; `worst` is the longest pause since `start`: s, and s of this thread's processor."""

    def __init__(self, host):
        from PySide6 import QtCore

        self._host = host
        self.start()
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(1)

    def _beat(self):
        now = time.perf_counter(), time.thread_time()
        self.worst = tuple(max(w, n - b) for w, n, b in zip(self.worst, now, self._last))
        self._last = now

    def start(self):
        self._last, self.worst = (time.perf_counter(), time.thread_time()), (0.0, 0.0)

    def stop(self):
        self._timer.stop()

    def run(self, until, timeout=120.0):
        """Runs the event loop until a condition holds; returns the s that it took."""
        from PySide6 import QtWidgets

        begin = time.perf_counter()
        while True:
            QtWidgets.QApplication.processEvents()
            self._host.check()
            if until():
                break
            if time.perf_counter() - begin > timeout:
                raise TimeoutError(f"nothing happened within {timeout:g} s")
            time.sleep(0.0003)  # the event loop of a program sleeps, too, and leaves the core to the others
        return time.perf_counter() - begin


class Bench:
    """The panel on a CT, with a heart that beats."""

    def __init__(self, host, ct):
        import slicer

        self.host, self.heart = host, Heartbeat(host)
        widget = host.openModule()
        self.section, self.parameters = widget.sections["XRay"], widget.logic.getParameterNode()
        self._materials = widget.logic.fluoroscopy.materials
        node = slicer.util.addVolumeFromArray(ct.array, ijkToRAS=ct.ijk_to_ras, name="CT")
        node.CreateDefaultDisplayNodes()
        self.heart.start()
        begin = time.perf_counter()
        self.parameters.ct = node
        self.heart.run(lambda: self.parameters.xray is not None)
        self.first = time.perf_counter() - begin
        self.heart.run(self._is_idle)
        self.opened, self.opening_block = time.perf_counter() - begin, self.heart.worst
        print(f"First picture {self.first:.2f} s after the CT was chosen, fine {self.opened:.2f} s; "
              f"window blocked for at most {_milliseconds(self.opening_block)} ms.", flush=True)  # fmt: skip

    def network_works(self):
        """Whether the network still looks at the CT; it gives way to pictures."""
        return self._materials.isRunning

    def wait_for_network(self):
        """Returns the s that it took, from now on."""
        taken = self.heart.run(lambda: not self.network_works())
        self.heart.run(self._is_idle)
        return taken

    def _is_idle(self):
        return self.section.isIdle

    def _shows(self, angle):
        """Whether the scene's image is of this primary angle, coarse or fine."""
        import json

        from DeepDRRSlicerLib.geometry.carm import positioner_angles

        text = self.parameters.xray.GetAttribute("DeepDRRSlicer.View")
        return abs(positioner_angles(json.loads(text)["normal"])[0] - angle) < 1e-3

    def steer(self, moves=_MOVES):
        """(s to the coarse picture of each of so many moves, s to the fine one, s blocked)."""
        coarse, fine = [], []
        self.heart.start()
        for number in range(moves):
            angle = (number % 2) * 20.0 + number * 0.5
            begin = time.perf_counter()
            self.parameters.primaryAngle = angle
            self.heart.run(lambda angle=angle: self._shows(angle))
            coarse.append(time.perf_counter() - begin)
            if number % 5 == 4:
                self.heart.run(self._is_idle)
                fine.append(time.perf_counter() - begin)
            else:
                self.heart.run(lambda begin=begin: time.perf_counter() - begin > _STEP_S)
        return coarse, fine, self.heart.worst

    def drag(self):
        """(pictures per second while a slider is dragged at 60 steps per second, s blocked)."""
        images, before = 0, None
        self.heart.start()
        begin = time.perf_counter()
        step = 0
        while time.perf_counter() - begin < _HELD_S:
            self.parameters.primaryAngle = 30.0 * abs((step / 90) % 2 - 1)
            step += 1
            ahead = begin + step / 60
            self.heart.run(lambda ahead=ahead: time.perf_counter() >= ahead)
            made = self.parameters.xray.GetImageData().GetMTime()
            images, before = images + (made != before), made
        rate = images / (time.perf_counter() - begin)
        self.heart.run(self._is_idle)
        return rate, self.heart.worst

    def hold(self, rate, moving):
        """(pulses per second shown while the pedal is held, s to the first, s blocked)."""
        from DeepDRRSlicerLib.scene import pedal
        from DeepDRRSlicerLib.scene.dose import totalsOf

        self.parameters.pulseRate = rate
        self.heart.run(self._is_idle)
        before = totalsOf(self.parameters).frames
        self.heart.start()
        pedal.setPressed(True)
        first = self.heart.run(lambda: totalsOf(self.parameters).frames > before)
        begin, step = time.perf_counter(), 0
        counted = totalsOf(self.parameters).frames
        while time.perf_counter() - begin < _HELD_S:
            step += 1
            if moving:
                self.parameters.primaryAngle = 30.0 * abs((step / 45) % 2 - 1)
            ahead = begin + step / 30
            self.heart.run(lambda ahead=ahead: time.perf_counter() >= ahead)
        achieved = (totalsOf(self.parameters).frames - counted) / (time.perf_counter() - begin)
        pedal.setPressed(False)
        self.heart.run(self._is_idle)
        return achieved, first, self.heart.worst


def main():
    """Prints the tables."""
    options = _options()
    import numpy as np
    from fetch_sample_ct import fetch

    from DeepDRRSlicerLib.anatomy.ct import read_ct
    from DeepDRRSlicerLib.projection.projector import warm_up
    from host.application import HostApplication

    ct = read_ct(options.ct or fetch()["ct"])
    warm_up()  # compiling happens once for each computer
    print(f"CT of {' x '.join(map(str, ct.size))} voxels, {os.cpu_count()} cores\n", flush=True)
    with HostApplication() as host:
        host.loadModule(ROOT / "DeepDRRSlicer" / "DeepDRRSlicer.py")
        bench = Bench(host, ct)
        if bench.network_works():
            coarse, fine, blocked = bench.steer(10)
            print(
                f"While the network looks at the CT: coarse {1000 * np.median(coarse):.0f} ms, refined "
                f"{1000 * np.median(fine):.0f} ms (medians), blocked {_milliseconds(blocked)} ms; then another "
                f"{bench.wait_for_network():.0f} s until it is done.\n",
                flush=True,
            )
        head = ["matrix", "coarse ms, median", "95 %", "refined ms, median", "95 %", "pictures/s dragged", "blocked ms"]
        _line(head)
        _line(["---"] * len(head))
        for binning in options.matrix:
            bench.parameters.binning = binning
            bench.heart.run(bench._is_idle)
            coarse, fine, blocked = bench.steer()
            dragged, also = bench.drag()
            times = [1000 * np.percentile(t, p) for t in (coarse, fine) for p in (50, 95)]
            _line([_matrix(bench), *(f"{t:.0f}" for t in times), f"{dragged:.0f}", _milliseconds(blocked, also)])
        print()
        head = ["matrix", "pulses/s asked", "at rest", "moving", "first ms", "blocked ms"]
        _line(head)
        _line(["---"] * len(head))
        for binning in options.matrix:
            bench.parameters.binning = binning
            bench.heart.run(bench._is_idle)
            for rate in options.rates:
                rest, first, blocked = bench.hold(rate, moving=False)
                moving, _, also = bench.hold(rate, moving=True)
                blocks = _milliseconds(blocked, also)
                _line([_matrix(bench), f"{rate:g}", f"{rest:.1f}", f"{moving:.1f}", f"{1000 * first:.0f}", blocks])
        bench.heart.stop()


def _milliseconds(*blocks):
    """The longest of (s, s of the processor)."""
    return " / ".join(f"{1000 * max(times):.0f}" for times in zip(*blocks))


def _matrix(bench):
    columns, rows, _ = bench.parameters.xray.GetImageData().GetDimensions()
    return f"{rows} x {columns}"


def _line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", help="CT volume (default: the sample CT)")
    parser.add_argument("--matrix", type=int, nargs="+", default=[4, 3, 2, 1], help="binning (default: 4 3 2 1)")
    parser.add_argument("--rates", type=float, nargs="+", default=[15.0, 30.0], help="pulses/s (default: 15 30)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
