"""The mean corruption error on synthetic results."""

import logging

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.evaluation import CorruptionError, corruption_error
from mae_transfer.evaluation.corruption_error import ALEXNET
from mae_transfer.registry import METRICS


def metric() -> CorruptionError:
    made = METRICS.build(dict(type='CorruptionError'))
    made.dataset_meta = dict(classes=('right', 'wrong', 'other'), present=(0, 1, 2))
    return made


def feed(made, group: str, right: int, wrong: int) -> None:
    """Process a batch of one group, with ``right`` correct and ``wrong`` incorrect predictions."""
    scores = torch.tensor([[1.0, 0, 0]] * right + [[0, 1.0, 0]] * wrong)
    first = len(made.results)
    made.process(
        dict(
            labels=torch.zeros(right + wrong, dtype=torch.int64),
            indices=torch.arange(first, first + len(scores)),
            groups=[group] * len(scores),
        ),
        [dict(scores=row) for row in scores],
    )


@pytest.fixture
def warned(monkeypatch):
    """The warnings."""
    lines = []

    def print_log(line, logger, level):
        assert level == logging.WARNING and '\n' not in line
        lines.append(line)

    monkeypatch.setattr(corruption_error, 'print_log', print_log)
    return lines


def results(errors) -> list[tuple]:
    """One synthetic image per group, correct by a fraction, so that errors can be exactly AlexNet's."""
    groups = [(group, 1 - error) for group, error in errors.items()]
    return [(index, group, right) for index, (group, right) in enumerate(groups)]


def test_alexnet_has_an_mce_of_100(warned):
    # The severities' errors differ; their mean is AlexNet's.
    shift = {1: -0.1, 2: -0.05, 3: 0, 4: 0.05, 5: 0.1}
    found = metric().compute_metrics(
        results(
            {
                (corruption, severity): error + shift[severity]
                for corruption, error in ALEXNET.items()
                for severity in shift
            }
        )
    )
    assert found['mce'] == pytest.approx(100, abs=1e-9) and not warned
    for corruption, error in ALEXNET.items():
        assert found[f'error_{corruption}'] == pytest.approx(100 * error)
    assert found['top1'] == pytest.approx(100 * (1 - sum(ALEXNET.values()) / 15))
    assert len(found) == 17


def test_the_error_of_every_corruption_is_divided_by_alexnet_s():
    errors = {(corruption, severity): 0.1 for corruption in ALEXNET for severity in range(1, 6)}
    one = errors | {('fog', 5): 0.6}
    found, plain = (metric().compute_metrics(results(each))['mce'] for each in (one, errors))
    assert plain == pytest.approx(100 / 15 * sum(0.1 / error for error in ALEXNET.values()))
    assert found - plain == pytest.approx(100 / 15 * 0.1 / 0.819324)


def test_the_baseline_is_alexnet_s_published_table():
    # In whole per cent, as papers print it next to other models.
    published = dict(
        gaussian_noise=89,
        shot_noise=89,
        impulse_noise=92,
        defocus_blur=82,
        glass_blur=83,
        motion_blur=79,
        zoom_blur=80,
        snow=87,
        frost=83,
        fog=82,
        brightness=56,
        contrast=85,
        elastic_transform=65,
        pixelate=72,
        jpeg_compression=61,
    )
    assert {corruption: round(100 * error) for corruption, error in ALEXNET.items()} == published


def test_errors_are_those_of_the_images(warned):
    made = metric()
    for severity, right in enumerate((4, 3, 2, 1, 0), start=1):
        feed(made, f'fog/{severity}', right, 4 - right)
    found = made.evaluate(20)
    assert found == {
        'imagenet_c/mce_of_1': pytest.approx(50 / 0.819324),
        'imagenet_c/error_fog': 50,
        'imagenet_c/top1': 50,
    }


def test_severities_have_the_same_weight_regardless_of_their_number_of_images(warned):
    made = metric()
    feed(made, 'snow/1', 6, 0)
    feed(made, 'snow/2', 0, 2)
    found = made.evaluate(8)
    assert found == {'imagenet_c/error_snow': 50, 'imagenet_c/top1': 75}


def test_missing_groups_are_named_and_the_mean_over_the_rest_has_another_name(warned):
    errors = {(corruption, severity): 0.5 for corruption in ALEXNET for severity in range(1, 6)}
    for severity in range(1, 6):
        del errors['frost', severity]
    del errors['pixelate', 2], errors['pixelate', 5]
    found = metric().compute_metrics(results(errors))
    assert warned == [
        'no mCE, because ImageNet-C is incomplete: frost is missing, pixelate is missing at severity 2, 5; '
        'mce_of_13 is over the 13 complete corruptions'
    ]
    complete = [error for corruption, error in ALEXNET.items() if corruption not in ('frost', 'pixelate')]
    assert found['mce_of_13'] == pytest.approx(100 / 13 * sum(0.5 / error for error in complete))
    assert 'mce' not in found and 'error_frost' not in found and found['error_pixelate'] == 50


def test_without_a_complete_corruption_there_is_no_mean(warned):
    found = metric().compute_metrics(results({('fog', 1): 0.5}))
    assert set(found) == {'error_fog', 'top1'} and warned[0].endswith('; no corruption is complete')
    assert 'fog is missing at severity 2, 3, 4, 5' in warned[0]


def test_the_extra_corruptions_are_not_part_of_the_mean(warned):
    errors = {(corruption, severity): 0.5 for corruption in (*ALEXNET, 'spatter') for severity in range(1, 6)}
    found = metric().compute_metrics(results(errors | {('spatter', 1): 1.0}))
    plain = metric().compute_metrics(results({key: error for key, error in errors.items() if key[0] != 'spatter'}))
    assert found['mce'] == plain['mce'] and found['error_spatter'] == pytest.approx(60) and not warned


def test_images_that_fill_up_the_last_batch_do_not_count(warned):
    made = metric()
    feed(made, 'fog/1', 1, 1)
    made.results.append(made.results[0])
    assert made.compute_metrics(made.results)['error_fog'] == 50


@pytest.mark.parametrize('group', ['fog', 'fog/6', 'fog/0', '3', '/3', 'fog/x', 'fog/', 'fog/12'])
def test_a_group_that_is_not_a_corruption_is_refused_at_once(group):
    with pytest.raises(UserError, match=f"found '{group}'$"):
        feed(metric(), group, 1, 0)


def test_images_without_groups_are_refused():
    with pytest.raises(UserError, match=r'the batch has labels, indices\)'):
        metric().process(
            dict(labels=torch.zeros(1, dtype=torch.int64), indices=torch.zeros(1)), [dict(scores=torch.zeros(3))]
        )


def test_scores_are_checked_as_for_accuracy():
    with pytest.raises(UserError, match='not finite'):
        metric().process(
            dict(labels=torch.zeros(1, dtype=torch.int64), indices=torch.zeros(1), groups=['fog/1']),
            [dict(scores=torch.tensor([0, 0, float('nan')]))],
        )


def test_an_evaluation_without_images_is_an_error():
    with pytest.raises(UserError, match='no image was evaluated'):
        metric().evaluate(0)
