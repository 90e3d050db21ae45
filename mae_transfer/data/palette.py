"""Colours for classes that have none."""

from __future__ import annotations

import colorsys


def distinct_colours(count: int) -> list[list[int]]:
    """``count`` different colours (red, green, blue of 255), neighbours far apart: hues by the golden ratio, in three
    brightnesses."""
    colours: list[list[int]] = []
    i = 0
    while len(colours) < count:
        hue, value = i * 0.61803398875 % 1, (0.95, 0.7, 0.45)[i % 3]
        colour = [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.55 + 0.4 * (i // 3 % 2), value)]
        if colour not in colours:
            colours.append(colour)
        i += 1
    return colours
