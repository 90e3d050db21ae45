"""The features of a whole data set, and the loop that computes them."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mae_transfer.classify import features as module
from mae_transfer.classify.features import Features, check_classes, extract_features
from mae_transfer.errors import UserError
from tests.classify.stand_ins import (
    CLASSES,
    EXTRACTED,
    KNN,
    PROBE,
    ColouredNoise,
    Pixels,
    config,
    loader,
    results_of_two_processes,
)


def build(**settings):
    return Runner.build_dataloader(loader(**{'length': 11, **settings}), seed=0)


def expected(dataset: ColouredNoise) -> torch.Tensor:
    model = Pixels().eval()
    return model.features(dataset.images.float() / 255 - 0.5).detach()


@pytest.fixture
def lines(monkeypatch):
    """The lines of the log."""
    found = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: found.append(text))
    return found


@pytest.mark.parametrize('shuffle', [False, True])
def test_features_are_in_the_order_of_the_data_set(shuffle):
    dataloader = build(shuffle=shuffle)
    values, labels = extract_features(Pixels(), dataloader, 'train')
    assert values.shape == (11, 8) and values.dtype is torch.float16 and values.device.type == 'cpu'
    assert torch.equal(labels, dataloader.dataset.labels) and labels.dtype is torch.int64
    torch.testing.assert_close(values.float(), expected(dataloader.dataset), rtol=2e-3, atol=1e-3)


def test_two_processes_compute_the_features_of_one():
    dataloader = Runner.build_dataloader(EXTRACTED, seed=0)
    values, labels = extract_features(Pixels(), dataloader, 'test')
    for rank in results_of_two_processes():
        torch.testing.assert_close(
            rank['features']['values'], values, rtol=1e-3, atol=1e-4
        )  # the last bit of a float16
        assert torch.equal(rank['features']['labels'], labels)
    assert len(values) == 31


def test_the_model_is_put_into_evaluation_mode():
    model = Pixels().train()
    values = extract_features(model, build(), 'train').values
    assert not model.training and not values.requires_grad
    assert torch.equal(values, extract_features(model, build(), 'train').values)


def test_the_dtype_is_that_of_autocast():
    exact, half = (
        extract_features(Pixels(), build(), 'train', dtype).values.float() for dtype in ('float32', 'bfloat16')
    )
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0.05)
    assert not torch.equal(half, exact) and torch.equal(half.bfloat16().float(), half)


def test_an_image_in_no_batch_has_no_features():
    dataloader = build()
    dataloader.sampler.dataset = range(8)
    dataloader.sampler.num_samples = dataloader.sampler.total_size = 8
    values, labels = extract_features(Pixels(), dataloader, 'train')
    assert len(values) == len(labels) == 8


def test_it_is_logged_that_they_are_computed(lines):
    extract_features(Pixels(), build(length=20), 'train')
    assert lines == ['features of train: 5 batches']


def test_unreadable_photos_are_named_once(lines):
    dataloader = build(length=4, skipped=((), ('b.jpg',), ('a.jpg', 'b.jpg'), ()), batch_size=2)
    dataloader.collate_fn = lambda items: dict(
        inputs=torch.stack([item['inputs'] for item in items]),
        labels=torch.stack([item['labels'] for item in items]),
        indices=torch.tensor([item['indices'] for item in items]),
        skipped=[name for item in items for name in item['skipped']],
    )
    extract_features(Pixels(), dataloader, 'train')
    assert lines[-1] == '2 unreadable photos of train were skipped: a.jpg, b.jpg'


@pytest.mark.parametrize('factor', [float('nan'), float('inf'), 1e6], ids=['nan', 'inf', 'beyond float16'])
def test_features_that_are_not_finite_are_refused(factor):
    with pytest.raises(UserError, match='^features of 11 of 11 images of train are not finite .*checkpoint broken'):
        extract_features(Pixels(factor), build(), 'train')


def test_no_features_are_refused():
    with pytest.raises(UserError, match='there are no features of train: the data set is empty'):
        module._check(Features(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)), 'train', 2)


@pytest.mark.parametrize('shift, span', [(1, '1 to 3'), (-1, '-1 to 1')])
def test_labels_outside_of_the_classes_are_refused(shift, span):
    with pytest.raises(UserError, match=f'^labels of test lie from {span}; its 3 classes allow 0 to 2$'):
        extract_features(Pixels(), build(shift=shift), 'test')


def test_a_loader_that_drops_images_is_refused():
    dataloader = Runner.build_dataloader(dict(loader(11), drop_last=True))
    with pytest.raises(UserError, match='^the data loader of train drops its last images: set drop_last=False$'):
        extract_features(Pixels(), dataloader, 'train')


def test_an_unknown_dtype_is_refused():
    with pytest.raises(UserError, match="float32; found 'half'"):
        extract_features(Pixels(), build(), 'train', 'half')


@pytest.mark.parametrize(
    'test, line',
    [
        (('ant', 'bee', 'cat', 'dog'), "train has 3 classes, test 4: 'dog' is not among those of train"),
        (
            ('ant', 'cat', 'bee'),
            "label 1 is 'bee' in train and 'cat' in test: both must have the same classes in the same order",
        ),
    ],
)
def test_other_classes_are_refused(test, line, tmp_path):
    with pytest.raises(UserError) as error:
        check_classes(CLASSES, test)
    assert str(error.value) == line
    with pytest.raises(UserError, match='^' + line):
        Runner.from_cfg(config(tmp_path, dict(type='KNNLoop', ks=[3]), test=loader(5, classes=test))).test()


@pytest.mark.parametrize('test', [CLASSES, CLASSES[:2]])
def test_the_same_classes_are_accepted_and_the_last_may_be_missing(test):
    check_classes(CLASSES, test)


def test_the_training_images_determine_the_number_of_classes(tmp_path):
    test = loader(2, noise=5.0, classes=CLASSES[:2], present=(0, 1))
    for loop in (KNN, dict(PROBE, epochs=20)):
        assert 100 in Runner.from_cfg(config(tmp_path, loop, loader(63, noise=5.0), test)).test().values()


@HOOKS.register_module()
class Called(Hook):
    """Records which hooks are called, and with which metrics."""

    calls: list = []

    def before_test(self, runner):
        self.calls.append('before_test')

    def before_test_epoch(self, runner):
        self.calls.append('before_test_epoch')

    def after_test_epoch(self, runner, metrics):
        self.calls.append(metrics)

    def after_test(self, runner):
        self.calls.append('after_test')


def test_hooks_are_called_as_by_mmengines_loop(tmp_path):
    Called.calls.clear()
    metrics = Runner.from_cfg(config(tmp_path, dict(type='KNNLoop', ks=[3]), custom_hooks=[dict(type='Called')])).test()
    assert Called.calls == ['before_test', 'before_test_epoch', metrics, 'after_test']
