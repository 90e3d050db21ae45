"""Objects in a picture, with what is wrong about them written beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ..data.label_maps.palette import distinct_colours
from ..inference.objects import Mask, Objects
from ..inference.overlays import draw_objects
from .panels import scaled

#: What the text of an object begins with, by its state.
_STATES = ('', 'missed: ', 'false: ', 'crowd: ')
RIGHT, MISSED, FALSE, CROWD = range(len(_STATES))
#: Of more objects in a picture only some have a text, which would hide the others.
MOST_NAMED = 10
#: The text of the others, if they are missed or false.
WRONG = '!'


def draw_marked(
    picture: np.ndarray,
    objects: Objects,
    states: np.ndarray,
    classes: Sequence[str],
    masks: Sequence[dict] | None,
    scale: float,
    scores: bool,
) -> Image.Image:
    """Draw objects in the colours of their classes.

    Args:
        picture: (H, W, 3) uint8, already scaled.
        objects: N of the image before it was scaled, without masks.
        states: (N,) of ``RIGHT``, ``MISSED``, ``FALSE``, ``CROWD``.
        classes: names by label.
        masks: N of COCO's run lengths; None for none.
        scale: by how much the image was enlarged.
        scores: whether they are written.
    """
    own = None if masks is None else [Mask.of(scaled(coco_mask.decode(mask), scale).astype(bool)) for mask in masks]
    colours = distinct_colours(len(classes))
    # Each object has a text of its own, so that its number is its label here.
    marked = replace(objects, boxes=objects.boxes * np.float32(scale), labels=np.arange(len(objects)), masks=own)
    return draw_objects(
        picture, marked, texts(objects, states, classes), [colours[label] for label in objects.labels], scores=scores
    )


def texts(objects: Objects, states: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The text of each object. Of more than :data:`MOST_NAMED` the largest one of each class and state has its name,
    and the others have ``WRONG`` or nothing."""
    names = [f'{_STATES[state]}{classes[label]}' for state, label in zip(states, objects.labels)]
    if len(names) <= MOST_NAMED:
        return names
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    largest: dict[str, int] = {}
    for place in np.argsort(-sides.prod(1), kind='stable'):
        largest.setdefault(names[place], int(place))
    short = [WRONG if state in (MISSED, FALSE) else '' for state in states]
    return [name if largest[name] == place else short[place] for place, name in enumerate(names)]
