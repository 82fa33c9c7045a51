"""Which backend a picture was computed by, and why not the other, in one line."""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.projection.cuda import drivers


def shortBackend(metadata):
    """In one word."""
    return "CUDA" if metadata["backend"].startswith("cuda") else "CPU"


def backendText(metadata):
    """One line for people, of a radiograph's metadata."""
    backend, failed = metadata["backend"], metadata.get("backend_note")
    if backend.startswith("cuda"):
        others = [f"not {name}: {why}" for name, why in drivers.why_not().items() if why and name not in backend]
        return _("Computed by {backend}.").format(backend="; ".join([backend, *others]))
    why = failed or next((why for why in drivers.why_not().values() if why), None)
    if why is None:
        return _("Computed by the CPU.")
    return _("Computed by the CPU: {why}.").format(why=why)


def failureText(metadata):
    """A sentence where the card failed and the CPU has taken over; empty otherwise."""
    why = metadata.get("backend_note")
    return _("The CPU has taken over: {why}.").format(why=why) if why else ""
