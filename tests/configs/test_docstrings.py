"""The docstring of each config: its commands train and test this config, with settings that it has."""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from mae_transfer.launch import default_work_dir
from mae_transfer.settings import read_config
from tests.configs.recipes import CONFIGS

REPOSITORY = CONFIGS.parent
FILES = [path for path in sorted(CONFIGS.rglob('*.py')) if path.parent.name != '_base_' and path.name[0] != '_']
NAMES = [str(path.relative_to(REPOSITORY)) for path in FILES]


def commands(name: str) -> dict[str, list[str]]:
    """{'Train', 'Test': arguments of the command}, as the docstring has them; indented lines continue a command."""
    text = ast.get_docstring(ast.parse((REPOSITORY / name).read_text()))
    text = re.sub(r'\n {4}', ' ', text)
    return {kind: shlex.split(line) for kind, line in re.findall(r'^(Train|Test)[^:\n]*: (tools/.*)$', text, re.M)}


def work_dir(arguments: list[str], name: str) -> str:
    """Where a command writes."""
    if '--work-dir' in arguments:
        return arguments[arguments.index('--work-dir') + 1]
    return str(default_work_dir(REPOSITORY / name))


@pytest.mark.parametrize('name', NAMES)
def test_a_config_names_the_commands_that_train_and_test_it(name):
    found, cfg = commands(name), read_config(REPOSITORY / name)
    is_row = 'published' in cfg  # a row of an ablation is evaluated by other configs
    assert set(found) == ({'Train'} if cfg.get('train_dataloader') else set()) | (set() if is_row else {'Test'})
    for script, config, *arguments in found.values():
        assert (REPOSITORY / script).is_file() and config == name
        options = arguments[arguments.index('--cfg-options') + 1 :] if '--cfg-options' in arguments else []
        assert all('=' in option for option in options)
        read_config(REPOSITORY / name, options)
    if set(found) == {'Train', 'Test'}:
        assert found['Test'][2] == work_dir(found['Train'], name)


def test_features_are_those_of_a_pretraining():
    for name in NAMES:
        if 'Train' not in commands(name):
            pretraining = commands(name)['Test'][2].replace('work_dirs', 'configs') + '.py'
            assert pretraining in NAMES, name
