"""Which class a part of a config is of: looked up in the registries, never guessed from its name."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from inspect import signature
from typing import Any

from mmengine.registry import Registry

Settings = Mapping[str, Any]
#: Scopes whose data sets print on import that optional parts of them are missing.
_TALKATIVE = ('mmdet', 'mmseg')


def class_of(settings: Settings, registry: Registry, scope: str | None) -> type | None:
    """The class that the ``type`` of some settings names; None where there is no type, or none of that name.

    Args:
        registry: one of MMEngine's root registries, e.g. ``mmengine.registry.MODELS``.
        scope: the config's ``default_scope``.
    """
    kind = settings.get('type')
    if not isinstance(kind, str):
        return kind
    if scope in _TALKATIVE and f'{scope}.datasets' not in sys.modules:
        with redirect_stdout(io.StringIO()):
            import_module(f'{scope}.datasets')
    with registry.switch_scope_and_registry(scope) as scoped:
        return scoped.get(kind)


def unknown_type(error: KeyError) -> str | None:
    """One line for the error that MMEngine's registries raise for a type that they do not have; None for another."""
    missing = re.match(r'(\S+) is not in the (\S+) registry', str(error.args[0]) if error.args else '')
    if missing is None:
        return None
    return f"there is no type '{missing[1]}' in {missing[2]}: is it misspelt, or not imported (custom_imports)?"


def is_kind(settings: Settings | None, registry: Registry, scope: str | None, *bases: type) -> bool:
    """Whether the class of some settings is one of ``bases`` or derives from it."""
    kind = class_of(settings, registry, scope) if isinstance(settings, Mapping) else None
    return isinstance(kind, type) and issubclass(kind, bases)


def takes(kind: Any, name: str) -> bool:
    """Whether a class, or a function, has a parameter of that name."""
    return kind is not None and name in signature(kind).parameters


def data_sets(settings: Any) -> Iterator[Settings]:
    """The settings of every data set within a data set's settings: itself, or those inside of wrappers."""
    if isinstance(settings, (list, tuple)):
        for part in settings:
            yield from data_sets(part)
    elif isinstance(settings, Mapping):
        inner = settings.get('dataset', settings.get('datasets'))
        if inner is None:
            yield settings
        else:
            yield from data_sets(inner)


def data_loaders(cfg: Settings) -> dict[str, Settings]:
    """The settings of all data loaders of a config, by their dotted keys."""
    loaders = {name: cfg.get(name) for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')}
    # Of the protocols that evaluate on features.
    loaders['test_cfg.train_dataloader'] = (cfg.get('test_cfg') or {}).get('train_dataloader')
    return {name: loader for name, loader in loaders.items() if loader}
