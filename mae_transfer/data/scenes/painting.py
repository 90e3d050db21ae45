"""Paint one demo scene: patterned shapes on patterned grounds, with the label of every pixel.

Colours are drawn at random for every ground and object, so no colour identifies a class. Grounds differ only in
texture; objects differ in shape and texture together (a disc may be striped or dotted, stripes may be on a disc or a
box). Textures repeat, shading is smooth and outlines are closed, so that masked parts can be predicted from the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .ground import STUFF_CLASSES, paint_ground
from .objects import THING_CLASSES, paint_thing, place_things

#: The label of SEMANTIC_CLASSES[i] in a semantic map is i + 1; label 0, "other", never occurs.
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
MIN_SIZE = 32  # pixels; in a smaller scene, textures would not be recognisable


@dataclass
class Scene:
    """A painted image with its annotations, all of visible pixels only.

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


def paint_scene(rng: np.random.Generator, size: int = 96) -> Scene:
    """Paint a square scene of ``size`` x ``size`` pixels with one to five objects, each of them recognisably visible.

    Raises:
        ValueError: ``size`` is below 32.
    """
    if size < MIN_SIZE:
        raise ValueError(f'size is {size} pixels; a scene needs at least {MIN_SIZE}')
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    light = rng.uniform(0, 2 * math.pi)
    image, ground = paint_ground(rng, yy, xx)
    things, owner = place_things(rng, yy, xx)
    for thing in things:
        paint_thing(rng, image, thing, yy, xx, light)

    slope = (math.cos(light) * (xx - size / 2) + math.sin(light) * (yy - size / 2)) / size
    image *= 1 + rng.uniform(0.15, 0.45) * slope
    image += rng.uniform(0.006, 0.02) * rng.standard_normal(image.shape, np.float32)

    labels = [thing.label for thing in things]
    masks = owner[None] == np.arange(len(things))[:, None, None]
    # Index -1, the last entry, is the ground.
    semantic_of = np.array([len(STUFF_CLASSES) + 1 + label for label in labels] + [0], np.uint8)
    semantic = np.where(owner >= 0, semantic_of[owner], ground).astype(np.uint8)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Scene(np.ascontiguousarray(pixels.transpose(1, 2, 0)), labels, masks, semantic)
