"""What the patient gets."""

_REFERENCE_DISTANCE = 1000.0  # mm, where air kerma of a spectrum is given
REFERENCE_POINT = 150.0  # mm from the isocentre towards the source, IEC 60601-2-43


def reference_air_kerma(air_kerma_at_1m: float, source_isocenter_distance: float) -> float:
    """Air kerma at the interventional reference point, without backscatter, in the unit of the kerma at 1 m.

    source_isocenter_distance: mm. The point is 15 cm from the isocentre towards the source (IEC 60601-2-43).
    """
    return air_kerma_at_1m * (_REFERENCE_DISTANCE / (source_isocenter_distance - REFERENCE_POINT)) ** 2
