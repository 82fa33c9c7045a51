"""The materials of the scene's CT at work: the network runs in the background, and counts as soon as it has an answer.

Nodes are touched on the calling thread alone. The network, and what is shown of the materials, have a thread each.
"""

from DeepDRRSlicerLib.anatomy.ct import as_ct
from DeepDRRSlicerLib.anatomy.label_map import amounts, classes_by_name
from DeepDRRSlicerLib.dataset.materials import NETWORK, network, network_missing
from DeepDRRSlicerLib.scene.giving_way import giveWay, givingWay
from DeepDRRSlicerLib.scene.materials import THRESHOLD, materialsFingerprint, materialsNode, segmentsAndMaterials
from DeepDRRSlicerLib.scene.request import PatientCopy, patientKey
from DeepDRRSlicerLib.simulation.decomposition import (
    classes_labelling,
    network_classes,
    segment_labelling,
    threshold_labelling,
)
from DeepDRRSlicerLib.simulation.worker import LatestWorker

_FIRST_PICTURE_S = 20.0  # that the network waits for at most before it begins
_PATIENCE = 3.0  # s that the window may be blocked by work that cannot be stopped


class MaterialsWork:
    """What the parameter node's CT is made of. A CT is known by its patientKey.

    progress: of the network, 0 to 1. isBusy: whether somebody waits for a picture, to which the network gives way.
    """

    def __init__(self, isBusy=lambda: False):
        self._isBusy = isBusy
        self._network = _WorkOnCT("DeepDRRSlicer network")
        self._look = _WorkOnCT("DeepDRRSlicer materials")
        self._answer = None  # (key of a CT, its classes, version of the network)
        self._running = None  # key of the CT that the network looks at
        self._declined = set()  # keys of the CTs for which it was cancelled, or failed
        self._latest = None  # (settings, Labelling, its Decomposition) used last
        self.progress = 0.0

    def decompositionOf(self, parameters, patient):
        """The Decomposition that the parameter node stands for; patient: the key of its CT. Raises InputError.

        The network is part of it as soon as it has looked at this CT; until then the threshold model stands in.
        """
        return self._made(parameters, patient)[1]

    def inUse(self, parameters, patient):
        """What decomposes the CT, or what segments leave of it, now: THRESHOLD or NETWORK."""
        return NETWORK if parameters.materials != THRESHOLD and self._knows(patient) else THRESHOLD

    def forget(self):
        """Let go of all that was learned about CTs, and of work under way."""
        self.cancelNetwork()
        self.cancelLook()
        self._answer = self._latest = None
        self._declined.clear()

    def close(self):
        """End the threads."""
        self.forget()
        self._network.close()
        self._look.close()

    # The network

    @property
    def isRunning(self):
        """Whether the network is at work."""
        return self._running is not None

    def whyNoNetwork(self):
        """None where the network can run, else a sentence on what it lacks."""
        return network_missing()

    def wantsNetwork(self, parameters, patient):
        """Whether the network is to look at this CT, and can, and nobody has stopped it."""
        if parameters.materials == THRESHOLD or self._knows(patient) or patient in self._declined:
            return False
        return self._running != patient and network_missing() is None

    def startNetwork(self, parameters):
        """Have the network look at the CT in the background. Raises InputError where there is none."""
        patient = self._running = patientKey(parameters.ct)
        self._declined.discard(patient)
        self.progress = 0.0

        def tell(fraction):
            self.progress = fraction

        def work(ct, shouldStop):
            giveWay()
            givingWay(shouldStop, self._isBusy, _FIRST_PICTURE_S)()
            classify, version = network()
            return patient, network_classes(ct, classify, version, givingWay(shouldStop, self._isBusy), tell), version

        self._network.begin(parameters.ct, work)

    def collectNetwork(self):
        """Whether there is an answer now that was not there before; to be asked again and again while it runs.

        Raises what the network raised.
        """
        patient = self._running
        try:
            answer = self._network.collect()
        except Exception:
            self._declined.add(patient)
            self._running = None
            raise
        if answer is None:
            return False
        self._answer, self._running = answer, None
        return True

    def cancelNetwork(self):
        """Stop the network; it does not begin anew by itself for this CT."""
        if self._running is not None:
            self._network.cancel()
            self._declined.add(self._running)
            self._running = None

    # Looking at it

    @property
    def isLooking(self):
        """Whether something is being made ready to be shown."""
        return self._look.isBusy

    def startLook(self, parameters):
        """Have the materials made ready to be shown, as they are now. Raises InputError."""
        labelling = self._made(parameters, patientKey(parameters.ct))[0]

        def work(ct, shouldStop):
            labelled = labelling.label(ct, shouldStop, lambda fraction: None)
            return *classes_by_name(labelled, ct), amounts(labelled, ct)

        self._look.begin(parameters.ct, work)

    def collectLook(self):
        """(uint8 labels [k, j, i] on the CT's grid, their names, list of Amount), or None; asked as collectNetwork."""
        return self._look.collect()

    def cancelLook(self):
        """Let go of what was to be shown."""
        self._look.cancel()

    def _knows(self, patient):
        return self._answer is not None and self._answer[0] == patient

    def _made(self, parameters, patient):
        """(Labelling, Decomposition) of the choice, the same ones as long as it stays the same."""
        settings = materialsFingerprint(parameters), self.inUse(parameters, patient), patient
        if self._latest is None or self._latest[0] != settings:
            labelling = self._labelling(parameters, patient)
            self._latest = settings, labelling, labelling.decomposition()
        return self._latest[1:]

    def _labelling(self, parameters, patient):
        if self.inUse(parameters, patient) == NETWORK:
            rest = classes_labelling(self._answer[1], self._answer[2], parameters.keepCouch)
        else:
            rest = threshold_labelling(parameters.keepCouch)
        node = materialsNode(parameters)
        if node is None:
            return rest
        return segment_labelling(*segmentsAndMaterials(node), rest, node.GetName())


class _WorkOnCT:
    """One piece of work at a time, on a copy of a CT node, in a thread. isBusy: whether there is any.

    The copy is made a part at a time whenever the outcome is asked for, so that the window does not wait; it is not the
    one that pictures are made of, which may be changed meanwhile.
    """

    def __init__(self, name):
        self._name = name
        self._thread = None
        self._waiting = None  # (node, PatientCopy, work) until the copy is whole
        self.isBusy = False

    def begin(self, node, work):
        """Have work(ct, shouldStop) done, in place of what is under way."""
        self.cancel()
        self._waiting = node, PatientCopy(), work
        self.isBusy = True

    def collect(self):
        """What the work came to, once; None until then. Raises what it raised, and InputError for what is no CT."""
        if self._waiting is not None:
            try:
                self._copyOn()
            except Exception:
                self.cancel()
                raise
            return None
        outcome = self._thread.collect() if self._thread is not None else None
        if outcome is None:
            return None
        self.isBusy = False
        if outcome.error is not None:
            raise outcome.error
        return outcome.result

    def cancel(self):
        """Let go of the work."""
        self._waiting, self.isBusy = None, False
        if self._thread is not None:
            self._thread.cancel()

    def close(self):
        """End the thread."""
        self.cancel()
        if self._thread is not None:
            self._thread.close(_PATIENCE)
            self._thread = None

    def _copyOn(self):
        node, copy, work = self._waiting
        if not copy.isReady(node):
            return
        volume, name = copy.of(node)[0], node.GetName()
        self._waiting = None
        if self._thread is None:
            self._thread = LatestWorker(lambda job, shouldStop: job(shouldStop), self._name)
        self._thread.submit(lambda shouldStop: work(as_ct(volume, name, overwrite=True), shouldStop))
