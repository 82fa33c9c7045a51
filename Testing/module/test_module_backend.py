"""The panel says what computed the picture, and why not the card."""

from panel_actions import opened, settle

from DeepDRRSlicerLib.projection.cuda import drivers


def test_the_backend_is_named_and_the_reason_is_a_tooltip(host, patient, monkeypatch):
    why = "there is no NVIDIA driver on this computer"
    monkeypatch.setattr(drivers, "why_not", lambda: {"cuda-core": why, "pycuda": why})
    widget, parameters = opened(host)
    parameters.primaryAngle = 12.0
    settle(host, widget)
    assert widget.ui.statusLabel.text.endswith("· CPU")
    assert f"Computed by the CPU: {why}." in widget.ui.statusLabel.toolTip


def test_a_card_its_driver_and_why_not_the_other(host, monkeypatch):
    from DeepDRRSlicerLib.ui.backend_line import backendText, failureText, shortBackend

    monkeypatch.setattr(drivers, "why_not", lambda: {"cuda-core": None, "pycuda": "pycuda is not installed"})
    metadata = {"backend": "cuda (cuda-core, NVIDIA H200)"}
    assert backendText(metadata) == "Computed by cuda (cuda-core, NVIDIA H200); not pycuda: pycuda is not installed."
    assert shortBackend(metadata) == "CUDA" and failureText(metadata) == ""
    assert backendText({"backend": "cpu"}) == "Computed by the CPU: pycuda is not installed."
    monkeypatch.setattr(drivers, "why_not", lambda: {"cuda-core": None, "pycuda": None})
    assert backendText({"backend": "cpu"}) == "Computed by the CPU."


def test_a_card_that_failed_is_a_warning(host):
    from DeepDRRSlicerLib.ui.backend_line import backendText, failureText

    metadata = {"backend": "cpu", "backend_note": "the card has not enough free memory"}
    assert failureText(metadata) == "The CPU has taken over: the card has not enough free memory."
    assert backendText(metadata) == "Computed by the CPU: the card has not enough free memory."
