"""What the config of the run that wrote a checkpoint says; it is parsed, never run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any


def stated_setting(meta: Any, name: str) -> Any:
    """The value of a top-level setting of the config in a checkpoint's ``meta``; None where none can be read."""
    for found, node in _settings(meta):
        if found == name:
            try:
                return _literal(node)
            except (ValueError, RecursionError):
                break
    return None


def stated_settings(meta: Any) -> dict[str, Any] | None:
    """All settings of the config in a checkpoint's ``meta``; None where there is no config, or one of more than
    values."""
    try:
        return {name: _literal(node) for name, node in _settings(meta)} or None
    except (ValueError, RecursionError):
        return None


def _settings(meta: Any) -> list[tuple[str, ast.expr]]:
    """The top-level settings of the config in a checkpoint's ``meta``, which are assignments of MMEngine's dump."""
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    try:
        nodes = ast.parse(text).body if isinstance(text, str) else []
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [
        (node.targets[0].id, node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]


def _literal(node: ast.expr) -> Any:
    """The value of a literal, in which dictionaries may be written ``dict(key=value)``, as MMEngine writes them.

    Raises:
        ValueError: anything else; it is never evaluated.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        if len(node.args) > 1 or not all(isinstance(argument, ast.Dict) for argument in node.args):
            raise ValueError('no literal')
        given = _literal(node.args[0]) if node.args else {}  # names that are no words stand in a dictionary
        return {**given, **{keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg}}
    if isinstance(node, ast.List):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_literal(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): _literal(value) for key, value in zip(node.keys, node.values) if key}
    return ast.literal_eval(node)
