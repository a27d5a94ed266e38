"""The schedules of the learning rate: factors on its peak."""

import math

RAMP_SHARE = 0.03  # of all steps, in cosine_schedule


def paper_schedule(epoch: float, ramp_epochs: float) -> float:
    """The factor on the learning rate at a (fractional) epoch: a geometric ramp from 1/10 to 1, then 1/sqrt(epoch).

    The ramp ends at `ramp_epochs` (Chaitanya et al. 2017, section 4.4). With 0 there is no ramp, and the rate falls
    after the first epoch.
    """
    if epoch < ramp_epochs:
        return 10 ** (epoch / ramp_epochs - 1)
    return math.sqrt(max(ramp_epochs, 1) / max(epoch, ramp_epochs, 1))


def cosine_schedule(progress: float) -> float:
    """The factor on the learning rate at a share, 0 to 1, of all steps: a ramp over the first 3 percent, then half a
    cosine to 0 (Loshchilov and Hutter 2017, equation 5)."""
    if progress < RAMP_SHARE:
        return 0.1 + 0.9 * progress / RAMP_SHARE
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - RAMP_SHARE) / (1 - RAMP_SHARE))))
