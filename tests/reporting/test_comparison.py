"""Runs side by side: what differs, seeds averaged, what is published."""

from __future__ import annotations

import re
from statistics import mean, stdev

import pytest

from mae_transfer.compat.package_configs import CONFIGS, PREFIX
from mae_transfer.reporting.comparison import comparisons
from mae_transfer.reporting.config_differences import changed, packaged, packaged_config, settings_of
from mae_transfer.reporting.published import published
from mae_transfer.reporting.run import names_of, read_run
from mae_transfer.reporting.run_files import find_runs
from mae_transfer.settings import change_settings
from tests.reporting.runs import RECORD, line, write_classifier, write_session

MAE, RANDOM = (50.0, 54.0, 52.0), (40.0, 41.0, 39.0)


def read(folder):
    found = find_runs([folder])
    return [read_run(run, name) for run, name in zip(found, names_of(found))]


def write_seeds(folder, better=MAE, **record):
    for seed, (one, other) in enumerate(zip(better, RANDOM)):
        write_classifier(folder / f'mae_{seed}', one, seed, 'work_dirs/mae', **record)
        write_classifier(folder / f'random_{seed}', other, seed, **record)
    return folder


def test_seeds_are_averaged_by_what_differs(tmp_path):
    (found,) = comparisons(read(write_seeds(tmp_path)))
    assert found.title == 'Classification' and found.table.columns == ('starts from', 'n', 'top-1', 'runs')
    first, second = found.table.rows
    assert first[:3] == ('work_dirs/mae', 3, f'{mean(MAE):.1f} ± {stdev(MAE):.1f}')
    assert second[:3] == ('random weights', 3, f'{mean(RANDOM):.1f} ± {stdev(RANDOM):.1f}')
    assert first[3] == 'mae_0, mae_1, mae_2 (seeds 0, 1, 2)' and not found.quoted
    assert found.text.startswith(
        'best top-1 52.0 ± 2.0 starting from work_dirs/mae; the other 40.0 ± 1.0 starting from random weights.'
    )
    # sqrt(4 / 3 + 1 / 3)
    assert 'more than the spread between seeds: the difference, 12.0, has a standard error of 1.3' in found.text
    results, course = found.plots
    assert results.svg.count('<circle') == course.svg.count('<polyline') == 6


def test_a_start_is_told_in_words_without_the_setting_that_follows_from_it(tmp_path):
    for seed in range(2):
        write_classifier(tmp_path / f'a{seed}', 50.0, seed, 'work_dirs/mae', init='mae')
        write_classifier(tmp_path / f'b{seed}', 40.0, seed)
    runs = read(tmp_path)
    (found,) = comparisons(runs)
    assert found.table.columns == ('starts from', 'n', 'top-1', 'runs')
    write_classifier(tmp_path / 'c', 45.0, 0, 'work_dirs/mae', init='deit')  # the same weights, taken for others
    (found,) = comparisons(read(tmp_path))
    assert found.table.columns[:2] == ('starts from', 'init') and len(found.table.rows) == 3
    assert 'starting from work_dirs/mae, with init = mae; the lowest' in found.text


def test_starts_with_the_same_words_are_told_by_their_paths(tmp_path):
    write_classifier(tmp_path / 'a', 50.0, 0, 'one/runs/mae')
    write_classifier(tmp_path / 'b', 40.0, 0, 'two/runs/mae')
    (found,) = comparisons(read(tmp_path))
    assert [row[:1] for row in found.table.rows] == [('one/runs/mae',), ('two/runs/mae',)]


def test_a_start_that_is_not_known_stays_a_setting(tmp_path):
    write_classifier(tmp_path / 'a', 50.0, 0, 'work_dirs/mae')
    write_classifier(tmp_path / 'b', 40.0, 0, None)
    (found,) = comparisons(read(tmp_path))
    assert found.table.columns[0] == 'pretrained' and 'with pretrained = None' in found.text


def test_a_difference_within_the_spread_may_be_chance(tmp_path):
    (found,) = comparisons(read(write_seeds(tmp_path, (40.0, 44.0, 37.0))))
    assert 'This may be chance: the difference, 0.3, has a standard error of' in found.text


def test_one_run_of_a_kind_shows_no_spread(tmp_path):
    write_classifier(tmp_path / 'a', 50.0, 0, 'work_dirs/mae')
    write_classifier(tmp_path / 'b', 40.0, 0)
    (found,) = comparisons(read(tmp_path))
    assert [row[2] for row in found.table.rows] == ['50.0', '40.0']
    assert 'does not show the spread between seeds' in found.text


def test_runs_that_are_not_at_their_end_are_named(tmp_path):
    write_classifier(tmp_path / 'a', 50.0)
    write_classifier(tmp_path / 'b', 40.0, 1, end='ended early: no room')
    (found,) = comparisons(read(tmp_path))
    assert found.notes == ('Not at their end: b.',)


def test_rows_that_are_equal_have_no_best(tmp_path):
    write_classifier(tmp_path / 'a', 0.0, 0, 'work_dirs/mae')
    write_classifier(tmp_path / 'b', 0.04, 0)
    (found,) = comparisons(read(tmp_path))
    assert found.text == 'no difference in top-1 between the rows, 0.0 in each.'


def test_runs_of_one_kind(tmp_path):
    for seed, top1 in enumerate(MAE):
        write_classifier(tmp_path / str(seed), top1, seed)
    (found,) = comparisons(read(tmp_path))
    assert found.text == '3 runs with the same settings: top-1 52.0 ± 2.0.'
    assert found.table.rows[0][:3] == ('the same', 3, '52.0 ± 2.0')


def test_published_results_are_rows_of_their_own_and_no_target(tmp_path):
    (found,) = comparisons(read(write_seeds(tmp_path, config='mae_transfer::in1k_finetune_vitb.py')))
    ((label, *_, value, last),) = found.quoted
    assert (label, value, last) == ('published (MAE Table 3), not measured here', '83.6', '')
    assert len(found.quoted[0]) == len(found.table.columns) and 'no target for them' in found.notes[0]


def test_a_single_run_is_not_compared(tmp_path):
    write_classifier(tmp_path / 'a')
    assert comparisons(read(tmp_path)) == []


def test_changed_settings_are_those_that_others_follow(tmp_path):
    name = 'mae_transfer::small/finetune_tin20.py'
    cfg = packaged(name)
    own = change_settings(cfg, [('max_epochs', 7), ('model.vit.drop_path_rate', 0.1), ('randomness.seed', 3)])
    write_session(tmp_path, '20260131_120000', [line(1)], own.to_dict(), dict(RECORD, config=name))
    (run,) = read(tmp_path)
    assert packaged_config(run) == name
    assert changed(run) == [('max_epochs', 7, 3), ('model.vit.drop_path_rate', 0.1, 0.0)]
    assert 'train_cfg.max_epochs' not in settings_of(own)


def test_without_a_record_the_name_of_the_written_config_tells_where_it_is_the_only_one(tmp_path):
    write_session(tmp_path, '20260131_120000', [line(1)])
    (run,) = read(tmp_path)
    assert packaged_config(run) is None
    (tmp_path / 'finetune_tin20.py').touch()
    assert packaged_config(run) == 'mae_transfer::small/finetune_tin20.py'
    (tmp_path / 'finetune_tin20.py').rename(tmp_path / 'mae_pretrain.py')  # in small/ and in quickstart/
    assert packaged_config(run) is None


@pytest.mark.parametrize(
    'name, values',
    [
        ('coco_maskrcnn_vitb', {'box AP': 50.3, 'mask AP': 44.9}),
        ('ade20k_upernet_vitl', {'mIoU': 53.6}),
        ('in1k_linprobe_vitb', {'top-1': 68.0}),
    ],
)
def test_published_values_are_those_of_the_docstring(name, values):
    assert published(f'{PREFIX}{name}.py').values == values


@pytest.mark.parametrize('name', ['small/mae_pretrain', 'ade20k_upernet_vith', 'in1k_fastprobe_vitb'])
def test_nothing_published_is_none(name):
    assert published(f'{PREFIX}{name}.py') is None


def test_every_published_value_stands_beside_its_metric_and_has_a_source():
    count = 0
    for path in sorted(CONFIGS.rglob('*.py')):
        found = published(PREFIX + path.relative_to(CONFIGS).as_posix())
        if found is not None:
            count += 1
            assert found.source in ' '.join(path.read_text().split()) and not re.search(
                r'Train:|Test:|Cost:', found.text
            )
    assert count > 15
