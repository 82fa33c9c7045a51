"""The same job on a real Ray cluster of this machine: the same bytes, also when a worker is killed."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from dataset_jobs import tree, write_job, write_patient

import DeepDRRSlicerLib
from DeepDRRSlicerLib import __main__ as program
from DeepDRRSlicerLib.dataset import ray_runner
from DeepDRRSlicerLib.dataset.ray_runner import RayCrew, ray_cluster
from DeepDRRSlicerLib.dataset.runner import run_job
from DeepDRRSlicerLib.errors import InputError

LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")  # 127.0.0.1, as IPv4 and IPv6 sockets show it
BEFORE = set()  # ports that were open before there was a cluster


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    write_job(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert program.main(["export", str(tmp_path / "job.json"), "--ray"]) == 2
    said = capsys.readouterr().err
    assert "pip install ray" in said and said.count("\n") == 1


@pytest.fixture(scope="module")
def ray_package():
    return pytest.importorskip("ray")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    return write_job(folder, patients=[write_patient(folder, "first"), write_patient(folder, "second", seed=1)],
                     count=10, outputs=[{"writer": "coco"}, {"writer": "webdataset", "shard_size": 4}])  # fmt: skip


@pytest.fixture(scope="module")
def local(job):
    run_job(job, job.folder / "local", 2)
    return tree(job.folder / "local")


@pytest.fixture(scope="module")
def cluster(ray_package, job):
    BEFORE.update(listening())
    with ray_cluster(None, 2) as ray:
        yield ray


def listening(before=frozenset()):
    """(address, port) in hex of the ports that processes of this machine listen on."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            found |= {tuple(line.split()[1].split(":")) for line in list(lines)[1:] if line.split()[3] == "0A"}
    return found - before


def test_nothing_listens_to_other_machines(cluster, job):
    """Ports of the cluster are those that were not open before; each is of 127.0.0.1, and there is no dashboard."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("no list of open ports here")
    crew = RayCrew(cluster, job, 1)
    cluster.get(crew._actors[0].process.remote())
    ports = {port: address for address, port in listening(BEFORE)}
    crew.close()
    assert len(ports) > 2 and all(address in LOOPBACK for address in ports.values()), ports
    assert not cluster._private.worker._global_node.webui_url


def test_same_bytes_as_a_local_run(cluster, job, local, tmp_path):
    summary = run_job(job, tmp_path / "set", crew=lambda job: RayCrew(cluster, job, 2))
    assert summary.samples == 10 and tree(tmp_path / "set") == local


def test_a_killed_worker_is_replaced(cluster, job, local, tmp_path):
    """One dies in the middle of its work; its samples are made again, and the bytes are those of a local run."""
    processes = []
    crew = None

    def team(job):
        nonlocal crew
        crew = RayCrew(cluster, job, 2, started=processes.append)
        return crew

    def progress(state):
        if state.new == 2:
            os.kill(cluster.get(processes[0].process.remote()), signal.SIGKILL)

    summary = run_job(job, tmp_path / "set", crew=team, progress=progress)
    assert len(processes) == 3 and summary.samples == 10 and summary.skipped == {}
    assert tree(tmp_path / "set") == local


def test_workers_that_die_of_a_sample_are_no_endless_loop(cluster, job, tmp_path, monkeypatch):
    """A sample that takes its worker with it each time is given up after three workers, with a sentence."""
    Maker = ray_runner.SampleMaker

    class Dying(Maker):
        def make(self, number, data, index):
            os._exit(1)

    monkeypatch.setattr(ray_runner, "SampleMaker", Dying)
    with pytest.raises(InputError, match="Sample [0-9]+ could not be made: its worker died 3 times"):
        run_job(job, tmp_path / "set", crew=lambda job: RayCrew(cluster, job, 1))


def test_faults_in_a_worker_are_the_same_sentence(cluster, job, tmp_path):
    plan = job.data["plan"] | {"tries": 3, "visible": [{"segment": "liver", "at_least": 1}]}
    bad = write_job(job.folder, "bad.json", patients=job.data["patients"], plan=plan)
    sentences = []
    for crew in (None, lambda job: RayCrew(cluster, job, 2)):
        with pytest.raises(InputError, match="liver") as caught:
            run_job(bad, tmp_path / f"set{len(sentences)}", 1, crew=crew)
        sentences.append(re.sub("Sample [0-9]+", "Sample", str(caught.value)))  # whichever ended first
    assert sentences[0] == sentences[1]


SERVE = """
import sys
sys.path.insert(0, {engine!r})
from DeepDRRSlicerLib.dataset import ray_runner
from DeepDRRSlicerLib.dataset.ray_runner import ray_cluster
with ray_cluster(None, 2) as ray:
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""


def test_command_with_a_cluster_of_its_own_and_one_that_is_not_there(cluster, job, local, tmp_path, capsys):
    cluster.shutdown()
    arguments = ["export", str(job.folder / "job.json"), "-o", str(tmp_path / "own"), "--workers", "2", "--ray"]
    assert program.main(arguments) == 0
    assert tree(tmp_path / "own") == local
    capsys.readouterr()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert program.main([*arguments, f"127.0.0.1:{port}"]) == 2
    said = capsys.readouterr().err
    assert "cannot be used" in said and said.count("\n") == 1


@pytest.mark.long
def test_command_joins_a_cluster_by_its_address(ray_package, job, local, tmp_path):
    """Its workers get the program from here. Both sides share a token that is made for this test alone."""
    engine = str(Path(DeepDRRSlicerLib.__file__).parents[1])
    env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": engine}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(engine=engine)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    try:
        address = server.stdout.readline().strip()
        command = [sys.executable, "-m", "DeepDRRSlicerLib", "export", str(job.folder / "job.json"), "-o",
                   str(tmp_path / "set"), "--workers", "2", "--ray", address]  # fmt: skip
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert tree(tmp_path / "set") == local
    finally:
        server.communicate("")
