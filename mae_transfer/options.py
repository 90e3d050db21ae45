"""``--cfg-options KEY=VALUE``: what the text after the equals sign means."""

from __future__ import annotations

import ast
import re
from typing import Any

from .errors import UserError

_BARE_WORD = re.compile(r"""(['"]).*?\1|[^()\[\]{},:'"]+""")


class Typed(str):
    """The text of a value as it was typed on a command line, to be read where the setting's value until now is known.

    A pair of a key and such a text is the same as ``KEY=VALUE``.
    """


def split_option(option: str) -> tuple[str, str]:
    """The key and the text of ``KEY=VALUE``.

    Raises:
        UserError: no key, no value.
    """
    key, equals, text = option.partition('=')
    if not key or not equals:
        raise UserError(f'--cfg-options {option}: give KEY=VALUE, e.g. train_cfg.max_epochs=100')
    if not text.strip('\'" '):
        raise UserError(f'--cfg-options {option}: the value is empty')
    return key, text.strip()


def parse_value(text: str, old: Any = None) -> Any:
    """A number, text, list, tuple, dictionary, truth value or None in Python's notation, where words need no quotes.

    Args:
        text: ``.5``, ``large``, ``(512,512)``, ``dog,traffic light``, ``{'type': 'LN'}``, ``${max_epochs}``.
        old: the setting's value until now; where it is text, so is the new one, even if it looks like a number.

    Raises:
        UserError: brackets or quotes that do not match.
    """
    nested = text[0] in '([{'
    if text.startswith('${') or (isinstance(old, str) and not nested and text != 'None'):
        return text.strip('\'"')
    is_list = not nested and ',' in text
    try:
        value = ast.literal_eval(text)
        return list(value) if is_list and isinstance(value, tuple) else value
    except (ValueError, SyntaxError):
        pass
    if is_list:
        return [parse_value(part.strip()) for part in text.removesuffix(',').split(',')]
    if not nested:
        return text.strip('\'"')
    try:
        return ast.literal_eval(_BARE_WORD.sub(lambda word: _quoted(word[0].strip()), text))
    except (ValueError, SyntaxError):
        raise UserError(
            f'the brackets or quotes of {text} do not match; for the shell: KEY="{{\'name\': 1}}"'
        ) from None


def _quoted(word: str) -> str:
    return repr(parse_value(word)) if word else ''
