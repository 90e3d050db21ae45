"""docs/configs.md lists each config once, with the first sentence of its docstring."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.documents import REPOSITORY

CONFIGS = REPOSITORY / 'configs'
INDEX = (REPOSITORY / 'docs' / 'configs.md').read_text()
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py'))


def first_sentence(name: str) -> str:
    docstring = ast.get_docstring(ast.parse((CONFIGS / name).read_text()))
    return re.match(r'.*?\.(?=\s|$)', ' '.join(docstring.split()).replace('|', '\\|'))[0]


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_listed(name):
    row = f'| [{name}](../configs/{name}) | {first_sentence(name)} |'
    assert INDEX.count(row) == 1, f'docs/configs.md needs the row\n{row}'


def test_every_row_is_a_config():
    assert sorted(re.findall(r'\(\.\./configs/(\S+\.py)\)', INDEX)) == NAMES
