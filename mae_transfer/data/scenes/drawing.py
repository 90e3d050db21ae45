"""Drawing functions for the demo scenes: colours, blending, rotation, soft edges.

In all modules of the scenes, colours have shape (3, 1, 1) and images (3, H, W): they broadcast against maps (H, W), and
this layout is the fastest in NumPy.
"""

from __future__ import annotations

import math

import numpy as np


def oklch_to_rgb(lightness: float, chroma: float, hue: float) -> np.ndarray:
    """OKLCH (hue in radians) to sRGB in 0..1. Hues drawn uniformly in OKLCH look evenly spread and equally strong."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.array(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ]
    )
    return (np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.float32).reshape(3, 1, 1)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend two colours or images; ``share`` is that of the second, 0..1."""
    return first + (second - first) * share


def rotate(y: np.ndarray, x: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (y, x) in a frame that is rotated by ``angle``, in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * y - sin * x, sin * y + cos * x


def coverage(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Share of a pixel inside an edge (anti-aliasing), given its signed distance in pixels, negative inside."""
    return np.clip(0.5 - distance / softness, 0, 1)
