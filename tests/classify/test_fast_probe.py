"""The fast linear probe: training as by torch's SGD, choice by held-out images, agreement of processes."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import Runner
from torch import nn

from mae_transfer.classify import fast_probe as module
from mae_transfer.classify.fast_probe import FastProbeLoop, held_out_part, mean_and_std, score, train_heads
from mae_transfer.classify.features import Features
from mae_transfer.errors import UserError
from tests.classify.stand_ins import PROBE, config, loader, results, results_of_two_processes


def made_up(count: int = 300, distance: float = 1.0, seed: int = 1, classes: int = 5) -> Features:
    """Clouds of 12 numbers around a centre for each class; ``distance`` 0 is noise."""
    centres = torch.randn(classes, 12, generator=torch.Generator().manual_seed(0)) * distance
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    return Features((centres[labels] + torch.randn(count, 12, generator=generator)).half() * 3 + 7, labels)


@pytest.fixture(scope='module')
def probe(tmp_path_factory):
    """Builds a loop whose ``evaluate`` is called with made-up features."""

    def build(**given) -> FastProbeLoop:
        cfg = config(tmp_path_factory.mktemp('probe'), dict(PROBE, **given))
        runner = Runner.from_cfg(cfg)
        loop = runner.build_test_loop(cfg.test_cfg)
        loop.train_settings['num_classes'] = 5
        loop.present = torch.arange(5)
        return loop

    return build


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    """The lines of the log."""
    found = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: found.append(text))
    return found


# --- the held-out part ------------------------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=60), share=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_some_images_of_each_class_are_held_out_and_some_are_not(labels, share, seed):
    labels = torch.tensor(labels)
    counts = labels.bincount(minlength=5)
    if counts.max() < 2:
        with pytest.raises(UserError, match='no class of the .* training images has two images'):
            held_out_part(labels, share, seed)
        return
    held = held_out_part(labels, share, seed)
    for count, of_class in zip(counts.tolist(), labels[held].bincount(minlength=5).tolist()):
        assert of_class == min(max(1, round(count * share)), count - 1) if count > 1 else of_class == 0


def test_the_held_out_part_depends_on_the_seed_alone():
    labels = made_up().labels
    torch.manual_seed(1)
    held = held_out_part(labels, 0.1, 3)
    torch.manual_seed(2)
    assert torch.equal(held, held_out_part(labels, 0.1, 3)) and not torch.equal(held, held_out_part(labels, 0.1, 4))


# --- training ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('pair', [0, 1, 2])
def test_a_classifier_of_the_grid_is_a_linear_layer_trained_by_torchs_sgd(pair):
    pairs = [(0.3, 0.0), (0.1, 0.01), (0.01, 0.1)]
    train, epochs, batch_size = made_up(70), 4, 16  # the last batch of an epoch is smaller
    heads = train_heads(train, 5, pairs, epochs, batch_size, seed=3)

    generator = torch.Generator().manual_seed(3)
    norm = nn.BatchNorm1d(12, affine=False, eps=1e-6)
    layer = nn.Linear(12, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(12, 1, 5, generator=generator)[:, 0].T * 0.01)
        layer.bias.zero_()
        values = norm(train.values.float())
    lr, weight_decay = pairs[pair]
    optimizer = torch.optim.SGD(
        [dict(params=[layer.weight], weight_decay=weight_decay), dict(params=[layer.bias])], lr=lr, momentum=0.9
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * epochs)
    for _ in range(epochs):
        for batch in torch.randperm(70, generator=generator).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(values[batch]), train.labels[batch]).backward()
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(heads.weight[:, pair].T, layer.weight.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(heads.bias[pair], layer.bias.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(heads(train.values)[:, pair], layer(values).detach(), rtol=1e-4, atol=1e-5)


def test_features_are_standardised_as_by_a_batch_norm_over_all(monkeypatch):
    values = made_up().values
    monkeypatch.setattr(module, 'ROWS', 70)
    mean, std = mean_and_std(values)
    expected = nn.BatchNorm1d(12, affine=False, eps=1e-6)(values.float())
    torch.testing.assert_close((values.float() - mean) / std, expected, rtol=1e-5, atol=1e-5)


def test_a_constant_feature_does_no_harm():
    train = made_up()
    train.values[:, 0] = 5
    assert score(train_heads(train, 5, [(0.1, 0.0)], 5, 64, 0), train).top1.item() > 50


def test_a_classifier_does_not_depend_on_the_others():
    train = made_up()
    together = train_heads(train, 5, [(0.3, 0.0), (0.1, 0.01)], 3, 32, 0)
    alone = train_heads(train, 5, [(0.1, 0.01)], 3, 32, 0)
    torch.testing.assert_close(together.weight[:, 1:], alone.weight, rtol=1e-5, atol=1e-6)


def test_classes_that_can_be_separated_are_separated():
    heads = train_heads(made_up(distance=10), 5, [(0.01, 0.0), (0.1, 0.0)], 20, 32, 0)
    assert score(heads, made_up(distance=10, seed=2)).top1.tolist() == [100, 100]


def test_noise_is_classified_at_chance_level():
    found = score(train_heads(made_up(2000, distance=0), 5, [(0.1, 0.0)], 3, 256, 0), made_up(5000, distance=0, seed=2))
    assert found.top1.item() == pytest.approx(20, abs=3)
    assert found.top5.item() == 100


# --- evaluating -------------------------------------------------------------------------------------------------------
def test_scores_are_those_of_the_logits(monkeypatch):
    train, features = (made_up(count, 0.3, seed, 8) for count, seed in ((300, 1), (100, 2)))
    heads = train_heads(train, 8, [(0.1, 0.0), (0.01, 0.0)], 2, 64, 0)
    logits = heads(features.values)
    monkeypatch.setattr(module, 'ROWS', 33)
    found = score(heads, features)
    for head in range(2):
        of_head = logits[:, head]
        right = of_head.argmax(1) == features.labels
        within_five = (of_head > of_head.gather(1, features.labels[:, None])).sum(1) < 5
        loss = nn.functional.cross_entropy(of_head, features.labels)
        assert found.top1[head].item() == pytest.approx(100 * right.double().mean().item())
        assert found.top5[head].item() == pytest.approx(100 * within_five.double().mean().item()) != 100
        assert found.loss[head].item() == pytest.approx(loss.item(), rel=1e-5)


def test_only_classes_that_are_present_are_predicted():
    features = made_up()
    heads = train_heads(features, 5, [(0.1, 0.0)], 5, 64, 0)
    part = Features(features.values[features.labels == 2], features.labels[features.labels == 2])
    assert score(heads, part, torch.tensor([2])).top1.item() == 100 > score(heads, part).top1.item()
    assert score(heads, part, torch.tensor([1])).top1.item() == 0


def test_a_classifier_that_diverges_scores_zero_and_affects_no_other():
    found = score(train_heads(made_up(), 5, [(1.0, 1e6), (0.1, 0.0)], 5, 32, 0), made_up(seed=2))
    assert [part[0].item() for part in found] == [0, 0, float('inf')]
    assert found.top1[1] > 50 and found.loss[1].isfinite()


# --- choosing ---------------------------------------------------------------------------------------------------------
def test_test_images_have_no_part_in_the_choice(probe):
    loop = probe(lrs=[1e-12, 0.1], weight_decays=[0.0])
    train = made_up()
    untrained = train_heads(train, 5, [(1e-12, 0.0)], 1, 1024, 0)
    # By these labels, the classifier that learns nothing is always right.
    test = Features(train.values, untrained(train.values)[:, 0].argmax(1))
    assert score(untrained, test).top1.item() == 100
    metrics = loop.evaluate(train, test)
    assert metrics['probe/lr'] == 0.1 and metrics['probe/held_out_top1'] > 50 > metrics['probe/top1']
    assert metrics == loop.evaluate(train, test)


def test_the_reported_accuracies_are_those_of_the_chosen_pair_trained_on_all_images(probe):
    train, test = made_up(), made_up(seed=2)
    held = held_out_part(train.labels, 0.1, 0)
    for retrain, part in ((True, train), (False, Features(train.values[~held], train.labels[~held]))):
        metrics = probe(retrain=retrain, batch_size=50).evaluate(train, test)
        pair = (metrics['probe/lr'], metrics['probe/weight_decay'])
        found = score(train_heads(part, 5, [pair], 5, 50, 0), test)
        assert (metrics['probe/top1'], metrics['probe/top5']) == (found.top1.item(), found.top5.item())


def test_held_out_images_are_not_trained_on_before_the_choice(probe):
    train = made_up(60, distance=0)  # noise that classifiers of 12 numbers can overfit
    held = held_out_part(train.labels, 0.3, 0)
    fit, rest = (Features(train.values[part], train.labels[part]) for part in (~held, held))
    loop = probe(lrs=[0.3], weight_decays=[0.0], epochs=50, held_out=0.3)
    metrics = loop.evaluate(train, made_up(60, distance=0, seed=2))
    alone, leaked = (score(train_heads(part, 5, [(0.3, 0.0)], 50, 1024, 0), rest).top1.item() for part in (fit, train))
    assert metrics['probe/held_out_top1'] == pytest.approx(alone) and alone < leaked - 20


def test_classes_that_the_test_set_lacks_are_not_predicted(probe):
    loop, test = probe(), made_up(seed=2, distance=0.3)
    test = Features(test.values[test.labels == 2], test.labels[test.labels == 2])
    assert loop.evaluate(made_up(distance=0.3), test)['probe/top1'] < 100
    loop.present = torch.tensor([2])
    assert loop.evaluate(made_up(distance=0.3), test)['probe/top1'] == 100


def test_of_equal_accuracies_the_lower_loss_is_chosen(probe):
    loop = probe(lrs=[0.001, 0.003, 1.0], weight_decays=[0.0, 0.1], epochs=50)
    metrics = loop.evaluate(made_up(distance=20), made_up(distance=20, seed=2))
    assert metrics['probe/held_out_top1'] == 100
    assert (metrics['probe/lr'], metrics['probe/weight_decay']) == (1.0, 0.0)


def test_a_chosen_classifier_that_diverged_is_an_error(probe):
    with pytest.raises(UserError, match=r'fast probe diverged \(lr 1e\+30, the best .*: choose smaller test_cfg.lrs'):
        probe(lrs=[1e30], weight_decays=[0.1]).evaluate(made_up(), made_up(seed=2))


def test_the_grid_and_the_choice_are_logged(probe, lines):
    metrics = probe(lrs=[0.1, 0.001], weight_decays=[0.0, 0.5]).evaluate(made_up(), made_up(seed=2))
    (table, choice), weight_decay = lines, metrics['probe/weight_decay']
    title, head, low, high = table.splitlines()
    assert title == 'fast probe, top-1 on held-out training images:' and head.split() == ['wd', '0', 'wd', '0.5']
    assert low.startswith('lr 0.001 ') and high.startswith('lr 0.1 ') and len({len(head), len(low), len(high)}) == 1
    assert float(high.split()[2 + (weight_decay > 0)]) == pytest.approx(metrics['probe/held_out_top1'], abs=0.005)
    assert choice.startswith(f'fast probe: chosen lr 0.1, weight decay {weight_decay:g}; the best lies on the edge')


@pytest.mark.parametrize(
    'chosen, advice',
    [
        ((0.1, 0.0), ''),
        ((0.1, 0.1), ''),
        ((1.0, 0.1), '; the best lies on the edge of the grid: extend test_cfg.lrs upwards'),
        ((0.01, 0.0), '; the best lies on the edge of the grid: extend test_cfg.lrs downwards'),
        (
            (1.0, 0.2),
            '; the best lies on the edge of the grid: extend test_cfg.lrs upwards and test_cfg.weight_decays upwards',
        ),
    ],
)
def test_a_choice_on_the_edge_of_the_grid_comes_with_advice(probe, chosen, advice):
    assert probe(lrs=[1.0, 0.01, 0.1], weight_decays=[0.0, 0.1, 0.2])._advice_at_edge(*chosen) == advice


def test_a_grid_of_one_has_no_edge(probe):
    assert probe(lrs=[0.1], weight_decays=[0.1])._advice_at_edge(0.1, 0.1) == ''


# --- the loop ---------------------------------------------------------------------------------------------------------
def test_two_processes_make_the_choice_of_one_and_get_its_accuracy(tmp_path):
    one = results(tmp_path)['FastProbeLoop']
    assert [rank['FastProbeLoop'] for rank in results_of_two_processes()] == [one, one]
    assert 40 < one['probe/top1'] < 100


def test_more_processes_than_pairs_agree(probe, monkeypatch):
    """The third of three processes has no pair to train, and gets the scores of the first by the reduction."""
    loop = probe(lrs=[0.1], weight_decays=[0.0])
    first, third = [], []

    def all_reduce_of_third(scores: torch.Tensor) -> None:
        third.append(scores.clone())
        scores.copy_(first[0])

    monkeypatch.setattr(module, 'all_reduce', lambda scores: first.append(scores.clone()))
    expected = loop.evaluate(made_up(), made_up(seed=2))
    monkeypatch.setattr(module, 'get_dist_info', lambda: (2, 3))
    monkeypatch.setattr(module, 'all_reduce', all_reduce_of_third)
    assert loop.evaluate(made_up(), made_up(seed=2)) == expected
    assert third[0].tolist() == [[0], [0], [0]]


def test_the_metrics_reach_the_log(tmp_path):
    metrics = Runner.from_cfg(config(tmp_path, PROBE)).test()
    assert list(metrics) == ['probe/top1', 'probe/top5', 'probe/held_out_top1', 'probe/lr', 'probe/weight_decay']
    (log,) = tmp_path.glob('*/*.json')
    logged = json.loads(log.read_text())
    assert {name: logged[name] for name in metrics} == pytest.approx(metrics)


def test_clear_colours_are_classified_without_a_mistake(tmp_path):
    train, test = loader(63, noise=5.0), loader(31, noise=5.0, seed=1)
    metrics = Runner.from_cfg(config(tmp_path, dict(PROBE, epochs=20), train, test)).test()
    assert metrics['probe/top1'] == metrics['probe/held_out_top1'] == 100


@pytest.mark.parametrize(
    'settings_given, line',
    [
        (dict(lrs=[]), 'test_cfg.lrs and test_cfg.weight_decays each need at least one number; found none'),
        (dict(weight_decays=[]), 'test_cfg.lrs and test_cfg.weight_decays each need at least one number; found none'),
        (dict(held_out=0), 'test_cfg.held_out is a share of the training images, between 0 and 1; found 0'),
        (dict(held_out=1.0), 'test_cfg.held_out is a share of the training images, between 0 and 1; found 1.0'),
    ],
)
def test_impossible_settings_are_refused(probe, settings_given, line):
    with pytest.raises(UserError) as error:
        probe(**settings_given)
    assert str(error.value) == line
