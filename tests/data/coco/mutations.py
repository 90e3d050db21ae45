"""Random damage to files in COCO's format, for tests that nothing passes in silence or with a traceback."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

#: What a value may become, whatever it was.
STRANGE = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10, 11, 2.5, 1e-9, 1e9, 1e300, 10**25, 10**400, -0.5),
    *(float('nan'), float('inf'), '', ' ', '0', '1', '2.5', 'nan', 'dog', 'img_1', '\0', 'a\nb', "b'ab'", 'ab' * 300),
    *([], {}, [[]], [0], [1, 2, 3, 4], ['1', '2', '3', '4'], [[1, 2, 3, 4, 5, 6]], [[[1, 2], [3, 4], [5, 9]]]),
    *({'counts': [1, 2], 'size': [2, 2]}, {'counts': 'abc', 'size': [90, 70]}, {'x': 1}, [None], [{}], [[None] * 6]),
)


def mutate_coco(content: dict[str, Any], rng: np.random.Generator) -> Any:
    """A copy of a content in COCO's format with one or two random changes.

    A change takes a random place, and deletes it, replaces it by something strange, changes its type or its number,
    doubles it, nests it, or exchanges it with another value.
    """
    content = copy.deepcopy(content)
    for _ in range(rng.integers(1, 3)):
        places = list(_places(content))
        if not places:
            break
        # Places near the root are few, but matter.
        shallow = [place for place in places if place[2] <= 3]
        holder, key, _ = _draw(shallow if rng.random() < 0.1 else places, rng)
        _change(holder, key, places, rng)
    return content


def _places(holder: Any, depth: int = 1):
    """(dictionary or list, key or index, depth) of all values below ``holder``."""
    items = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, value in list(items):
        yield holder, key, depth
        if isinstance(value, (dict, list)):
            yield from _places(value, depth + 1)


def _draw(choices: Any, rng: np.random.Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _change(holder: Any, key: Any, places: list, rng: np.random.Generator) -> None:
    value = holder[key]
    kind = rng.integers(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = [value] if rng.random() < 0.5 else {'value': value}
    elif kind == 2:
        holder[key] = str(value)
    elif kind == 3 and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            holder[key] = _draw(
                [float(value), -value, value * 100, value / 100, value + 1, value - 1, value + 0.5], rng
            )
        except OverflowError:
            holder[key] = 0
    elif kind == 4 and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif kind == 5:
        other, other_key, _ = _draw(places, rng)
        if other_key in other if isinstance(other, dict) else other_key < len(other):
            holder[key] = copy.deepcopy(other[other_key])
    elif kind == 6 and isinstance(holder, dict):
        holder[_draw([key.upper(), f'{key}s', 'ignore', 'id', 'iscrowd', 'extra'], rng)] = holder.pop(key)
    else:
        holder[key] = copy.deepcopy(_draw(STRANGE, rng))
