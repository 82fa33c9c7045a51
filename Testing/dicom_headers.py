"""Headers and files of angiograms, as tests need them."""

import numpy as np
import pydicom

XA = {
    "Modality": "XA",
    "PositionerPrimaryAngle": 30.5,
    "PositionerSecondaryAngle": -12.0,
    "DistanceSourceToDetector": 1150.0,
    "DistanceSourceToPatient": 720.0,
    "ImagerPixelSpacing": [0.3, 0.25],
    "Rows": 20,
    "Columns": 32,
    "PatientOrientation": ["LP", "F"],
    "PatientPosition": "HFS",
}


def header(**changes):
    data = pydicom.Dataset()
    for name, value in (XA | changes).items():
        if value is not None:
            setattr(data, name, value)
    return data


def written(path, pixels=None, **changes):
    """A DICOM file of a header, with pixels (rows, columns) or (frames, rows, columns) uint16."""
    data = header(**changes)
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.12.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    if pixels is not None:
        data.Rows, data.Columns = pixels.shape[-2:]
        data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit = 1, 16, 16, 15
        data.PixelRepresentation = 0
        if "PhotometricInterpretation" not in data:
            data.PhotometricInterpretation = "MONOCHROME2"
        if pixels.ndim == 3:
            data.NumberOfFrames = len(pixels)
        data.PixelData = pixels.astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    return path
