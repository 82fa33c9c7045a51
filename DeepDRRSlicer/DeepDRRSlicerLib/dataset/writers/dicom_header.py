"""The header of an X-Ray Angiographic Image from the annotations of its frames, and from nothing else."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence

import numpy as np

import DeepDRRSlicerLib
from DeepDRRSlicerLib.dataset import dicom_geometry as geometry
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.records import json_bytes, record_beam
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions

_XA_IMAGE = "1.2.840.10008.5.1.4.1.1.12.1"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_DGYCM2_PER_GYCM2 = 10.0
_NOON = "120000"


def dicom_bytes(annotations: Sequence[Mapping], pixels: bytes, options: WriterOptions) -> bytes:
    """One DICOM file. annotations: of its frames; pixels: uint16, low byte first, frame after frame."""
    pydicom = optional_package("pydicom", "The DICOM writer")
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset, write_file_meta_info

    data = _dataset(pydicom, annotations, options)
    data.add_new(0x7FE00010, "OW", pixels + bytes(len(pixels) % 2))
    meta = pydicom.dataset.FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = _XA_IMAGE
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN
    meta.ImplementationClassUID = _uid("implementation")
    meta.ImplementationVersionName = "DEEPDRRSLICER"
    head, body = DicomBytesIO(), DicomBytesIO()
    write_file_meta_info(head, meta)
    body.is_little_endian, body.is_implicit_VR = True, False
    write_dataset(body, data)
    return bytes(128) + b"DICM" + head.getvalue() + body.getvalue()


def read_dicom(content: bytes):
    """The pydicom dataset of a file's bytes."""
    return optional_package("pydicom", "The DICOM reader").dcmread(io.BytesIO(content))


def _uid(*names) -> str:
    """A UID that depends on names alone: a UUID's 128 bits as an integer (PS3.5 B.2)."""
    digest = hashlib.sha256("|".join(["DeepDRRSlicer", *map(str, names)]).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _dataset(pydicom, annotations: Sequence[Mapping], options: WriterOptions):
    data = pydicom.Dataset()
    _identity(data, annotations[0], options)
    _picture(data, annotations, options)
    _technique(data, annotations)
    _positioner(pydicom, data, annotations)
    _private(data, annotations)
    return data


def _identity(data, first: Mapping, options: WriterOptions) -> None:
    job, patient, index = options.job_hash, first["patient"], first["index"]
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = _XA_IMAGE, _uid(job, "image", index)
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(job, "study", patient), _uid(job, "series", patient)
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(data, name, options.date)
    for name in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime"):
        setattr(data, name, _NOON)
    data.PatientName, data.PatientID = f"{_words(patient)}^", _words(patient)
    data.PatientBirthDate = data.PatientSex = data.Laterality = ""
    data.StudyID, data.AccessionNumber, data.ReferringPhysicianName = "1", "", ""
    data.StudyDescription = data.SeriesDescription = "Simulated radiographs"
    data.PatientPosition = options.patient_position
    data.Modality, data.SeriesNumber, data.InstanceNumber, data.AcquisitionNumber = "XA", 1, index + 1, index + 1
    data.Manufacturer, data.ManufacturerModelName = "DeepDRRSlicer", _words(first.get("device") or "simulated C-arm")
    data.SoftwareVersions, data.DeviceSerialNumber = DeepDRRSlicerLib.__version__, "0"
    data.ImageType = ["DERIVED", "PRIMARY", "SINGLE PLANE"]
    data.DerivationDescription = "Simulated from CT"
    data.ImageComments = "Simulated radiograph, not a real exposure"
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"


def _picture(data, annotations: Sequence[Mapping], options: WriterOptions) -> None:
    first = annotations[0]
    beam = record_beam(first)
    data.PatientOrientation = [_letter(beam.e_c), _letter(beam.e_r)]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = beam.size
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelIntensityRelationship = "DISP"  # as a screen shows it; the float signal lies beside the DICOM file
    data.WindowCenter, data.WindowWidth = "32768", "65536"
    if len(annotations) > 1:
        data.NumberOfFrames = len(annotations)
        data.FrameIncrementPointer = 0x00181063  # frame time
        data.FrameTime = _number(1000 / options.frame_rate)
        data.CineRate = data.RecommendedDisplayFrameRate = max(1, round(options.frame_rate))


def _technique(data, annotations: Sequence[Mapping]) -> None:
    first = annotations[0].get("technique", {})
    data.KVP = _number(first["kvp"]) if "kvp" in first else ""
    data.RadiationSetting = "SC" if first.get("mode") == "fluoro" else "GR"
    current, time = first.get("tube_current_ma"), first.get("pulse_width_ms")
    data.XRayTubeCurrent = "" if current is None else round(current)
    data.ExposureTime = "" if time is None else round(time)
    if "mas" in first:
        data.Exposure = round(first["mas"])
        data.ExposureInuAs = round(first["mas"] * 1000)
    if current is not None:
        data.XRayTubeCurrentInuA = _number(current * 1000)
    filters = [f"{name} {mm:g} mm" for name, mm in first.get("filtration_mm", {}).items() if mm]
    if filters:
        data.TypeOfFilters = _words(", ".join(filters))
    products = [a.get("dose", {}).get("kerma_area_product_gycm2") for a in annotations]
    if None not in products:
        data.ImageAndFluoroscopyAreaDoseProduct = _number(sum(products) * _DGYCM2_PER_GYCM2)


def _positioner(pydicom, data, annotations: Sequence[Mapping]) -> None:
    places = [geometry.placement(record_beam(a)) for a in annotations]
    beam, first = record_beam(annotations[0]), places[0]
    data.DistanceSourceToDetector = _number(beam.sid)
    sod = _source_isocenter_distance(annotations[0])
    if sod:
        data.DistanceSourceToPatient = _number(sod)
        data.EstimatedRadiographicMagnificationFactor = _number(beam.sid / sod)
    data.ImagerPixelSpacing = [_number(beam.pitch[1]), _number(beam.pitch[0])]
    data.PositionerPrimaryAngle = _number(first.primary_angle)
    data.PositionerSecondaryAngle = _number(first.secondary_angle)
    data.DetectorPrimaryAngle, data.DetectorSecondaryAngle = (
        _number(sign * np.rad2deg(np.arctan2(shift, beam.sid))) for sign, shift in zip((1, -1), first.offset)
    )
    if len(places) > 1:
        primary = [_turn(p.primary_angle - first.primary_angle) for p in places]
        secondary = [p.secondary_angle - first.secondary_angle for p in places]
        moves = any(primary) or any(secondary)
        data.PositionerMotion = "DYNAMIC" if moves else "STATIC"
        if moves:
            data.PositionerPrimaryAngleIncrement = [_number(x) for x in primary]
            data.PositionerSecondaryAngleIncrement = [_number(x) for x in secondary]


def _private(data, annotations: Sequence[Mapping]) -> None:
    places = [geometry.placement(record_beam(a)) for a in annotations]
    block = data.private_block(geometry.GROUP, geometry.CREATOR, create=True)
    distances = [_source_isocenter_distance(a) for a in annotations]
    isocenters = [p.isocenter(sod) for p, sod in zip(places, distances) if sod is not None]
    if len(isocenters) == len(places):
        _add(block, geometry.ISOCENTER, "FD", [x for point in isocenters for x in point])
    _add(block, geometry.ROLL, "FD", [p.roll for p in places])
    _add(block, geometry.OFFSET, "FD", [x for p in places for x in p.offset])
    _add(block, geometry.MIRRORED, "CS", "YES" if places[0].mirrored else "NO")
    _add(block, geometry.SOURCE, "FD", [float(x) for p in places for x in p.source])
    _add(block, geometry.SID, "FD", [p.sid for p in places])
    _add(block, geometry.PRIMARY, "FD", [p.primary_angle for p in places])
    _add(block, geometry.SECONDARY, "FD", [p.secondary_angle for p in places])
    kermas = [a.get("dose", {}).get("reference_air_kerma_ugy") for a in annotations]
    if None not in kermas:
        _add(block, geometry.KERMA, "FD", [float(k) for k in kermas])
    _add(block, geometry.INDEX, "UL", [a["index"] for a in annotations])
    plain = [{key: value for key, value in a.items() if key != "files"} for a in annotations]
    _add(block, geometry.ANNOTATION, "UT", json_bytes(plain).decode("utf-8"))


def _source_isocenter_distance(said: Mapping) -> float | None:
    """mm; None for a view that no C-arm gave. A dataset that moves the patient says it among what was drawn."""
    return (said.get("c_arm") or said.get("settings", {}).get("c_arm") or {}).get("sod")


def _add(block, element: int, kind: str, values) -> None:
    block.add_new(element, kind, values[0] if isinstance(values, list) and len(values) == 1 else values)


def _turn(angle: float) -> float:
    """The same turn between -180 and 180 degrees."""
    return (angle + 180.0) % 360.0 - 180.0 if abs(angle) > 180 else angle


def _number(value: float) -> str:
    """A decimal string of at most 16 characters, as precise as these allow."""
    text = repr(float(value)).removesuffix(".0")
    digits = 16
    while len(text) > 16:
        text, digits = f"{value:.{digits}g}", digits - 1
    return text


def _words(text: str) -> str:
    """Text of at most 64 characters without those that mean something to DICOM."""
    return "".join(c if c.isprintable() and c not in "\\^=" else " " for c in text)[:64].strip() or "unnamed"


def _letter(direction_ras: np.ndarray) -> str:
    """The letter of the nearest patient axis: left, right, anterior, posterior, head or feet."""
    axis = int(np.abs(direction_ras).argmax())
    return ("RL", "AP", "HF")[axis][int(direction_ras[axis] < 0)]
