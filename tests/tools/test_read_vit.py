"""tools/read_vit.py: every protocol is run once for each ViT, and a table shows the results."""

from __future__ import annotations

import re

import pytest

from tests.tools.commands import ARCH, REPOSITORY, call, error_line
from tests.tools.in_process import start_tools_here

OPTIONS = ['--cfg-options', f'model.vit.arch={ARCH}', 'image_size=32', 'model.vit.patch_size=8']


@pytest.fixture(scope='module')
def configs(tmp_path_factory, class_photos):
    """A pattern of configs that run for a few seconds."""
    folder = tmp_path_factory.mktemp('configs')
    small, settings = f'{REPOSITORY}/configs/small', f"data_root = '{class_photos}'\n"
    (folder / 'finetune_tiny.py').write_text(
        f"_base_ = ['{small}/finetune_tin20.py']\n{settings}"
        'max_epochs, warmup, total_batch_size = 1, 0.5, 4\n'
        'model = dict(num_classes=3)\n'
        'loader = dict(num_workers=0, batch_size=4)\n'
        'train_dataloader, val_dataloader = loader, loader\n'
    )
    for name, setting in dict(knn='ks=(20, )', fastprobe='epochs=2').items():
        (folder / f'{name}_tiny.py').write_text(
            f"_base_ = ['{small}/{name}_tin20.py']\n{settings}test_cfg = dict({setting})\n"
        )
    return folder / '{}_tiny.py'


@pytest.mark.slow
def test_every_cell_of_the_table_is_filled_by_one_run(configs, tmp_path):
    arguments = ('none', '--configs', configs, '--work-dir', tmp_path, '--seeds', 0, '--protocols', 'knn', '.5')
    first = call('read_vit', *arguments, *OPTIONS)
    assert first.code == 0, first.err + ''.join(path.read_text()[-2000:] for path in tmp_path.glob('*/log.txt'))
    rows = (tmp_path / 'table.md').read_text().splitlines()
    assert rows[0] == '| top-1, % | k-NN | tuned .5 |'
    assert re.fullmatch(r'\| random weights( \| \*\*[\d.]+\*\* \([\d.]+\)){2} \|', rows[2])
    again = call('read_vit', *arguments, *OPTIONS)
    assert '...' in first.out and '...' not in again.out and again.out.strip() == '\n'.join(rows)


def test_old_names_of_options_still_work(configs, tmp_path, monkeypatch):
    started = start_tools_here(monkeypatch)
    arguments = ('none', '--configs', configs, '--work-dir', tmp_path, '--seeds', 0, '--readings', 'fastprobe', 'all')
    ended = call('read_vit', *arguments, *OPTIONS)
    assert ended.code == 0, ended.err + ended.out
    assert [tool for tool, _ in started.runs] == ['test', 'train']
    assert 'model.tuned_blocks=None' in started.commands[1]
    assert (tmp_path / 'table.md').read_text().startswith('| top-1, % | linear | fine-tune |\n')


def test_a_run_that_fails_is_reported_in_one_line(configs, tmp_path, monkeypatch):
    start_tools_here(monkeypatch)
    line = error_line(
        call('read_vit', 'none', '--configs', configs, '--work-dir', tmp_path, '--protocols', '7', *OPTIONS)
    )
    assert 'none_tuned_7_seed0 ended with exit code 2: tuned_blocks is .5 or a whole number from 0 to 2' in line
    assert (tmp_path / 'table.md').is_file()


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['nowhere'], 'no checkpoint file or work_dir'),
        (['none'], 'config configs/nothing_knn.py does not exist'),
        (['none', '--protocols', 'linear'], "unknown protocol 'linear'"),
        (['none', '--jobs', 0], '--jobs must be 1 or more; found 0'),
        (['none', 'none'], "2 of the weights have the name 'none', after which runs and rows are named: rename them"),
    ],
)
def test_impossible_options_are_reported_before_anything_runs(arguments, words, tmp_path):
    work_dir = tmp_path / 'work'
    ended = call('read_vit', *arguments, '--configs', 'configs/nothing_{}.py', '--work-dir', work_dir)
    assert words in error_line(ended) and not work_dir.exists()
