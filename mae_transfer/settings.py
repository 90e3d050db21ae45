"""Reading a config, and giving settings of it other values: what refers to a setting follows it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .errors import UserError
from .options import Typed, parse_value, split_option
from .paths import with_home
from .references import followed, is_reference, references, resolve, values_at, with_references

#: What change_settings takes beside text: pairs of a dotted key and a value.
Changes = list[tuple[str, Any]]

#: Top-level settings that are read without being referred to: by the Runner, the batch plan and the tools.
READ = (
    *inspect.signature(Runner.__init__).parameters,
    *('activation_checkpointing', 'base_lr', 'compile', 'efficient_conv_bn_eval', 'find_unused_parameters'),
    *('model_wrapper_cfg', 'sync_bn', 'total_batch_size', 'tta'),
)


def read_config(path: str | Path, options: Sequence[str | tuple[str, Any]] = ()) -> Config:
    """A config file, changed by the ``KEY=VALUE`` of ``--cfg-options``, or by pairs of a dotted key and a value.

    Raises:
        UserError: a file or base that cannot be read, a module of ``custom_imports`` that cannot be imported; what
            :func:`change_settings` refuses.
    """
    if Path(path).suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise UserError(f'{path} is no config (.py, .json or .yaml): the config is the first argument')
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        first: BaseException = error
        while first.__context__:
            first = first.__context__
        raise UserError(f'{path}: {first}: check custom_imports, and that PYTHONPATH has the folder of it') from error
    except RecursionError as error:
        raise UserError(f'{path}: _base_ leads round in a circle') from error
    except Exception as error:  # of any kind: a config is a program
        line = str(error.args[0] if isinstance(error, KeyError) else error).strip().splitlines() or ['']
        kind = '' if isinstance(error, (KeyError, OSError, SyntaxError, ValueError)) else f'{type(error).__name__}: '
        raise UserError(f'{path}: {kind}{line[0]}') from error
    return change_settings(cfg, options)


def change_settings(cfg: Config, changes: Sequence[str | tuple[str, Any]]) -> Config:
    """A config with some settings changed, one after the other, and every reference resolved; ``~`` is the home folder.

    Which setting follows what stays in it, as ``references`` and ``reference_values``, so that the result, and the
    config that a run writes into its work_dir, can be changed in the same way again: here, by a config that stands on
    it, or by hand. A setting whose value was changed itself follows no longer.

    Args:
        cfg: as it is in its file, or as this function gave it; stays as it is.
        changes: ``KEY=VALUE`` as on the command line, or pairs of a dotted key and a value (or :class:`Typed` text).

    Raises:
        UserError: a key that the config does not have; a value that cannot be read; a setting that nothing reads.
    """
    settings = cfg.to_dict()
    settings = with_references(settings, settings.pop('references', {}), settings.pop('reference_values', {}))
    before = followed(settings)
    for change in changes:
        key, value = typed_option(change) if isinstance(change, str) else change
        parent, name = find_setting(settings, key)
        if isinstance(value, Typed):
            old = parent.get(name) if isinstance(parent, dict) else parent[name]
            try:
                value = parse_value(value, _value_of(settings, old))
            except UserError as error:
                raise UserError(f'--cfg-options {key}: {error}') from None
        parent[name] = value
        if (top := key.partition('.')[0]) not in READ and top not in followed(settings):
            raise UserError(
                f"--cfg-options {key}: '{top}' is in the config, but nothing reads it: set what you mean itself"
            )
    # A named setting that no reference uses any more would only contradict what was set in its place.
    for name in before - followed(settings) - set(READ):
        settings.pop(name, None)
    settings = _with_homes(settings)
    resolved = resolve(settings)
    if found := references(settings):
        resolved.update(references=found, reference_values=values_at(found, resolved))
    return Config(resolved, filename=cfg.filename)


def keyword_changes(cfg_options: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The changes that a call in Python asks for, as :func:`change_settings` takes them.

    Args:
        cfg_options: values by dotted keys, e.g. ``{'model.vit.drop_path_rate': .1}``.
        settings: keyword arguments, with ``__`` in place of the dots.
    """
    return [*(cfg_options or {}).items(), *((name.replace('__', '.'), value) for name, value in settings.items())]


def typed_option(option: str) -> tuple[str, Typed]:
    """``KEY=VALUE`` as a pair for :func:`change_settings`, which reads the value; raises ``UserError``."""
    key, text = split_option(option)
    return key, Typed(text)


def _with_homes(node: Any) -> Any:
    """Settings with home folders in place of ``~`` at the beginning of paths: no other text begins with '~/'."""
    if isinstance(node, dict):
        return {key: _with_homes(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(map(_with_homes, node))
    return with_home(node) if isinstance(node, str) else node


def _value_of(settings: dict, old: Any) -> Any:
    try:
        return resolve(settings, old)
    except UserError:  # the value that is replaced may have lost its meaning by a change before
        return None


def find_setting(settings: dict, key: str) -> tuple[Any, str | int]:
    """The dictionary, list or tuple that holds the setting of a dotted key, and the setting's name or number there.

    References on the way are replaced by their values.

    Raises:
        UserError: a path that leaves the config: a misspelt name would otherwise change nothing, in silence.
    """
    node: Any = settings
    *way, last = parts = key.split('.')
    for depth in range(len(way)):
        name = _name_within(node, parts, depth)
        if is_reference(node[name]) and not isinstance(node, tuple):
            node[name] = resolve(settings, node[name])
        node = node[name]
    name = _name_within(node, parts, len(way))
    if isinstance(node, tuple):
        whole = '.'.join(way)
        raise UserError(f"--cfg-options {key}: set '{whole}' as a whole, e.g. {whole}={str(node).replace(' ', '')}")
    return node, name


def _name_within(node: Any, parts: list[str], depth: int) -> str | int:
    """The part of a dotted key at ``depth``, as a name or number of ``node``; raises as :func:`find_setting`."""
    trouble, part, walked = f'--cfg-options {".".join(parts)}:', parts[depth], '.'.join(parts[:depth])
    if isinstance(node, (list, tuple)):
        if not part.isdigit() or int(part) >= len(node):
            raise UserError(f"{trouble} '{walked}' is a list of {len(node)}: give a number below that, not '{part}'")
        return int(part)
    if not isinstance(node, dict):
        raise UserError(f"{trouble} '{walked}' is {node!r}, which holds no settings: set it as a whole, {walked}=...")
    # A new name may only be the last, within settings that exist, or one that the Runner reads.
    is_new = depth == len(parts) - 1 and (depth > 0 or part in READ)
    if part not in node and not is_new:
        names = {*node, *(READ if depth == 0 else ())}
        close = get_close_matches(part, names, 1)
        advice = f"; did you mean '{'.'.join([*parts[:depth], *close])}'?" if close else ''
        raise UserError(f"{trouble} the config has no '{'.'.join(parts[: depth + 1])}'{advice}")
    return part
