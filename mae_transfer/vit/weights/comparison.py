"""How the weights in a file differ from those of a model: the one comparison behind every way of loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor


class Comparison(NamedTuple):
    """Names of weights that differ; ``unexpected`` is in the file's order, the others in the model's.

    Attributes:
        missing: in the model, but not in the file.
        unexpected: in the file, but not in the model.
        reshaped: in both, with different shapes.
    """

    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]


def compare_states(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Comparison:
    """Compare the weights of a file, ``found``, with a model's state dict, ``wanted``, by name and shape."""
    return Comparison(
        missing=[name for name in wanted if name not in found],
        unexpected=[name for name in found if name not in wanted],
        reshaped=[name for name in wanted if name in found and found[name].shape != wanted[name].shape],
    )
