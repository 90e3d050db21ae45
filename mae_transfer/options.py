"""``--cfg-options KEY=VALUE``: settings of a config changed, wherever they stand; a misspelt one refused."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import Runner

from .errors import UserError

#: Settings that a config may leave out at its top level: the Runner's, those it asks the config for, the batch plan's.
OPTIONAL = (
    *inspect.signature(Runner.__init__).parameters,
    'activation_checkpointing',
    'base_lr',
    'compile',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'total_batch_size',
)


def read_config(path: Path, options: list[str]) -> Config:
    """A config file, changed by the ``KEY=VALUE`` of ``--cfg-options``, one after the other (:func:`change_setting`).

    A variable of the file or of its bases (``image_size = (256, 256)``) is changed where it is set, before anything is
    worked out from it: what follows from it follows.

    Raises:
        UserError: as :func:`change_setting`.
    """
    cfg = Config.fromfile(path)
    variables = {}
    for option in options:
        name, equals, text = option.partition('=')
        if equals and name in cfg and name not in OPTIONAL and not isinstance(cfg[name], str):
            variables[name] = _parse_value(name, text)
    if variables:
        with tempfile.TemporaryDirectory() as folder:
            copy = _copy_with(path.resolve(), variables, Path(folder))
            cfg = Config(Config.fromfile(copy).to_dict(), filename=str(path))
    for option in options:
        if option.partition('=')[0] not in variables:
            cfg = change_setting(cfg, option)
    return cfg


def _copy_with(config: Path, variables: dict[str, Any], folder: Path) -> Path:
    """Copy a config and the bases that are files, as they lie to each other, into a folder, with these values for its
    variables."""
    texts, left = {}, [config]
    while left:
        path = left.pop()
        if path in texts:
            continue
        lines = path.read_text().splitlines(keepends=True)
        assignments = [
            node
            for node in ast.parse(''.join(lines)).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        for node in reversed(assignments):  # from the end, so that the lines before keep their numbers
            name = node.targets[0].id
            if name == '_base_':
                bases = ast.literal_eval(node.value)
                left += [
                    (path.parent / base).resolve()
                    for base in ([bases] if isinstance(bases, str) else bases)
                    if '::' not in base
                ]
            elif name in variables:
                lines[node.lineno - 1 : node.end_lineno] = [f'{name} = {variables[name]!r}\n']
        texts[path] = ''.join(lines)
    root = os.path.commonpath([path.parent for path in texts])
    for path, text in texts.items():
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
    return folder / config.relative_to(root)


def change_setting(cfg: Config, option: str) -> Config:
    """The config with one ``KEY=VALUE`` of ``--cfg-options``.

    A changed top-level string (``data_root``, ``pretrained``) is changed wherever the config is built from it: in every
    string that equals it or is a path below it. A dictionary, in Python's notation, replaces what was there.

    Raises:
        UserError: no ``=``, or a path that leaves the config: a misspelt name would otherwise change nothing, in
            silence.
    """
    key, equals, text = option.partition('=')
    if not equals or not key:
        raise UserError(f'--cfg-options {option}: give KEY=VALUE, e.g. train_cfg.max_epochs=100')
    parent, name = _find_setting(cfg, key)
    value = _parse_value(key, text)
    if parent is cfg and isinstance(cfg.get(name), str) and not isinstance(value, dict) and value is not None:
        if not (new := text.strip('\'"')):
            raise UserError(f'--cfg-options {option}: the value is empty')
        old = cfg[name]
        if old.endswith('/') and not new.endswith('/') and not Path(new).is_file():
            new += '/'
        return Config(_replace_path(cfg.to_dict(), old, new), filename=cfg.filename)
    parent[name] = value if parent is cfg or not isinstance(value, dict) else ConfigDict(value)
    return cfg


def _replace_path(node, old: str, new: str):
    if isinstance(node, dict):
        return {key: _replace_path(value, old, new) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_replace_path(value, old, new) for value in node)
    if isinstance(node, str) and (node == old or node.startswith(old if old.endswith('/') else old + '/')):
        return new + node[len(old) :]
    return node


def _find_setting(cfg: Config, key: str) -> tuple[Config | ConfigDict | list, str | int]:
    """What holds the setting of a dotted key, and its name or number there."""
    node, parts = cfg, key.split('.')
    for depth, part in enumerate(parts):
        last, walked = depth == len(parts) - 1, '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(
                    f"--cfg-options {key}: '{walked}' is a list of {len(node)}: give a number below that instead of "
                    f"'{part}'"
                )
            if last and isinstance(node, tuple):
                raise UserError(
                    f"--cfg-options {key}: '{walked}' is set as a whole, e.g. {walked}={str(node).replace(' ', '')}"
                )
            part = int(part)
        elif not isinstance(node, (dict, Config)):
            raise UserError(
                f"--cfg-options {key}: '{walked}' is {node!r}, which holds no settings; set it as a whole "
                f'({walked}=...)'
            )
        elif part not in node and not (last and (depth or part in OPTIONAL)):
            close = get_close_matches(part, list(node) + list(OPTIONAL if depth == 0 else ()), 1)
            raise UserError(
                f"--cfg-options {key}: the config has no '{'.'.join(parts[: depth + 1])}'"
                + (f"; did you mean '{'.'.join(parts[:depth] + close)}'?" if close else '')
            )
        if last:
            return node, part
        node = node[part]


def _parse_value(key: str, text: str) -> Any:
    if text.lstrip().startswith('{'):
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise UserError(
                f"--cfg-options {key}: {text} is no dictionary in Python's notation; quote it for the shell, "
                f"e.g. {key}=\"{{'name': 1, 'other': 'text'}}\""
            ) from None
    if not set(text) & set(',()[]'):
        text = text.strip('\'"')
        if ' ' in text:
            return text  # DictAction would take the spaces out of it
    if ',' in text and not set(text) & set('()[]\'"'):  # each by itself: DictAction would take the spaces out of names
        return [_parse_value(key, part.strip()) for part in text.removesuffix(',').split(',')]
    if text.lstrip().startswith(('(', '[')):
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            pass  # without quotes: as DictAction reads it
    parser = argparse.ArgumentParser()
    parser.add_argument('--value', nargs=1, action=DictAction)
    try:
        return parser.parse_args(['--value', f'value={text}']).value['value']
    except AssertionError:
        raise UserError(f'--cfg-options {key}: the brackets of {text} do not match') from None
