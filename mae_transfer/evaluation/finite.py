"""Refusal of evaluations that would report NaN, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import UserError


def check_finite(values: Sequence[float], what: str) -> None:
    """Check the values of all images before their mean is reported.

    Args:
        what: the name of the values, for messages.

    Raises:
        UserError: no image, or a value that is not finite.
    """
    if not values:
        raise UserError('no image was evaluated: the data set is empty, or none of its images can be read')
    if broken := sum(not math.isfinite(value) for value in values):
        raise UserError(
            f'the {what} of {broken} of {len(values)} images is not finite: the training of these weights failed, or '
            'float16 overflows; choose another checkpoint or precision'
        )
