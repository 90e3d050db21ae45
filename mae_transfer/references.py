"""References: a setting that follows others is written ``'${expression}'``, and gets its value when the config is read.

    image_size = (1024, 1024)
    model = dict(data_preprocessor=dict(pad_size_divisor='${max(image_size)}'))

An expression is Python's, over the settings of the whole config (``train_cfg.max_epochs``, ``param_scheduler[0].end``)
and :data:`FUNCTIONS`. It is evaluated after every base and every ``--cfg-options``, so each setting has one owner, and
nothing is stated twice. A reference within other text stands for the text of its value: ``'${data_root}/train.json'``.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from .data.files.bands import channel_count, jitter_colours, load_image, mean_of, rand_augment, std_of
from .data.label_maps.class_names import class_count, class_names
from .errors import UserError
from .runs.tracking import vis_backends
from .starts import recipe, start, table_size, whole_patches
from .vit.sizes import resolve_size


def join(folder: str, *names: str) -> str:
    """A path below a folder.

    Raises:
        UserError: several folders, as ``data_root`` may be.
    """
    if not isinstance(folder, str):
        raise UserError(
            f'{os.path.join(*names)} is one file, but the folder for it, data_root, is {folder!r}: set what names the '
            'file, or, for data that is evaluated, val_dataloader.dataset.data_root=FOLDER '
            'test_dataloader.dataset.data_root=FOLDER'
        )
    return os.path.join(folder, *names)


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of an image size, which may be given as one number for both.

    Raises:
        UserError: anything else.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UserError(f'an image size is one whole number or (height,width), e.g. 512 or (512,512); found {size!r}')
    return sides


def patience_hook(patience: int | None, metric: str | None) -> dict[str, Any] | None:
    """The hook that the setting ``patience`` asks for; None for none."""
    return None if patience is None else dict(type='mae_transfer.PatienceHook', patience=patience, metric=metric)


#: What an expression may call: some of Python's own functions; ``join(folder, name)``; ``pair(image_size)``;
#: ``size(arch)``, a ViT's ``Size``; what follows from ``init`` (:mod:`~mae_transfer.starts`); the names and number of
#: the user's ``classes``; what follows from ``bands``, ``patience`` and ``track``.
FUNCTIONS = {
    **{function.__name__: function for function in (abs, float, int, len, list, max, min, round, str, sum, tuple)},
    'join': join,
    'pair': pair,
    'size': resolve_size,
    'start': start,
    'recipe': recipe,
    'table_size': table_size,
    'whole_patches': whole_patches,
    'class_names': class_names,
    'class_count': class_count,
    'channel_count': channel_count,
    'mean_of': mean_of,
    'std_of': std_of,
    'load_image': load_image,
    'rand_augment': rand_augment,
    'jitter_colours': jitter_colours,
    'patience_hook': patience_hook,
    'vis_backends': vis_backends,
}
_REFERENCE = re.compile(r'\$\{([^{}]*)\}')


def is_reference(value: Any) -> bool:
    """Whether a setting follows others."""
    return isinstance(value, str) and _REFERENCE.search(value) is not None


def resolve(settings: Mapping, node: Any = None) -> Any:
    """The settings, or a ``node`` of them, with the value of every reference in its place; nothing is changed.

    Raises:
        UserError: an expression that is not Python, names no setting, fails or depends on itself.
    """
    return _Resolver(settings).plain(settings if node is None else node)


def followed(settings: Any) -> set[str]:
    """The names of the top-level settings that a reference uses."""
    return {
        name for text in references(settings).values() for part in _REFERENCE.findall(text) for name in _names(part)
    }


def references(node: Any, place: str = '') -> dict[str, str]:
    """The references below a node by their places, dotted keys."""
    if is_reference(node):
        return {place: node}
    return {where: text for key, child in _children(node, place) for where, text in references(child, key).items()}


def values_at(places: Collection[str], node: Any, place: str = '') -> dict[str, Any]:
    """The values below a node at some places, dotted keys; those that do not exist are left out."""
    if place in places:
        return {place: node}
    return {
        where: value for key, child in _children(node, place) for where, value in values_at(places, child, key).items()
    }


def with_references(node: Any, texts: Mapping[str, str], values: Mapping[str, Any], place: str = '') -> Any:
    """A copy of a node with references put back at their places, wherever these still have their values."""
    if place in values and node == values[place]:
        return texts[place]
    children = [with_references(child, texts, values, key) for key, child in _children(node, place)]
    if isinstance(node, Mapping):
        return dict(zip(node, children))
    return type(node)(children) if isinstance(node, (list, tuple)) else node


def _children(node: Any, place: str) -> list[tuple[str, Any]]:
    """What a node holds, with the dotted key of each."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    return [(f'{place}.{key}' if place else str(key), child) for key, child in items]


@cache
def _names(expression: str) -> frozenset[str]:
    try:
        tree = ast.parse(expression.strip(), mode='eval')
    except SyntaxError:
        raise UserError(f"the reference '${{{expression}}}' is not a Python expression") from None
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


class _Resolver:
    """Evaluates the references of ``settings``, each when it is needed."""

    def __init__(self, settings: Mapping):
        self.settings = settings
        self.active: list[str] = []  # the references under evaluation

    def plain(self, node: Any) -> Any:
        """A node without references, as dictionaries, lists and tuples of its own."""
        node = self.value(node)
        if isinstance(node, _View):
            node = node.node
        if isinstance(node, Mapping):
            return {key: self.plain(child) for key, child in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(self.plain(child) for child in node)
        return node

    def value(self, node: Any) -> Any:
        """What a node stands for: a reference for its value, a dictionary for a view of it."""
        if isinstance(node, (list, tuple)):
            return type(node)(map(self.value, node))
        if not is_reference(node):
            return _View(node, self) if isinstance(node, Mapping) else node
        if node in self.active:
            raise UserError(f"the reference '{node}' depends on itself, by way of {' and '.join(self.active)}")
        self.active.append(node)
        try:
            whole = _REFERENCE.fullmatch(node)
            return self.evaluate(whole[1]) if whole else _REFERENCE.sub(lambda part: self.text(part), node)
        finally:
            self.active.pop()

    def text(self, part: re.Match) -> str:
        value = self.evaluate(part[1])
        if not isinstance(value, (str, int, float)):
            raise UserError(
                f"'{part.string}' needs one value of {part[1]}, but that is {self.plain(value)!r}: set it as a whole"
            )
        return str(value)

    def evaluate(self, expression: str) -> Any:
        names = _names(expression)
        known = {name: self.value(self.settings[name]) for name in names if name in self.settings}
        try:
            return eval(expression.strip(), {'__builtins__': {}, **FUNCTIONS, **known})  # a config is code anyway
        except UserError:
            raise
        except NameError as error:
            close = get_close_matches(error.name or '', list(self.settings), 1)
            advice = f"; did you mean '{close[0]}'?" if close else ''
            raise UserError(f"the reference '${{{expression}}}': the config has no '{error.name}'{advice}") from None
        except Exception as error:
            raise UserError(f"the reference '${{{expression}}}' has no value: {error}") from error


class _View(Mapping):
    """A dictionary of settings as an expression sees it: by item or by attribute, with references resolved."""

    def __init__(self, node: Mapping, resolver: _Resolver):
        self.node, self.resolver = node, resolver

    def __getitem__(self, key: str) -> Any:
        return self.resolver.value(self.node[key])

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"there is no '{key}'") from None

    def __iter__(self) -> Iterator:
        return iter(self.node)

    def __len__(self) -> int:
        return len(self.node)
