"""The objects of a demo scene: their classes and positions, and how they are painted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .drawing import coverage, mix, oklch_to_rgb, rotate

THING_CLASSES = ('striped disc', 'dotted disc', 'striped box', 'checked box', 'dotted star', 'striped ring')
MIN_VISIBLE_SHARE = 0.4  # of an object's pixels inside the frame
MIN_VISIBLE_PIXELS = 36
MAX_OBJECTS = 5


@dataclass
class Thing:
    """An object of class ``THING_CLASSES[label]``.

    Attributes:
        label: index of its class.
        x, y: its centre, in pixels.
        radius: in pixels.
        angle: its rotation, in radians.
        aspect: height of a box over its width.
    """

    label: int
    x: float
    y: float
    radius: float
    angle: float
    aspect: float


def place_things(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> tuple[list[Thing], np.ndarray]:
    """Draw one to five objects, each of which stays sufficiently visible.

    Args:
        yy, xx: coordinates (H, W) of the pixels.

    Returns:
        The objects, from the lowest to the topmost, and for every pixel (H, W) the index of its object, -1 for ground.
    """
    size = len(yy)
    things: list[Thing] = []
    pixels: np.ndarray = np.zeros(0, np.int64)  # of each object
    visible = pixels  # those of them that no other object covers
    owner = np.full(yy.shape, -1, np.int64)
    for _ in range(rng.integers(1, MAX_OBJECTS + 1)):
        label = int(rng.integers(len(THING_CLASSES)))
        for _ in range(12):
            radius = max(rng.uniform(0.18, 0.5) * size / 2, 6.0)
            margin = 0.7 * radius
            x, y = rng.uniform(margin, size - 1 - margin), rng.uniform(margin, size - 1 - margin)
            thing = Thing(label, x, y, radius, rng.uniform(0, 2 * math.pi), rng.uniform(0.65, 1))
            window = _window(thing, 1)
            mask = _signed_distance(thing, yy[window] - y, xx[window] - x) < 0
            covered = np.bincount(owner[window][mask] + 1, minlength=len(things) + 1)[1:]
            new_pixels, new_visible = np.append(pixels, mask.sum()), np.append(visible - covered, mask.sum())
            if np.all(new_visible >= np.maximum(MIN_VISIBLE_SHARE * new_pixels, MIN_VISIBLE_PIXELS)):
                owner[window][mask] = len(things)
                things.append(thing)
                pixels, visible = new_pixels, new_visible
                break
    # The smallest object that a size allows has over 36 pixels, so an empty frame always accepts its first one.
    return things, owner


def paint_thing(
    rng: np.random.Generator, image: np.ndarray, thing: Thing, yy: np.ndarray, xx: np.ndarray, light: float
) -> None:
    """Paint an object and its shadow into ``image`` (3, H, W); ``light`` is the direction of the light, in radians."""
    rows, columns = _window(thing, 8)
    y, x = yy[rows, columns] - thing.y, xx[rows, columns] - thing.x
    distance = _signed_distance(thing, y, x)

    texture = THING_CLASSES[thing.label].split()[0]
    hue, dark, bright = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 0.5), rng.uniform(0.78, 0.93)
    first = oklch_to_rgb(dark, rng.uniform(0.08, 0.17), hue)
    second = oklch_to_rgb(bright, rng.uniform(0.04, 0.14), hue + rng.uniform(-1.2, 1.2))
    first, second = (first, second) if rng.random() < 0.5 else (second, first)
    paint = mix(first, second, _pattern(rng, texture, y, x, thing.radius))
    towards_light = (math.cos(light) * x + math.sin(light) * y) / thing.radius
    paint *= 1 + 0.22 * towards_light
    rim = oklch_to_rgb(0.22, 0.05, hue)
    paint = mix(paint, rim, coverage(-distance - max(0.05 * thing.radius, 1.0)))

    drop = 0.06 * thing.radius + 1.5
    shadow = _signed_distance(thing, y + drop * math.sin(light), x + drop * math.cos(light))
    under = image[:, rows, columns] * (1 - 0.45 * coverage(shadow, 4.0))
    image[:, rows, columns] = mix(under, paint, coverage(distance))


def _window(thing: Thing, margin: float) -> tuple[slice, slice]:
    """Rows and columns that contain an object and ``margin`` pixels around it."""
    reach = 1.28 * thing.radius + margin  # the corner of a square box is the farthest point
    return (
        slice(max(int(thing.y - reach), 0), int(thing.y + reach) + 2),
        slice(max(int(thing.x - reach), 0), int(thing.x + reach) + 2),
    )


def _signed_distance(thing: Thing, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance in pixels to an object's edge, negative inside; y and x are relative to its centre."""
    shape, radius = THING_CLASSES[thing.label].split()[1], thing.radius
    if shape == 'disc':
        return np.hypot(y, x) - radius
    if shape == 'ring':
        return np.abs(np.hypot(y, x) - 0.72 * radius) - 0.28 * radius
    y, x = rotate(y, x, thing.angle)
    if shape == 'box':
        half = 0.9 * radius
        dy, dx = np.abs(y) - half * thing.aspect, np.abs(x) - half
        return np.hypot(np.maximum(dy, 0), np.maximum(dx, 0)) + np.minimum(np.maximum(dy, dx), 0)
    # A star folds onto half of one of its five points: a straight edge from the tip to the valley.
    turn = 2 * math.pi / 5
    fold = np.mod(np.arctan2(y, x) + turn / 2, turn) - turn / 2
    reach = np.hypot(y, x)
    tip, valley = 1.12 * radius, 0.6 * radius
    ny, nx = tip - valley * math.cos(turn / 2), valley * math.sin(turn / 2)
    return ((reach * np.cos(fold) - tip) * nx + reach * np.abs(np.sin(fold)) * ny) / math.hypot(ny, nx)


def _pattern(rng: np.random.Generator, name: str, y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """Share (h, w) of the second colour in a striped, checked or dotted pattern."""
    y, x = rotate(y, x, rng.uniform(0, 2 * math.pi))
    phase = rng.random(), rng.random()
    if name == 'dotted':
        period = max(rng.uniform(0.38, 0.55) * radius, 5.0)
        row = y / period / 0.87 + phase[0]
        column = x / period + phase[1] + 0.5 * (np.floor(row) % 2)
        from_dot = np.hypot((np.mod(row, 1) - 0.5) * 0.87, np.mod(column, 1) - 0.5)
        return coverage((from_dot - 0.31) * period)
    period = max(rng.uniform(0.42, 0.65) * radius, 4.5)
    stripes = coverage((np.abs(np.mod(x / period + phase[0], 1) - 0.5) - 0.25) * period)
    if name == 'striped':
        return stripes
    crossing = coverage((np.abs(np.mod(y / period + phase[1], 1) - 0.5) - 0.25) * period)
    return stripes + crossing - 2 * stripes * crossing
