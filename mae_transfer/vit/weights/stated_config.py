"""What the config of the run that wrote a checkpoint says; it is parsed, never run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any


def stated_setting(meta: Any, name: str) -> Any:
    """The value of a top-level setting of the config in a checkpoint's ``meta``; None where none can be read."""
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    try:
        nodes = ast.parse(text).body if isinstance(text, str) else []
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
                return _literal(node.value)
    except (SyntaxError, ValueError, RecursionError):
        pass
    return None


def _literal(node: ast.expr) -> Any:
    """The value of a literal, in which dictionaries may be written ``dict(key=value)``, as MMEngine writes them.

    Raises:
        ValueError: anything else; it is never evaluated.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): _literal(value) for key, value in zip(node.keys, node.values) if key}
    return ast.literal_eval(node)
