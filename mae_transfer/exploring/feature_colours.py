"""The features of patches as colours: their first three principal components as red, green and blue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..visualization.shown_bands import ShownBands


class FeatureColours(NamedTuple):
    """The patches of P photos as colours.

    Attributes:
        colours: (P, rows, columns, 3) uint8. Equal colours mean alike features, also between photos.
        shares: of the variance of all features, in the three components.
    """

    colours: np.ndarray
    shares: tuple[float, float, float]


class AtPlaces(NamedTuple):
    """What the features of photos have in common at each place.

    Attributes:
        common: (rows, columns, D), with the mean 0: subtract it to see what is in a photo, wherever it is.
        share: of the variance of all features.
    """

    common: np.ndarray
    share: float


def at_places(features: np.ndarray) -> AtPlaces:
    """What features have in common at each place, in photos whose contents have nothing in common: much of the features
    of a pre-trained ViT is where a patch is.

    Args:
        features: (P, rows, columns, D). Of few photos the contents are a part of it: 1 / P of their variance.
    """
    values = features.astype(np.float64)
    mean = values.mean((0, 1, 2))
    common = values.mean(0) - mean
    total = float(((values - mean) ** 2).sum())
    return AtPlaces(common.astype(np.float32), float((common**2).sum()) * len(values) / total if total else 0.0)


def feature_colours(features: np.ndarray) -> FeatureColours:
    """Colours from one principal component analysis over the patches of all photos.

    Each component is stretched from its 2nd to its 98th percentile. Its sign is free; it is chosen so that its
    largest weight is positive, which makes the colours the same in every call.

    Args:
        features: (P, rows, columns, D), D of 3 or more.
    """
    values = features.reshape(-1, features.shape[-1]).astype(np.float64)
    values -= values.mean(0)
    variances, directions = np.linalg.eigh(values.T @ values)
    variances, directions = variances[::-1][:3].clip(min=0), directions[:, ::-1][:, :3]
    signs = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(0)[None], axis=0))
    components = (values @ (directions * signs)).reshape(-1, 1, 3)
    total = float((values**2).sum())
    colours = ShownBands((1, 2, 3), (0, 1, 2)).stretch(components).picture(components)
    first, second, third = (float(variance) / total if total else 0.0 for variance in variances)
    return FeatureColours(colours.reshape(*features.shape[:3], 3), (first, second, third))
