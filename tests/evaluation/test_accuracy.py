"""Top-k and per-class accuracy and the confusion matrix, in one process and in two."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler

from mae_transfer.errors import UserError
from mae_transfer.evaluation import Accuracy, accuracy
from mae_transfer.registry import METRICS


def metric(classes: int | tuple[str, ...], present: tuple[int, ...] | None = None, **settings) -> Accuracy:
    """The metric of a data set with these classes."""
    made = Accuracy(**settings)
    names = classes if isinstance(classes, tuple) else tuple(f'class{i}' for i in range(classes))
    made.dataset_meta = dict(classes=names, present=present or tuple(range(len(names))))
    return made


def feed(metric: Accuracy, scores, labels, indices=None) -> None:
    """Process one batch, as MMEngine's loops do."""
    labels = torch.as_tensor(labels)
    batch = dict(
        inputs=None, labels=labels, indices=torch.arange(len(labels)) if indices is None else torch.as_tensor(indices)
    )
    metric.process(batch, [dict(scores=row) for row in torch.as_tensor(scores, dtype=torch.float32)])


def evaluate(metric: Accuracy, scores, labels) -> dict:
    """The metrics of one batch."""
    feed(metric, scores, labels)
    return metric.evaluate(len(labels))


def predicting(*predictions: int, classes: int) -> torch.Tensor:
    """Scores that are highest at the predictions."""
    return torch.eye(classes)[list(predictions)]


@given(seed=st.integers(0, 2**31), images=st.integers(1, 20), classes=st.integers(2, 12), k=st.integers(1, 12))
def test_the_accuracy_is_that_of_torch_topk(seed, images, classes, k):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(images, classes, generator=generator)
    labels = torch.randint(classes, (images,), generator=generator)
    found = evaluate(metric(classes, topk=(k,)), scores, labels)
    if k < classes:
        hits = (scores.topk(k).indices == labels[:, None]).any(1)
        assert found[f'accuracy/top{k}'] == pytest.approx(100 * hits.double().mean().item())
    right = scores.argmax(1) == labels
    by_class = [right[labels == label].double().mean().item() for label in labels.unique()]
    assert found['accuracy/mean_class'] == pytest.approx(100 * np.mean(by_class))
    assert set(found) == {'accuracy/mean_class', *([f'accuracy/top{k}'] if k < classes else [])}


@given(seed=st.integers(0, 2**31), images=st.integers(1, 20), classes=st.integers(3, 12), k=st.integers(1, 3))
def test_among_equal_scores_the_lower_label_comes_first(seed, images, classes, k):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(3, (images, classes), generator=generator)
    labels = torch.randint(classes, (images,), generator=generator)
    made = metric(classes, topk=(1, k))
    feed(made, scores, labels)
    order = scores.float().sort(dim=1, descending=True, stable=True).indices
    assert [row[2] for row in made.results] == order[:, 0].tolist()
    assert [row[3] for row in made.results] == (order == labels[:, None]).float().argmax(1).tolist()


def test_equal_scores_for_all_classes_give_the_accuracy_of_guessing():
    found = evaluate(metric(10), torch.zeros(10, 10), range(10))
    assert found['accuracy/top1'] == 10 and found['accuracy/top5'] == 50


@pytest.mark.parametrize('classes, reported', [(6, {'top1', 'top5'}), (5, {'top1'}), (2, {'top1'})])
def test_a_k_not_below_the_number_of_classes_is_not_reported(classes, reported):
    assert set(evaluate(metric(classes), torch.eye(classes), range(classes))) == {
        f'accuracy/{name}' for name in reported | {'mean_class'}
    }


def test_scores_are_compared_only_among_the_present_classes():
    scores = [[9, 1, 8, 2, 7, 0, 6, 3], [9, 3, 8, 2, 7, 0, 6, 1]]
    feed(subset := metric(8, present=(1, 3, 5, 7), topk=(1, 2, 3, 5)), scores, [7, 7])
    found = subset.evaluate(2)
    assert found == {'accuracy/top1': 50, 'accuracy/top2': 50, 'accuracy/top3': 100, 'accuracy/mean_class': 50}
    assert subset.confusion[7].tolist() == [0, 1, 0, 0, 0, 0, 0, 1]
    assert evaluate(metric(8), scores, [7, 7])['accuracy/top1'] == 0


def test_absent_classes_rank_below_present_ones_with_negative_scores():
    assert evaluate(metric(3, present=(1, 2)), [[5.0, -1e30, -2e30]], [1])['accuracy/mean_class'] == 100


def test_all_classes_have_the_same_weight_in_their_mean():
    found = evaluate(metric(3, topk=(1,)), predicting(0, 0, 0, 1, classes=3), [0, 0, 0, 2])
    assert found == {'accuracy/top1': 75, 'accuracy/mean_class': 50}


def test_the_confusion_matrix_has_true_labels_in_rows():
    made = metric(4)
    evaluate(made, predicting(0, 1, 1, 2, 0, classes=4), [0, 0, 0, 2, 2])
    assert made.confusion.dtype == np.int64
    assert made.confusion.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    evaluate(made, predicting(3, classes=4), [3])
    assert made.confusion.sum() == made.confusion[3, 3] == 1  # of the last evaluation


def test_images_count_once_regardless_of_their_order():
    made = metric(2, topk=(1,))
    feed(made, predicting(0, 0, classes=2), [0, 1], [5, 2])
    feed(made, predicting(0, 1, classes=2), [1, 1], [2, 3])
    assert made.compute_metrics(made.results)['top1'] == pytest.approx(200 / 3)
    assert made.confusion.sum() == 3


def test_images_that_fill_up_the_last_batch_do_not_count():
    made = metric(2, topk=(1,))
    feed(made, predicting(0, 0, 0, 0, classes=2), [0, 0, 1, 1], [0, 1, 2, 0])
    assert made.evaluate(3)['accuracy/top1'] == pytest.approx(200 / 3)


def test_four_integers_of_each_image_are_kept():
    feed(made := metric(1000), torch.rand(3, 1000), [3, 999, 0], [7, 8, 9])
    assert [row[:2] for row in made.results] == [(7, 3), (8, 999), (9, 0)]
    assert all(len(row) == 4 and all(type(value) is int for value in row) for row in made.results)


def refusal(call) -> str:
    """The message of the UserError that a call raises."""
    with pytest.raises(UserError) as error:
        call()
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_scores_that_are_not_finite_are_refused(value):
    scores = torch.rand(4, 6)
    scores[2, 3] = value
    line = refusal(lambda: feed(metric(6, present=(0, 1)), scores, [0, 1, 0, 1], [10, 11, 12, 13]))
    assert line.startswith('the scores of image 12 are not finite (1 such images in a batch of 4)')


@pytest.mark.parametrize('label', [-1, 6, 2])
def test_an_invalid_label_is_refused(label):
    line = refusal(lambda: feed(metric(6, present=(0, 1, 5)), torch.rand(2, 6), [0, label], [3, 4]))
    assert line == f'image 4 has label {label}, which is not among the 3 classes of its data set (labels 0 to 5)'


def test_another_number_of_classes_is_refused():
    assert 'scores for 10 classes, the data set has 6' in refusal(lambda: feed(metric(6), torch.rand(2, 10), [0, 1]))


def test_a_batch_without_labels_is_refused():
    line = refusal(lambda: metric(6).process(dict(inputs=None, seeds=None), [dict(scores=torch.rand(6))]))
    assert 'without labels and indices' in line and '(the batch has inputs, seeds)' in line


@pytest.mark.parametrize('meta', [None, {}, dict(classes=())])
def test_a_data_set_without_class_names_is_refused(meta):
    made = Accuracy()
    made.dataset_meta = meta
    assert 'names its classes' in refusal(lambda: feed(made, torch.rand(1, 3), [0]))


def test_a_data_set_without_present_has_all_classes():
    made = Accuracy()
    made.dataset_meta = dict(classes=('a', 'b', 'c'))
    assert evaluate(made, torch.eye(3), [0, 1, 2])['accuracy/top1'] == 100


def test_an_evaluation_without_images_is_an_error():
    assert 'no image was evaluated' in refusal(lambda: metric(3).evaluate(0))


@pytest.mark.parametrize('topk', [5, (0, 1), ('5',), (1.5,)])
def test_the_values_of_k_are_checked(topk):
    assert f'found {topk!r}' in refusal(lambda: Accuracy(topk=topk))


TABLE = """
class         images  top-1  most often confused with
cat                3   33.3  sea cucumber (66.7 %)
dog                1  100.0  -
sea cucumber       2    0.0  cat (50.0 %)
gnu                0      -  -"""


@pytest.fixture
def logged(monkeypatch):
    """The lines that were logged."""
    lines = []
    monkeypatch.setattr(accuracy, 'print_log', lambda line, logger: lines.append(line))
    return lines


NAMES = ('cat', 'dog', 'sea cucumber', 'gnu')


def test_the_table_has_a_row_for_each_class(logged):
    evaluate(metric(NAMES, per_class=True), predicting(0, 2, 2, 1, 0, 1, classes=4), [0, 0, 0, 1, 2, 2])
    assert logged == [TABLE]


def test_the_table_omits_classes_that_the_data_set_does_not_contain(logged):
    evaluate(metric(NAMES, present=(1, 3), per_class=True), predicting(1, 3, classes=4), [1, 3])
    assert [line.split()[0] for line in logged[0].splitlines()[1:]] == ['class', 'dog', 'gnu']


def test_no_table_is_logged_by_default(logged):
    evaluate(metric(NAMES), torch.eye(4), range(4))
    assert not logged


def test_it_is_registered_for_configs():
    assert METRICS.build(dict(type='Accuracy', topk=[1], per_class=True)).topk == (1,)


SCORES = predicting(0, 1, 5, 3, 2, 5, 1, classes=6) * 2 + predicting(5, 5, 2, 1, 1, 1, 2, classes=6)
LABELS = torch.tensor([0, 1, 2, 3, 4, 5, 0])


def seven_images(sampler, result, folder):
    """Evaluate this process's share of the images, in batches of three."""
    made = metric(6, topk=(1, 2))
    shares = torch.tensor(list(sampler)).split(3)
    for indices in shares:
        feed(made, SCORES[indices], LABELS[indices], indices)
    result.update(found=made.evaluate(7), shown=torch.cat(shares).tolist(), confusion=made.confusion.tolist())
    torch.save(result, folder / f'{result["rank"]}.pt')


def one_of_two(rank, folder):
    """A process of the two."""
    os.chdir(folder)  # MMEngine exchanges results by files in the current folder
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    seven_images(DefaultSampler(range(7), shuffle=False), dict(rank=rank), folder)
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_result_of_one_for_an_odd_number_of_images(tmp_path):
    seven_images(range(7), dict(rank='alone'), tmp_path)
    torch.multiprocessing.start_processes(one_of_two, (tmp_path,), nprocs=2, start_method='fork')
    alone, first, second = (torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in ('alone', 0, 1))
    assert first['shown'] == [0, 2, 4, 6] and second['shown'] == [1, 3, 5, 0]  # image 0 twice
    assert first['found'] == second['found'] == alone['found']
    assert alone['found']['accuracy/top1'] == pytest.approx(400 / 7)
    assert alone['found']['accuracy/top2'] == pytest.approx(500 / 7)
    assert first['confusion'] == alone['confusion'] and np.sum(alone['confusion']) == 7
