"""Reference images and datasets: scatter by following photons, of whose number and error the picture tells."""

import numpy as np
import pytest
from dataset_jobs import write_job, write_patient

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.sample import make_ready, make_sample
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.reference import PILOT, Wanted, reference_image
from DeepDRRSlicerLib.simulation.scatter_montecarlo import MonteCarloScatter
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator


@pytest.fixture(scope="module")
def request_of_slab():
    """20 cm of water, seen at 32 x 32 pixels under the brightness control."""
    device = load_device("mobile_carm")
    pose = CArmPose(0.0, 0.0, (0.0, 0.0, 0.0), 1000.0, device.source_isocenter_distance, (32, 32), (9.0, 9.0))
    acquisition = Acquisition(device, load_detector("ideal"), Automatic("fluoro"))
    matrix = np.diag([10.0, 10.0, 10.0, 1.0])
    matrix[:3, 3] = -145.0, -145.0, -145.0
    hu = np.full((30, 30, 30), -1000, np.int16)
    hu[:, 5:25] = 0
    return ViewRequest(Volume(hu, matrix), 0, pose, acquisition)


def test_a_reference_is_exposed_as_the_picture_and_as_good_as_wanted(request_of_slab):
    """The error that it names is the one wanted or less, and what two seeds differ by says that it is true."""
    views, told = ViewSimulator(), []
    quick = views.simulate(request_of_slab)

    def image(seed):
        def model(photons, tell):
            return MonteCarloScatter(photons, seed, progress=tell)

        return reference_image(views, request_of_slab, Wanted(error=0.4), model, tell=told.append)

    first, second = image(1), image(2)
    for made in (first, second):
        assert made.metadata["technique"] == quick.metadata["technique"]
        assert made.metadata["exposure"] == quick.metadata["exposure"]
        said = made.metadata["scatter"]
        assert said["model"] == "montecarlo" and said["relative_error_of_a_cell"] <= 0.4
    assert first.metadata["scatter"]["histories"] > PILOT
    assert told[0].total == 0 and told[-1].done == told[-1].total == second.metadata["scatter"]["histories"]
    scatter = [made.signal - quick.signal for made in (first, second)]
    spread = (scatter[0] - scatter[1]).std() / 2**0.5 / scatter[0].mean()
    assert 0.1 < spread < 0.4  # the pixels are a little smoother than the cells
    assert scatter[0].mean() > 0 and first.settings_hash != second.settings_hash


def test_the_samples_of_a_job_have_scatter_of_their_own(tmp_path, monkeypatch):
    from DeepDRRSlicerLib.dataset import sample as module

    asked = []

    def model(choice, histories, seed, threads):
        asked.append((choice, histories, seed, threads))
        return None

    monkeypatch.setattr(module, "scatter_model", model)
    patient = write_patient(tmp_path)
    job = write_job(tmp_path, patients=[patient], tools=[], scatter="montecarlo", histories=5000)
    ready = make_ready(job, read_patient(job, 0))
    for index in (0, 1, 0):
        make_sample(job, ready, index, threads=3)
    assert [each[:2] for each in asked] == [("montecarlo", 5000)] * 3 and {each[3] for each in asked} == {3}
    assert asked[0] == asked[2] and asked[0][2] != asked[1][2]
    plain = write_job(tmp_path, "plain.json", patients=[patient], tools=[])
    assert plain.scatter == "none"
    with pytest.raises(InputError, match="scatter must be one of none, network, montecarlo"):
        write_job(tmp_path, "wrong.json", patients=[patient], tools=[], scatter="magic")
