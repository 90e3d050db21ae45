"""Rows of an ablation: found by name, and matched with existing runs."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.errors import UserError
from mae_transfer.experiments.ablation_rows import ABLATIONS, find_rows, load_row, scaled_rows, write_config
from mae_transfer.experiments.ablation_scale import make_scale
from mae_transfer.settings import read_config

SCALE = CONFIGS / 'small' / 'mae_pretrain_tin20.py'


@pytest.mark.parametrize(
    'names, stems',
    [
        (['table1a'], [f'table1a_decoder_depth_{depth}' for depth in (1, 2, 4, 8, 12)]),
        (
            ['table1c', 'table1c_encoder_with'],
            ['table1c_encoder_with_mask_tokens', 'table1c_encoder_without_mask_tokens'],
        ),
        (
            [str(ABLATIONS / 'fig5_mask_ratio_[67]*.py')],
            ['fig5_mask_ratio_60', 'fig5_mask_ratio_70', 'fig5_mask_ratio_75'],
        ),
        (
            [str(ABLATIONS / 'fig5_mask_ratio_90.py'), 'table2_vith_decoder_1'],
            ['fig5_mask_ratio_90', 'table2_vith_decoder_1'],
        ),
    ],
)
def test_rows_are_found(names, stems):
    assert [path.stem for path in find_rows(names)] == stems


def test_the_whole_of_table_1_is_24_rows():
    assert len(find_rows(['table1'])) == 24


def test_a_missing_file_is_refused():
    with pytest.raises(UserError, match="no row '/nowhere/row.py': give a config file, a pattern"):
        find_rows(['/nowhere/row.py'])


def test_names_with_numbers_and_with_words_are_sorted_together(tmp_path):
    for name in ('row_12', 'row_4', 'row_none'):
        (tmp_path / f'{name}.py').touch()
    assert [path.stem for path in find_rows([str(tmp_path / '*.py')])] == ['row_4', 'row_12', 'row_none']


def test_a_config_must_say_which_row_it_is():
    assert load_row(ABLATIONS / 'fig7_epochs_100.py').published.row == 100
    with pytest.raises(UserError, match=r"has no published\['table'\]: the config of a row says which row it is"):
        load_row(SCALE)


@pytest.fixture
def rows_of(tmp_path):
    """Finds the rows of a name, with options, and matches them with the runs in tmp_path."""
    scale = make_scale(read_config(SCALE))
    return lambda name, *options: scaled_rows(find_rows([name]), scale, None, options, tmp_path)


def test_a_scaled_row_reads_back_from_its_file_as_it_is(rows_of, tmp_path):
    for row in rows_of('table1'):
        write_config(row.scaled, tmp_path / 'folder' / 'config.py')
        assert read_config(tmp_path / 'folder' / 'config.py').to_dict() == row.scaled.to_dict()
        assert Config.fromfile(tmp_path / 'folder' / 'config.py').to_dict() == row.scaled.to_dict()


def test_rows_with_the_same_settings_share_a_run(rows_of):
    rows = rows_of('table1c') + rows_of('table1a_decoder_depth_8')
    assert [row.is_baseline for row in rows] == [False, True, True]
    same = rows_of('table1[ce]*')
    assert [row.run for row in same if row.is_baseline] == ['table1c_encoder_without_mask_tokens'] * 2


def test_a_row_uses_an_existing_run_with_its_settings(rows_of, tmp_path):
    row = rows_of('table1c_encoder_with_mask_tokens')[0]
    write_config(row.scaled, tmp_path / 'renamed' / 'config.py')
    assert rows_of('table1c_encoder_with_mask_tokens')[0].run == row.run  # that run was never started
    (tmp_path / 'renamed' / 'seed0').mkdir()
    assert rows_of('table1c_encoder_with_mask_tokens')[0].run == 'renamed'


def test_a_run_with_the_name_of_a_row_but_other_settings_is_refused(rows_of, tmp_path):
    row = rows_of('table1c_encoder_with_mask_tokens')[0]
    write_config(row.scaled, tmp_path / row.run / 'config.py')
    (tmp_path / row.run / 'seed0').mkdir()
    for option, found in (
        ('base_lr=.5', 'base_lr was 0.003 and is 0.5'),
        ('image_size=32', 'image_size was 64 and is 32'),
        ('model.masking.ratio=.5', 'model.masking.ratio was 0.75 and is 0.5'),
    ):
        with pytest.raises(UserError) as refused:
            rows_of(row.run, option)
        assert f'{tmp_path / row.run} was run with other settings ({found}): choose another --work-dir' in str(
            refused.value
        )
