"""tools/read_vit.py: every reading of two ViTs, each once, and the table of them."""

from __future__ import annotations

import re

import pytest

from tests.tools.commands import ARCH, REPOSITORY, call, error_line
from tests.tools.in_process import start_tools_here
from tests.tools.test_classification import data  # noqa: F401


@pytest.fixture(autouse=True)
def tools_folder(monkeypatch):
    """In front of the search path, as it is for a script that lies there."""
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))


OPTIONS = ['--cfg-options', f'model.vit.arch={ARCH}', 'model.vit.img_size=32', 'model.vit.patch_size=8']


@pytest.fixture(scope='module')
def configs(tmp_path_factory, data):  # noqa: F811
    """Configs as the pattern wants them, small enough for a moment."""
    folder = tmp_path_factory.mktemp('configs')
    loader = 'dict(num_workers=0, persistent_workers=False, batch_size=4)'
    (folder / 'finetune_tiny.py').write_text(
        f"_base_ = ['{REPOSITORY}/configs/small/finetune_tin20.py']\ndata_root = '{data}'\nmodel = "
        'dict(num_classes=3)\n'
        'dataset = dict(dataset=dict(data_root=data_root))\n'
        f'train_dataloader = dict(**dataset, **{loader})\nval_dataloader = dict(**dataset, '
        f'**{loader})\ntotal_batch_size = 4\n'
        'train_cfg = dict(max_epochs=1, val_interval=1)\ndefault_hooks = dict(checkpoint=dict(interval=1))\n'
        "param_scheduler = [dict(type='WarmupCosineLR', warmup=.5, end=1, by_epoch=True, convert_to_iter_based=True)]\n"
    )
    for name, setting in dict(knn='ks=(20, )', fastprobe='epochs=2').items():
        (folder / f'{name}_tiny.py').write_text(
            f"_base_ = ['{REPOSITORY}/configs/small/{name}_tin20.py']\ndata_root = '{data}'\nloader = "
            'dict(dataset=dict(data_root=data_root))\n'
            f'test_dataloader = loader\ntest_cfg = dict({setting}, train_dataloader=loader)\n'
        )
    return folder / '{}_tiny.py'


def test_every_cell_is_filled_once(configs, tmp_path):
    arguments = (
        'none',
        '--configs',
        configs,
        '--work-dir',
        tmp_path,
        '--seeds',
        0,
        '--readings',
        'knn',
        '.5',
        *OPTIONS,
    )
    first = call('read_vit', *arguments)
    assert first.code == 0, first.err + ''.join(path.read_text()[-2000:] for path in tmp_path.glob('*/log.txt'))
    rows = (tmp_path / 'table.md').read_text().splitlines()
    assert rows[0] == '| top-1, % | k-NN | tuned .5 |'
    assert re.fullmatch(r'\| random weights( \| \*\*[\d.]+\*\* \([\d.]+\)){2} \|', rows[2])
    again = call('read_vit', *arguments)
    assert '...' in first.out and '...' not in again.out and again.out.strip() == '\n'.join(rows)


def test_a_run_that_fails_is_told_in_one_line(configs, tmp_path, monkeypatch):
    start_tools_here(monkeypatch)
    line = error_line(
        call('read_vit', 'none', '--configs', configs, '--work-dir', tmp_path, '--readings', '7', *OPTIONS)
    )
    assert 'none_tuned_7_seed0 ended with exit code 2: tuned_blocks is .5 or a whole number from 0 to 2' in line


@pytest.mark.parametrize(
    'weights, words', [('nowhere', 'no checkpoint file or work_dir'), ('none', 'there is no configs/nothing_knn.py')]
)
def test_what_is_not_there_is_told_before_anything_runs(weights, words, tmp_path):
    assert words in error_line(call('read_vit', weights, '--configs', 'configs/nothing_{}.py', '--work-dir', tmp_path))
