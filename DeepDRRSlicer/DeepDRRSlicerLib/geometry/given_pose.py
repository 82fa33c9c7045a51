"""A view that is given by its cone beam, as of a real X-ray picture, rather than by a C-arm's angles."""

from __future__ import annotations

from dataclasses import dataclass

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose, pose_of_beam


@dataclass(frozen=True, eq=False)
class GivenPose(CArmPose):
    """The pose of a C-arm nearest to a beam (pose_of_beam), whose own beam is the given one, on size and pitch.

    The field stays as large as the given one's: with fewer pixels each is larger. A detector that is rolled, tilted or
    off the axis is kept, which a C-arm's joints cannot express.
    """

    given: ConeBeam | None = None

    def beam(self) -> ConeBeam:
        """The given beam, read out on this pose's pixels."""
        given = self.given
        if given is None:
            return super().beam()
        corner = given.pixel_to_ras(-0.5, -0.5)
        pixel00 = corner + 0.5 * self.pitch[0] * given.e_c + 0.5 * self.pitch[1] * given.e_r
        return ConeBeam(given.source, pixel00, given.e_c, given.e_r, self.pitch, self.size)


def given_pose(beam: ConeBeam, sod: float) -> GivenPose:
    """The pose of a beam; sod: mm from the source to the isocentre, along the line to the middle of the detector."""
    near = pose_of_beam(beam, sod)
    return GivenPose(
        near.primary_angle, near.secondary_angle, near.isocenter, near.sid, near.sod, beam.size, beam.pitch, beam
    )
