"""The advice for constructed courses of a pre-training."""

from __future__ import annotations

import pytest

from mae_transfer.learning.advice import LEAST_FALL, WINDOW, Watched, advice, least_points

LOSS = 'reconstruction/masked_loss'
ALONE = Watched(LOSS, 'masked loss', 192)
PROBED = Watched(LOSS, 'masked loss', 192, {'knn/top1_k20': 'k-NN', 'probe/top1': 'linear'}, 10**6)


def course(losses, knn=None, linear=None, rank=60.0, lr=None) -> list[dict]:
    ranks = rank if isinstance(rank, list) else [rank] * len(losses)
    entries = [{LOSS: loss, 'learning/rank_me': value} for loss, value in zip(losses, ranks)]
    for name, values in (('knn/top1_k20', knn), ('probe/top1', linear), ('lr', lr)):
        for entry, value in zip(entries, values or ()):
            entry[name] = value
    return entries


def texts(*arguments) -> list[str]:
    return [line.text for line in advice(*arguments)]


def test_nothing_is_said_before_there_are_enough():
    assert advice([], ALONE) == []
    assert advice(course([1.0] * WINDOW), ALONE) == []
    assert len(advice(course([1.0] * (WINDOW + 1)), ALONE)) == 1


def test_a_loss_that_falls_asks_for_longer_training():
    assert texts(course([0.9, 0.88, 0.86, 0.84, 0.82, 0.8]), ALONE) == [
        'masked loss is still falling by 2.2 % an evaluation: longer training helps'
    ]


def test_where_nothing_moves_longer_training_changes_little():
    found = texts(course([0.6, 0.6, 0.599, 0.599, 0.599, 0.5988], knn=[28.0] * 5 + [28.1], linear=[42] * 6), PROBED)
    assert found == [
        'masked loss fell by 0.2 % over the last 5 evaluations, k-NN +0.1 points, linear +0.0 points: longer training '
        'changes little'
    ]


def test_features_that_still_get_better_outweigh_a_flat_loss():
    [text] = texts(course([0.6] * 6, knn=[28, 28, 28, 29, 29, 29.2], linear=[42] * 6), PROBED)
    assert text.endswith('k-NN +1.2 points, linear +0.0 points: the features still get better: longer training helps')


def test_a_falling_loss_without_better_features_is_told():
    [text] = texts(course([0.9, 0.88, 0.86, 0.84, 0.82, 0.8], knn=[28] * 6, linear=[42, 41, 41, 41, 41, 41]), PROBED)
    assert 'the loss falls, but the features get no better for these classes' in text


def test_a_rising_loss_is_a_warning():
    [line] = advice(course([0.6, 0.6, 0.61, 0.62, 0.63, 0.64]), ALONE)
    assert line.is_warning and line.text.startswith('masked loss rose by 6.7 % over the last 5 evaluations')


def test_the_end_of_a_schedule_is_not_taken_for_the_end_of_learning():
    flat = course([0.6] * 6, lr=[1.0, 0.8, 0.5, 0.2, 0.1, 0.05])
    assert texts(flat, ALONE)[0].endswith('this does not say whether a longer one would help')
    assert texts(course([0.6] * 6, lr=[1.0] * 6), ALONE)[0].endswith('longer training changes little')


def test_only_the_window_counts():
    assert texts(course([3.0, 2.0, *[0.6] * 6]), ALONE)[0].endswith('longer training changes little')


@pytest.mark.parametrize(('share', 'falls'), [(0.99, False), (1.01, True)])
def test_the_limit_of_the_loss(share, falls):
    last = 1 - share * LEAST_FALL / 100
    assert ('still falling' in texts(course([1.0, 1, 1, 1, 1, last]), ALONE)[0]) == falls


def test_collapsed_features_are_a_warning_at_once():
    [line] = advice(course([0.9], rank=3.0), ALONE)
    assert line.is_warning and line.text.startswith('features collapse: RankMe 3 of 192')
    [line] = advice(course([0.9, 0.8], rank=[60.0, 14.0]), ALONE)
    assert line.is_warning and line.text == 'features collapse: RankMe 14 of 192, and was 60'
    assert advice(course([0.9, 0.8], rank=[60.0, 16.0]), ALONE) == []


def test_random_weights_cannot_have_collapsed():
    first = dict(course([1.0], rank=2.0)[0], iter=0)
    assert advice([first], ALONE) == []
    high = dict(course([1.0], rank=190.0)[0], iter=0)
    assert advice([high, *course([0.9], rank=20.0)], ALONE) == []


def test_a_course_without_ranks_or_with_a_late_probe_has_a_verdict():
    entries = course([0.6] * 6, knn=None)
    for entry in entries:
        del entry['learning/rank_me']
    entries[-1]['knn/top1_k20'] = 30.0
    assert texts(entries, PROBED) == [
        'masked loss fell by 0 % over the last 5 evaluations: longer training changes little'
    ]


def test_few_images_need_a_larger_gain():
    assert least_points(50, 10**6) == 0.5
    assert least_points(50, 100) == pytest.approx(5)
    assert least_points(0, 0) == 0.5
    few = PROBED._replace(images=100)
    entries = course([0.6] * 6, knn=[28] * 5 + [30], linear=[42] * 6)
    assert 'longer training helps' in texts(entries, PROBED)[0]
    assert 'longer training changes little' in texts(entries, few)[0]
