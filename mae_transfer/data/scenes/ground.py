"""The ground of a demo scene: one to three textured regions."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .drawing import coverage, mix, oklch_to_rgb, rotate

STUFF_CLASSES = ('sky', 'grass', 'brick', 'water')


def paint_ground(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paint one to three textures over the whole frame.

    Args:
        yy, xx: coordinates (H, W) of the pixels.

    Returns:
        The image (3, H, W), float32, and its labels (H, W), uint8: 1 + index into :data:`STUFF_CLASSES`.
    """
    first, *others = rng.permutation(len(STUFF_CLASSES))[: rng.choice([1, 2, 3], p=[0.15, 0.5, 0.35])]
    image = _TEXTURES[STUFF_CLASSES[first]](rng, yy, xx)
    labels = np.full(yy.shape, first + 1, np.uint8)
    for kind in others:
        texture = _TEXTURES[STUFF_CLASSES[kind]](rng, yy, xx)
        distance = _border(rng, yy, xx)
        # The upper region casts a soft shadow, so a border is visible even between two grounds of the same colour.
        image = image * (1 - 0.35 * np.exp(-np.maximum(distance, 0) / 2.5))
        image = mix(image, texture, coverage(distance, 1.5))
        labels[distance < 0] = kind + 1
    return image, labels


def _border(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """Signed distance (H, W) to a straight, wavy or round border that has 25-55 % of the frame inside."""
    size = len(yy)
    across, along = rotate(yy - size / 2, xx - size / 2, rng.uniform(0, 2 * math.pi))
    style = rng.choice(3)
    if style == 0:
        field = across
    elif style == 1:
        wave = rng.uniform(0.35, 0.8) * size
        field = across + 0.1 * wave * np.sin(2 * math.pi * along / wave + rng.uniform(0, 6.28))
    else:
        field = np.hypot(across - rng.uniform(0.5, 1.0) * size, along)
    return field - np.quantile(field, rng.uniform(0.25, 0.55)).astype(np.float32)


def _colour_pair(rng: np.random.Generator, contrast: float) -> tuple[np.ndarray, np.ndarray]:
    """A dark and a bright colour of similar hue."""
    hue, chroma, middle = rng.uniform(0, 2 * math.pi), rng.uniform(0.035, 0.12), rng.uniform(0.56, 0.8)
    turn = rng.uniform(-0.5, 0.5)
    dark = oklch_to_rgb(middle - contrast / 2, chroma, hue)
    bright = oklch_to_rgb(middle + contrast / 2, chroma, hue + turn)
    return dark, bright


def _clouds(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise (H, W) in about 0..1 with ``cells`` bumps across."""
    return cv2.resize(rng.random((cells + 1, cells + 1), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def _sky(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    dark, bright = _colour_pair(rng, 0.16)
    across, _ = rotate(yy / size - 0.5, xx / size - 0.5, rng.uniform(0, 2 * math.pi))
    sky = mix(dark, bright, np.clip(across + 0.5, 0, 1))
    cloud = 0.7 * _clouds(rng, size, 4) + 0.3 * _clouds(rng, size, 9)
    return mix(sky, bright * 0.35 + 0.65, np.clip((cloud - 0.5) * 3, 0, 0.75))


def _grass(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    dark, bright = _colour_pair(rng, rng.uniform(0.28, 0.38))
    length = 9 if size >= 64 else 7
    steps = np.arange(length, dtype=np.float32) - length // 2
    y, x = np.meshgrid(steps, steps, indexing='ij')
    across, along = rotate(y, x, rng.uniform(0, math.pi))
    blade = np.exp(-((across / 0.75) ** 2) - (along / (0.4 * length)) ** 2)
    noise = cv2.filter2D(rng.standard_normal((size, size), np.float32), -1, blade / np.linalg.norm(blade))
    patches = _clouds(rng, size, 5) - 0.5
    return mix(dark, bright, np.clip(0.5 + 0.3 * noise + 0.25 * patches, 0, 1))


def _brick(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    dark, bright = _colour_pair(rng, rng.uniform(0.12, 0.2))
    height = max(rng.uniform(0.075, 0.12) * size, 5.5)
    width, joint = 2.1 * height, max(0.16 * height, 1.2)
    across, along = rotate(yy, xx, rng.uniform(0, 2 * math.pi))
    row_at = across / height
    row = np.floor(row_at)
    column_at = along / width + 0.5 * (row % 2)  # every second row is shifted by half a brick
    column = np.floor(column_at)
    tones = rng.random((32, 32), np.float32)
    wall = mix(dark, bright, tones[row.astype(int) % 32, column.astype(int) % 32])
    to_edge = np.minimum((0.5 - np.abs(row_at - row - 0.5)) * height, (0.5 - np.abs(column_at - column - 0.5)) * width)
    mortar = dark * 0.5 if rng.random() < 0.5 else bright * 0.4 + 0.55
    return mix(wall, mortar, coverage(to_edge - joint / 2))


def _water(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    dark, bright = _colour_pair(rng, rng.uniform(0.22, 0.32))
    period, wave = max(rng.uniform(0.075, 0.12) * size, 6.0), rng.uniform(0.25, 0.4) * size
    across, along = rotate(yy, xx, rng.uniform(0, 2 * math.pi))
    sway = np.sin(2 * math.pi * along / wave + rng.uniform(0, 6.28)) * rng.uniform(1.4, 2.2)
    ripple = 0.5 + 0.5 * np.sin(2 * math.pi * across / period + sway)
    swell = 0.5 + 0.5 * np.sin(2 * math.pi * (across + 0.6 * along) / (3.3 * period) + rng.uniform(0, 6.28))
    # Sharp crests, wide troughs.
    return mix(dark, bright, ripple**2 * (0.55 + 0.45 * swell))


_TEXTURES = {'sky': _sky, 'grass': _grass, 'brick': _brick, 'water': _water}
