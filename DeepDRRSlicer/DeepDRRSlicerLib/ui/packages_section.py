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
        for name in _ROWS:
            # Each its own function, which stays as long as the panel.
            self._widget(name, "Button").connect("clicked(bool)", lambda checked, name=name: self.onInstall(name))
        ui.materialsInstallButton.connect("clicked(bool)", self.onInstallTorch)
        self._show()

    def setParameters(self, parameters):
        """Show another parameter node, or None."""

    def parametersChanged(self, parameters):
        """Offer torch in the section "Materials" where its network is wanted."""
        wanted = self._torchMissing and parameters.materials != THRESHOLD
        self._ui.materialsInstallButton.setVisible(wanted and shipped().is_file())

    def onInstallTorch(self):
        """Install torch from the section "Materials"."""
        self.onInstall("torch")

    def onInstall(self, name):
        """Install one offer."""
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
