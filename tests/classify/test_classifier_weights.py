"""Which weights of a checkpoint a classifier loads, and when its head stays random."""

import logging

import pytest
import torch

from mae_transfer.classify import ViTClassifier
from mae_transfer.vit.weights.checkpoint import CheckpointError
from tests.classify.stand_ins import POOLINGS, classifier, official_name
from tests.helpers import enlarge, small_vit


def saved(tmp_path, state: dict, name: str = 'weights.pth'):
    torch.save(state, tmp_path / name)
    return str(tmp_path / name)


def source(model: ViTClassifier) -> dict:
    """The model's weights in the official layout."""
    return dict(model={official_name(name): value for name, value in model.state_dict().items()})


@pytest.fixture
def logged(caplog):
    """What was logged, MMEngine's loggers included."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance('classifier tests')
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('pooling', POOLINGS)
def test_a_pre_trained_vit_is_loaded_and_the_head_stays_random(tmp_path, pooling, logged):
    vit = enlarge(small_vit())
    model = classifier(
        pooling, vit=dict(init_cfg=dict(type='Pretrained', checkpoint=saved(tmp_path, vit.state_dict())))
    )
    before = model.head.weight.clone()
    model.init_weights()
    for name, weight in model.vit.state_dict().items():
        assert torch.equal(weight, vit.state_dict()[name]), name
    assert torch.equal(model.head.weight, before)
    assert 'head starts from random weights: the checkpoint has no head' in logged.text


@pytest.mark.parametrize('pooling', POOLINGS)
def test_a_fine_tuned_checkpoint_is_loaded_with_its_head(tmp_path, pooling):
    tuned = enlarge(classifier(pooling))
    model = classifier(pooling, vit=dict(init_cfg=dict(type='Pretrained', checkpoint=saved(tmp_path, source(tuned)))))
    model.init_weights()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, tuned.state_dict()[name]), name


def test_a_head_for_other_classes_is_not_loaded_and_the_log_says_so(tmp_path, logged):
    file = saved(tmp_path, source(enlarge(classifier(num_classes=7))))
    model = classifier(vit=dict(init_cfg=dict(type='Pretrained', checkpoint=file)))
    norm = model.fc_norm.weight.clone()
    model.init_weights()
    assert "head starts from random weights: the checkpoint's head is for 7 classes, the model has 5" in logged.text
    assert torch.equal(model.fc_norm.weight, norm)
    with pytest.raises(
        CheckpointError, match='is for 7 classes, the model has 5; choose a fine-tuned checkpoint for this config'
    ):
        model.load_weights(file, need_head=True)


def test_a_head_for_the_other_pooling_is_not_loaded(tmp_path):
    tuned = enlarge(classifier('patch_mean'))
    state = dict(source(tuned)['model'], **{'norm.weight': torch.ones(16), 'norm.bias': torch.zeros(16)})
    model = classifier('class_token')
    before = model.head.weight.clone()
    model.load_weights(saved(tmp_path, state))
    assert torch.equal(model.head.weight, before)
    with pytest.raises(CheckpointError, match=r"does not go with pooling 'class_token' \(it has an fc_norm\)"):
        model.load_weights(saved(tmp_path, state), need_head=True)


def test_a_pre_trained_checkpoint_is_refused_if_a_head_is_needed(tmp_path):
    with pytest.raises(CheckpointError, match='the checkpoint has no head; choose a fine-tuned checkpoint'):
        classifier().load_weights(saved(tmp_path, small_vit().state_dict()), need_head=True)


@pytest.mark.parametrize(
    'change, misfit',
    [
        (lambda head: head.pop('head.bias'), 'the checkpoint lacks head.bias'),
        (lambda head: head.pop('fc_norm.bias'), 'the checkpoint lacks fc_norm.bias'),
        (lambda head: head.update({'head.bias': torch.ones(1)}), r'head.bias is \(1,\) in the checkpoint, \(5,\) in'),
        (
            lambda head: head.update({'fc_norm.bias': torch.ones(8)}),
            r'fc_norm.bias is \(8,\) in the checkpoint, \(16,\)',
        ),
    ],
    ids=['no bias', 'no bias of the norm', 'reshaped bias', 'reshaped norm'],
)
def test_a_damaged_head_is_not_loaded(tmp_path, change, misfit):
    state = source(enlarge(classifier()))['model']
    change(state)
    file, model = saved(tmp_path, state), classifier()
    before = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith('vit.')}
    model.load_weights(file)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    with pytest.raises(CheckpointError, match=misfit):
        model.load_weights(file, need_head=True)


def test_a_linear_probe_trains_its_own_head(tmp_path):
    file = saved(tmp_path, source(enlarge(classifier('class_token'))))
    model = classifier('class_token', batch_norm=True)
    before = model.head.weight.clone()
    model.load_weights(file)
    assert torch.equal(model.head.weight, before)
    with pytest.raises(CheckpointError, match='a batch norm before the head, trains its own head; choose'):
        model.load_weights(file, need_head=True)


def test_rgb_weights_are_inflated_to_train_from_and_refused_in_testing(tmp_path, logged):
    tuned = enlarge(classifier())
    file = saved(tmp_path, source(tuned))
    model = classifier(vit=dict(in_channels=4, init_cfg=dict(type='Pretrained', checkpoint=file)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match='takes 3 image channels; the model 4: use the config that it was trained'
    ):
        model.load_weights(file, need_head=True)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    model.init_weights()
    assert 'inflated from 3 to 4 channels (mean over RGB, times 3/4)' in logged.text
    grey = torch.randn(2, 1, 16, 16)
    found, expected = (
        part.eval()(grey.expand(-1, channels, -1, -1), mode='tensor') for part, channels in ((model, 4), (tuned, 3))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_grid_of_positions_is_given_by_init_cfg(tmp_path):
    file = saved(tmp_path, enlarge(classifier(vit=dict(img_size=(8, 24)))).vit.state_dict())
    init_cfg = dict(type='Pretrained', checkpoint=file)
    with pytest.raises(CheckpointError, match='give source_grid'):
        classifier(vit=dict(init_cfg=init_cfg)).init_weights()
    classifier(vit=dict(init_cfg=dict(init_cfg, source_grid=(2, 6)))).init_weights()


def test_the_checkpoint_none_leaves_all_weights_random():
    model = classifier(vit=dict(init_cfg=dict(type='Pretrained', checkpoint='none')))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
