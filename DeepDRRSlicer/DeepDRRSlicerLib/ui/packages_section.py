"""Panel section "Packages": what makes the module faster or adds to it, and a button to install each.

The section "Materials" has such a button, too, where its network lacks torch.
"""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.weights import shipped
from DeepDRRSlicerLib.scene.materials import THRESHOLD

_ROWS = ("numba", "torch", "cuda", "pycuda", "h5py")


class PackagesSection:
    """A row for each offer; one that this computer is not made, as without a graphics card, is hidden."""

    def __init__(self, ui, packages):
        self._ui = ui
        self._packages = packages
        self._torchMissing = False
        packages.onInstalled.append(self._show)
        ui.numbaPackageButton.connect("clicked(bool)", self.onInstallNumba)
        ui.torchPackageButton.connect("clicked(bool)", self.onInstallTorch)
        ui.cudaPackageButton.connect("clicked(bool)", self.onInstallCuda)
        ui.pycudaPackageButton.connect("clicked(bool)", self.onInstallPycuda)
        ui.h5pyPackageButton.connect("clicked(bool)", self.onInstallH5py)
        ui.materialsInstallButton.connect("clicked(bool)", self.onInstallTorch)
        self._show()

    def setParameters(self, parameters):
        """Show another parameter node, or None."""

    def parametersChanged(self, parameters):
        """Offer torch in the section "Materials" where its network is wanted."""
        wanted = self._torchMissing and parameters.materials != THRESHOLD
        self._ui.materialsInstallButton.setVisible(wanted and shipped().is_file())

    def onInstallNumba(self):
        """Install what pictures at full speed need."""
        self._install("numba")

    def onInstallTorch(self):
        """Install torch, from here or from the section "Materials"."""
        self._install("torch")

    def onInstallCuda(self):
        """Install what the graphics card needs."""
        self._install("cuda")

    def onInstallPycuda(self):
        """Install the other way to the graphics card."""
        self._install("pycuda")

    def onInstallH5py(self):
        """Install what writes HDF5."""
        self._install("h5py")

    def _install(self, name):
        self._say(_("Installing {names} ...").format(names=self._packages.offers[name].names))
        try:
            installed = self._packages.install(name)
        except InputError as error:
            self._say(str(error))
            return
        self._say(_("Installed.") if installed else _("Nothing was installed."))

    def _show(self):
        """What is there, and what may be installed."""
        for name in _ROWS:
            offer = self._packages.offers.get(name)
            for kind in ("Title", "Label", "Button"):
                self._widget(name, kind).setVisible(offer is not None)
            if offer is None:
                continue
            missing = offer.isMissing
            text = _("{names} ({size}): {purpose}") if missing else _("{names}: installed")
            text = text.format(names=offer.names, size=offer.size, purpose=offer.purpose)
            self._widget(name, "Label").setText(text)
            self._widget(name, "Button").setVisible(missing)
        self._torchMissing = self._packages.offers["torch"].isMissing

    def _widget(self, name, kind):
        return getattr(self._ui, f"{name}Package{kind}")

    def _say(self, text):
        self._ui.packagesStatusLabel.setText(text)
