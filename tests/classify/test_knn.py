"""k-NN: exact for any chunks, with a rule for ties; each test image is evaluated once."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import Runner

from mae_transfer.classify import knn as module
from mae_transfer.classify.knn import knn_predictions, knn_votes, nearest
from mae_transfer.errors import UserError
from tests.classify.stand_ins import KNN, Pixels, config, loader, results, results_of_two_processes


def tied(seed: int, count: int) -> torch.Tensor:
    """Vectors of length 2 with four of six entries 1 or -1: cosines are quarters, exact in any float type, and often
    equal."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (count, 6), generator=generator) * 2.0 - 1
    return signs * (torch.rand(count, 6, generator=generator).argsort(1) < 4)


def naive_nearest(query: torch.Tensor, bank: torch.Tensor, k: int) -> list[tuple[float, int]]:
    similarities = [(query @ vector / query.norm() / vector.norm()).item() for vector in bank]
    return sorted(((s, -i) for i, s in enumerate(similarities)), reverse=True)[:k]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 30), chunk=st.integers(1, 31), data=st.data())
def test_neighbours_equal_those_of_a_naive_search_ties_included(seed, count, chunk, data):
    k = data.draw(st.integers(1, count))
    queries, bank = tied(seed, 5), tied(seed + 1, count)
    similarities, numbers = nearest(queries, bank, k, chunk=chunk)
    for row, query in enumerate(queries):
        assert [(s, -i) for s, i in zip(similarities[row].tolist(), numbers[row].tolist())] == naive_nearest(
            query, bank, k
        )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 30), queries_at_once=st.integers(1, 8))
def test_predictions_equal_those_of_a_naive_search_for_any_chunks(seed, count, queries_at_once):
    queries, bank = tied(seed, 7), tied(seed + 1, count)
    labels = torch.randint(0, 6, (count,), generator=torch.Generator().manual_seed(seed))
    ks = (1, 3, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'QUERIES', queries_at_once)
        found = knn_predictions(queries, bank, labels, 6, ks)
    for of_k, k in zip(found.tolist(), ks):
        for row, query in enumerate(queries):
            votes = [0.0] * 6
            for similarity, negative in naive_nearest(query, bank, k):
                votes[labels[-negative]] += math.exp(similarity / 0.07)
            order = sorted((-vote, label) for label, vote in enumerate(votes) if vote)[:5]
            assert of_k[row] == [label for _, label in order] + [-1] * (5 - len(order))


def test_lengths_do_not_matter_and_half_precision_is_compared_in_float32():
    generator = torch.Generator().manual_seed(0)
    queries, bank = torch.randn(9, 16, generator=generator), torch.randn(200, 16, generator=generator)
    lengths = torch.rand(200, 1, generator=generator) + 0.1
    similarities, numbers = nearest(queries.half(), (bank * lengths).half(), 10, chunk=64)
    exact = torch.nn.functional.cosine_similarity(
        queries.half().double()[:, None], (bank * lengths).half().double(), dim=2
    )
    best = exact.topk(10)
    assert torch.equal(numbers, best.indices)
    torch.testing.assert_close(similarities.double(), best.values, rtol=0, atol=1e-6)
    assert similarities.dtype is torch.float32 and exact.min() < -0.3  # negative similarities were ordered too


def test_opposite_and_orthogonal_vectors_are_ordered():
    similarities, numbers = nearest(
        torch.tensor([[1.0, 0]]), torch.tensor([[-1.0, 0], [0, 1], [-0.0, -1], [1, 1], [-1, -1]]), 5
    )
    assert numbers.tolist() == [[3, 1, 2, 4, 0]]
    assert similarities[0].tolist() == pytest.approx([0.5**0.5, 0, 0, -(0.5**0.5), -1])


def test_zero_and_minus_zero_are_a_tie():
    zeros = torch.tensor([[0.0, -0.0, 0.0, -0.0]])
    assert module._to_keys(zeros, 0).diff().tolist() == [[-1, -1, -1]]


def test_similarities_are_computed_in_chunks(monkeypatch):
    shapes = []
    monkeypatch.setattr(module, 'QUERIES', 4)
    to_keys = module._to_keys

    def recording(similarities, start):
        shapes.append(similarities.shape)
        return to_keys(similarities, start)

    monkeypatch.setattr(module, '_to_keys', recording)
    monkeypatch.setattr(nearest, '__defaults__', ('cpu', 16))
    knn_predictions(tied(0, 10), tied(1, 50), torch.zeros(50, dtype=torch.int64), 1, [20])
    assert max(shapes) == (4, 16) and sum(rows * columns for rows, columns in shapes) == 500


def test_votes_are_weighted_by_similarity_and_temperature():
    similarities, labels = torch.tensor([[0.9, 0.8, 0.8]]), torch.tensor([[1, 0, 0]])
    sharp, flat = (knn_votes(similarities, labels, 3, temperature) for temperature in (0.07, 1.0))
    assert sharp[0].tolist() == pytest.approx([2 * math.exp(0.8 / 0.07), math.exp(0.9 / 0.07), 0])
    assert sharp.argmax() == 1 and flat.argmax() == 0


def test_a_class_without_a_neighbour_is_not_predicted():
    found = knn_predictions(tied(0, 3), tied(1, 4), torch.tensor([2, 2, 2, 2]), 10, [4])
    assert found.tolist() == [[[2, -1, -1, -1, -1]] * 3]


def test_each_k_uses_its_own_number_of_neighbours():
    bank = torch.tensor([[1.0, 0], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    found = knn_predictions(torch.tensor([[1.0, 0]]), bank, torch.tensor([1, 0, 0, 0]), 2, [1, 4], temperature=10.0)
    assert found[..., 0].tolist() == [[1], [0]]


def test_only_classes_that_are_present_are_predicted():
    bank = torch.tensor([[1.0, 0], [1, 0.1], [1, 0.2]])
    found = knn_predictions(
        torch.tensor([[1.0, 0]]), bank, torch.tensor([0, 1, 2]), 4, [3], present=torch.tensor([1, 2, 3])
    )
    assert found.tolist() == [[[1, 2, -1, -1, -1]]]


def test_the_loop_classifies_test_images_by_training_images(tmp_path):
    metrics = Runner.from_cfg(config(tmp_path, dict(type='KNNLoop', ks=(3, 10)))).test()
    assert list(metrics) == ['knn/top1_k3', 'knn/top5_k3', 'knn/top1_k10', 'knn/top5_k10']
    model = Pixels().eval()
    train, test = (Runner.build_dataloader(part).dataset for part in (loader(63), loader(31, seed=1)))
    queries, bank = (model.features(part.images.float() / 255 - 0.5) for part in (test, train))
    right = knn_predictions(queries, bank, train.labels, 3, [3, 10]) == test.labels[:, None]
    assert metrics['knn/top1_k3'] == pytest.approx(100 * right[0, :, 0].sum().item() / 31)
    assert metrics['knn/top1_k10'] == pytest.approx(100 * right[1, :, 0].sum().item() / 31)
    assert metrics['knn/top5_k10'] == pytest.approx(100 * right[1].any(-1).sum().item() / 31)
    assert 40 < metrics['knn/top1_k10'] < 100


def test_the_metrics_reach_the_log(tmp_path):
    metrics = Runner.from_cfg(config(tmp_path, KNN)).test()
    (log,) = tmp_path.glob('*/*.json')
    logged = json.loads(log.read_text())
    assert {name: logged[name] for name in metrics} == pytest.approx(metrics)


def test_two_processes_compute_the_accuracy_of_one(tmp_path):
    one = results(tmp_path)['KNNLoop']
    assert [rank['KNNLoop'] for rank in results_of_two_processes()] == [one, one]


def test_clear_colours_are_classified_without_a_mistake(tmp_path):
    metrics = Runner.from_cfg(
        config(tmp_path, KNN, train=loader(63, noise=5.0), test=loader(31, noise=5.0, seed=1))
    ).test()
    assert set(metrics.values()) == {100.0}


def test_classes_that_the_test_set_lacks_are_not_predicted(tmp_path):
    found = [
        Runner.from_cfg(config(tmp_path / str(len(present)), KNN, test=loader(31, seed=1, present=present))).test()[
            'knn/top1_k10'
        ]
        for present in ((0, 1), (0, 1, 2))
    ]
    assert found[0] <= 100 * 21 / 31 and found[0] != found[1]  # 21 of 31 are of the classes 0 and 1


def test_fewer_training_images_than_k_are_refused_before_any_is_encoded(tmp_path):
    runner = Runner.from_cfg(config(tmp_path, dict(type='KNNLoop')))
    with pytest.raises(UserError) as error:
        runner.test()
    assert str(error.value) == 'k=200 needs at least 200 training images; found 63: choose test_cfg.ks'
