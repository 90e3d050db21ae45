"""Painting one demo scene: patterned shapes lying on patterned grounds, with every pixel's reading known.

Colours are drawn at random for every ground and object, so no colour names a class. Grounds differ by texture alone;
objects differ by shape and texture together (a disc may be striped or dotted, stripes may sit on a disc or a box).
Textures repeat, shading is smooth, outlines are closed: what is hidden of a scene can be worked out from the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

STUFF_CLASSES = ('sky', 'grass', 'brick', 'water')
THING_CLASSES = ('striped disc', 'dotted disc', 'striped box', 'checked box', 'dotted star', 'striped ring')
#: The label of SEMANTIC_CLASSES[i] in a semantic map is i + 1; label 0 is "other" and is never painted.
SEMANTIC_CLASSES = STUFF_CLASSES + THING_CLASSES
SEMANTIC_PALETTE = [
    [120, 190, 240],
    [110, 180, 80],
    [190, 90, 70],
    [50, 90, 190],
    [240, 170, 50],
    [250, 220, 100],
    [150, 80, 190],
    [220, 130, 220],
    [240, 90, 120],
    [60, 190, 170],
]

MIN_SIZE = 32  # pixels; below this a texture has no room to show itself
MIN_VISIBLE_SHARE = 0.4  # of an object's pixels inside the frame
MIN_VISIBLE_PIXELS = 36
MAX_OBJECTS = 5


@dataclass
class Scene:
    """A painted image and its two readings, both of what is visible.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        labels: n indices into ``THING_CLASSES``, from the lowest object to the topmost.
        masks: bool (n, H, W), disjoint; the visible pixels of each object.
        semantic: uint8 (H, W), 1 + index into ``SEMANTIC_CLASSES``.
    """

    image: np.ndarray
    labels: list[int]
    masks: np.ndarray
    semantic: np.ndarray


@dataclass
class _Thing:
    label: int
    x: float
    y: float
    radius: float
    angle: float
    aspect: float


def paint_scene(rng: np.random.Generator, size: int = 96) -> Scene:
    """Paint a square scene of ``size`` x ``size`` pixels with one to five objects, each of them recognisably visible.

    Raises:
        ValueError: ``size`` is below 32.
    """
    if size < MIN_SIZE:
        raise ValueError(f'size is {size} pixels; a scene needs at least {MIN_SIZE}')
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    light = rng.uniform(0, 2 * math.pi)
    image, ground = _paint_ground(rng, yy, xx)
    things, owner = _place_things(rng, yy, xx)
    for thing in things:
        _paint_thing(rng, image, thing, yy, xx, light)

    slope = (math.cos(light) * (xx - size / 2) + math.sin(light) * (yy - size / 2)) / size
    image *= 1 + rng.uniform(0.15, 0.45) * slope
    image += rng.uniform(0.006, 0.02) * rng.standard_normal(image.shape, np.float32)

    labels = [thing.label for thing in things]
    masks = owner[None] == np.arange(len(things))[:, None, None]
    # Index -1, the last entry, stands for the ground.
    semantic_of = np.array([len(STUFF_CLASSES) + 1 + label for label in labels] + [0], np.uint8)
    semantic = np.where(owner >= 0, semantic_of[owner], ground).astype(np.uint8)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Scene(np.ascontiguousarray(pixels.transpose(1, 2, 0)), labels, masks, semantic)


# From here on colours are (3, 1, 1) and images (3, H, W): they broadcast against maps (H, W), the fastest way in numpy.


# --- colour -----------------------------------------------------------------------------------------------------------
def _colour(lightness: float, chroma: float, hue: float) -> np.ndarray:
    """OKLCH (hue in radians) to sRGB in 0..1: hues drawn evenly here look evenly spread and equally strong."""
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


def _mix(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * share


def _rotate(y: np.ndarray, x: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * y - sin * x, sin * y + cos * x


def _cover(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Share of a pixel inside an edge, from the signed distance in pixels (negative inside): the anti-aliasing."""
    return np.clip(0.5 - distance / softness, 0, 1)


# --- ground -----------------------------------------------------------------------------------------------------------
def _paint_ground(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One to three textures over the whole frame: float32 image (3, H, W) and its labels (H, W)."""
    kinds = rng.permutation(len(STUFF_CLASSES))[: rng.choice([1, 2, 3], p=[0.15, 0.5, 0.35])]
    image = labels = None
    for kind in kinds:
        texture = _TEXTURES[STUFF_CLASSES[kind]](rng, yy, xx)
        if image is None:
            image, labels = texture, np.full(yy.shape, kind + 1, np.uint8)
            continue
        distance = _border(rng, yy, xx)
        # The upper region throws a soft shadow, so a border shows even between two grounds of one colour.
        image = image * (1 - 0.35 * np.exp(-np.maximum(distance, 0) / 2.5))
        image = _mix(image, texture, _cover(distance, 1.5))
        labels[distance < 0] = kind + 1
    return image, labels


def _border(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """Signed distance (H, W) to a straight, wavy or round border that keeps 25-55 % of the frame inside."""
    size = len(yy)
    across, along = _rotate(yy - size / 2, xx - size / 2, rng.uniform(0, 2 * math.pi))
    style = rng.choice(3)
    if style == 0:
        field = across
    elif style == 1:
        wave = rng.uniform(0.35, 0.8) * size
        field = across + 0.1 * wave * np.sin(2 * math.pi * along / wave + rng.uniform(0, 6.28))
    else:
        field = np.hypot(across - rng.uniform(0.5, 1.0) * size, along)
    return field - np.quantile(field, rng.uniform(0.25, 0.55)).astype(np.float32)


def _ground_colours(rng: np.random.Generator, contrast: float) -> tuple[np.ndarray, np.ndarray]:
    hue, chroma, middle = rng.uniform(0, 2 * math.pi), rng.uniform(0.035, 0.12), rng.uniform(0.56, 0.8)
    turn = rng.uniform(-0.5, 0.5)
    return (_colour(middle - contrast / 2, chroma, hue), _colour(middle + contrast / 2, chroma, hue + turn))


def _clouds(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise (H, W) in about 0..1 with ``cells`` bumps across."""
    return cv2.resize(rng.random((cells + 1, cells + 1), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def _sky(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    low, high = _ground_colours(rng, 0.16)
    across, _ = _rotate(yy / size - 0.5, xx / size - 0.5, rng.uniform(0, 2 * math.pi))
    sky = _mix(low, high, np.clip(across + 0.5, 0, 1))
    cloud = 0.7 * _clouds(rng, size, 4) + 0.3 * _clouds(rng, size, 9)
    return _mix(sky, high * 0.35 + 0.65, np.clip((cloud - 0.5) * 3, 0, 0.75))


def _grass(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    low, high = _ground_colours(rng, rng.uniform(0.28, 0.38))
    length = 9 if size >= 64 else 7
    steps = np.arange(length, dtype=np.float32) - length // 2
    across, along = _rotate(*np.meshgrid(steps, steps, indexing='ij'), rng.uniform(0, math.pi))
    blade = np.exp(-((across / 0.75) ** 2) - (along / (0.4 * length)) ** 2)
    noise = cv2.filter2D(rng.standard_normal((size, size), np.float32), -1, blade / np.linalg.norm(blade))
    patches = _clouds(rng, size, 5) - 0.5
    return _mix(low, high, np.clip(0.5 + 0.3 * noise + 0.25 * patches, 0, 1))


def _brick(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    low, high = _ground_colours(rng, rng.uniform(0.12, 0.2))
    height = max(rng.uniform(0.075, 0.12) * size, 5.5)
    width, joint = 2.1 * height, max(0.16 * height, 1.2)
    across, along = _rotate(yy, xx, rng.uniform(0, 2 * math.pi))
    row_at = across / height
    row = np.floor(row_at)
    column_at = along / width + 0.5 * (row % 2)  # every second row moves on by half a brick
    column = np.floor(column_at)
    tones = rng.random((32, 32), np.float32)
    wall = _mix(low, high, tones[row.astype(int) % 32, column.astype(int) % 32])
    to_edge = np.minimum((0.5 - np.abs(row_at - row - 0.5)) * height, (0.5 - np.abs(column_at - column - 0.5)) * width)
    mortar = low * 0.5 if rng.random() < 0.5 else high * 0.4 + 0.55
    return _mix(wall, mortar, _cover(to_edge - joint / 2))


def _water(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    size = len(yy)
    low, high = _ground_colours(rng, rng.uniform(0.22, 0.32))
    period, wave = max(rng.uniform(0.075, 0.12) * size, 6.0), rng.uniform(0.25, 0.4) * size
    across, along = _rotate(yy, xx, rng.uniform(0, 2 * math.pi))
    sway = np.sin(2 * math.pi * along / wave + rng.uniform(0, 6.28)) * rng.uniform(1.4, 2.2)
    ripple = 0.5 + 0.5 * np.sin(2 * math.pi * across / period + sway)
    swell = 0.5 + 0.5 * np.sin(2 * math.pi * (across + 0.6 * along) / (3.3 * period) + rng.uniform(0, 6.28))
    # Sharp crests, wide troughs.
    return _mix(low, high, ripple**2 * (0.55 + 0.45 * swell))


_TEXTURES = {'sky': _sky, 'grass': _grass, 'brick': _brick, 'water': _water}


# --- things -----------------------------------------------------------------------------------------------------------
def _place_things(rng: np.random.Generator, yy: np.ndarray, xx: np.ndarray) -> tuple[list[_Thing], np.ndarray]:
    """Objects from the lowest to the topmost, and for every pixel (H, W) the index of its object, -1 for ground."""
    size = len(yy)
    things = []
    whole, seen = np.zeros(0, np.int64), np.zeros(0, np.int64)  # pixels of each object, and those still visible
    owner = np.full(yy.shape, -1, np.int64)
    for _ in range(rng.integers(1, MAX_OBJECTS + 1)):
        label = int(rng.integers(len(THING_CLASSES)))
        for _ in range(12):
            radius = max(rng.uniform(0.18, 0.5) * size / 2, 6.0)
            margin = 0.7 * radius
            x, y = rng.uniform(margin, size - 1 - margin), rng.uniform(margin, size - 1 - margin)
            thing = _Thing(label, x, y, radius, rng.uniform(0, 2 * math.pi), rng.uniform(0.65, 1))
            window = _window(thing, 1)
            mask = _outline(thing, yy[window] - y, xx[window] - x) < 0
            covered = np.bincount(owner[window][mask] + 1, minlength=len(things) + 1)[1:]
            new_whole, new_seen = np.append(whole, mask.sum()), np.append(seen - covered, mask.sum())
            if np.all(new_seen >= np.maximum(MIN_VISIBLE_SHARE * new_whole, MIN_VISIBLE_PIXELS)):
                owner[window][mask] = len(things)
                things.append(thing)
                whole, seen = new_whole, new_seen
                break
    # The smallest object a size allows has over 36 pixels, so an empty frame always takes its first one.
    return things, owner


def _window(thing: _Thing, margin: float) -> tuple[slice, slice]:
    """Rows and columns that hold an object and ``margin`` pixels around it."""
    reach = 1.28 * thing.radius + margin  # the corner of a square box lies farthest out
    return (
        slice(max(int(thing.y - reach), 0), int(thing.y + reach) + 2),
        slice(max(int(thing.x - reach), 0), int(thing.x + reach) + 2),
    )


def _outline(thing: _Thing, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance in pixels to an object's edge, negative inside; y and x are relative to its centre."""
    shape, radius = THING_CLASSES[thing.label].split()[1], thing.radius
    if shape == 'disc':
        return np.hypot(y, x) - radius
    if shape == 'ring':
        return np.abs(np.hypot(y, x) - 0.72 * radius) - 0.28 * radius
    y, x = _rotate(y, x, thing.angle)
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
    y, x = _rotate(y, x, rng.uniform(0, 2 * math.pi))
    phase = rng.random(), rng.random()
    if name == 'dotted':
        period = max(rng.uniform(0.38, 0.55) * radius, 5.0)
        row = y / period / 0.87 + phase[0]
        column = x / period + phase[1] + 0.5 * (np.floor(row) % 2)
        from_dot = np.hypot((np.mod(row, 1) - 0.5) * 0.87, np.mod(column, 1) - 0.5)
        return _cover((from_dot - 0.31) * period)
    period = max(rng.uniform(0.42, 0.65) * radius, 4.5)
    stripes = _cover((np.abs(np.mod(x / period + phase[0], 1) - 0.5) - 0.25) * period)
    if name == 'striped':
        return stripes
    crossing = _cover((np.abs(np.mod(y / period + phase[1], 1) - 0.5) - 0.25) * period)
    return stripes + crossing - 2 * stripes * crossing


def _paint_thing(
    rng: np.random.Generator, image: np.ndarray, thing: _Thing, yy: np.ndarray, xx: np.ndarray, light: float
) -> None:
    """Paint an object with its shadow into ``image``, touching only the window around it."""
    rows, columns = _window(thing, 8)
    y, x = yy[rows, columns] - thing.y, xx[rows, columns] - thing.x
    distance = _outline(thing, y, x)

    texture = THING_CLASSES[thing.label].split()[0]
    hue, dark, bright = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 0.5), rng.uniform(0.78, 0.93)
    first = _colour(dark, rng.uniform(0.08, 0.17), hue)
    second = _colour(bright, rng.uniform(0.04, 0.14), hue + rng.uniform(-1.2, 1.2))
    first, second = (first, second) if rng.random() < 0.5 else (second, first)
    paint = _mix(first, second, _pattern(rng, texture, y, x, thing.radius))
    towards = (math.cos(light) * x + math.sin(light) * y) / thing.radius
    paint *= 1 + 0.22 * towards
    rim = _colour(0.22, 0.05, hue)
    paint = _mix(paint, rim, _cover(-distance - max(0.05 * thing.radius, 1.0)))

    drop = 0.06 * thing.radius + 1.5
    shadow = _outline(thing, y + drop * math.sin(light), x + drop * math.cos(light))
    under = image[:, rows, columns] * (1 - 0.45 * _cover(shadow, 4.0))
    image[:, rows, columns] = _mix(under, paint, _cover(distance))
