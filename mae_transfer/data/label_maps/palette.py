"""Names and colours of classes for configs that do not give them."""

from __future__ import annotations

import colorsys
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log


def distinct_colours(count: int) -> list[list[int]]:
    """``count`` different colours, RGB in 0..255, the same in every run; consecutive ones differ strongly.

    Hues follow the golden ratio, brightness cycles through three values.
    """
    colours: list[list[int]] = []
    i = 0
    while len(colours) < count:
        hue, value = i * 0.61803398875 % 1, (0.95, 0.7, 0.45)[i % 3]
        colour = [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.55 + 0.4 * (i // 3 % 2), value)]
        if colour not in colours:
            colours.append(colour)
        i += 1
    return colours


def complete_metainfo(metainfo: Mapping[str, Any] | None, published: Mapping[str, Any]) -> dict[str, Any]:
    """A data set's metainfo with ``classes`` and ``palette``.

    Args:
        metainfo: what the config gives. Without ``classes``, or if they are None, the published ones are used. If
            ``classes`` is the name of a file, which MMEngine reads later, no palette is added. A palette of another
            length is replaced, with a warning.
        published: ``classes`` and ``palette`` of the published data set.
    """
    metainfo = {key: value for key, value in (metainfo or {}).items() if value is not None}
    classes = metainfo.setdefault('classes', published['classes'])
    if isinstance(classes, (list, tuple)) and len(metainfo.get('palette', ())) != len(classes):
        if 'palette' in metainfo:
            print_log(
                f'palette has {len(metainfo["palette"])} colours for {len(classes)} classes: others are used',
                logger='current',
                level=logging.WARNING,
            )
        is_published = tuple(classes) == tuple(published['classes'])
        metainfo['palette'] = published['palette'] if is_published else distinct_colours(len(classes))
    return metainfo
