"""The classifier compared with the official code, and what is trained. Loading: test_classifier_weights.py."""

import pytest
import torch
from torch import nn

from mae_transfer.classify import ViTClassifier
from mae_transfer.errors import UserError
from mae_transfer.registry import MODELS
from tests.classify.stand_ins import POOLINGS, VIT, classifier, official_name
from tests.helpers import enlarge
from tests.official import GOLDEN, parameter, value


def trained(model: nn.Module) -> set[str]:
    """Names of the trained parameters."""
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def images(count: int = 3, side: int = 16) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


# --- the official numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('golden', GOLDEN['classifier'], ids=lambda golden: golden['pooling'])
def test_features_and_logits_equal_the_official_ones(golden):
    model = ViTClassifier(
        dict(
            type='ViT',
            arch={key: golden[key] for key in ('embed_dim', 'depth', 'num_heads')},
            img_size=golden['image_size'],
            patch_size=golden['patch_size'],
            learn_positions=True,
        ),
        golden['num_classes'],
        'patch_mean' if golden['pooling'].startswith('patch mean') else 'class_token',
    ).eval()
    assert {official_name(name) for name, _ in model.named_parameters()} == set(golden['parameters'])
    with torch.no_grad():
        for name, target in model.named_parameters():
            target.copy_(parameter(official_name(name), target.shape))
        batch = value('images', (len(golden['logits']), 3, golden['image_size'], golden['image_size']))
        features, logits = model.features(batch), model(batch, mode='tensor')
    assert features[0, :8].tolist() == pytest.approx(golden['feature_first8'], abs=1e-5)
    assert torch.allclose(logits, torch.tensor(golden['logits']), rtol=0, atol=1e-5)


# --- initialisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('settings, std', [(dict(), 2e-5), (dict(head_std=0.01), 0.01)])
def test_the_head_starts_with_small_weights_and_without_bias(settings, std):
    torch.manual_seed(0)
    head = classifier(num_classes=1000, **settings).head
    assert head.weight.std().item() == pytest.approx(std, rel=0.03) and not head.bias.any()


def test_fc_norm_replaces_the_norm_of_the_vit_if_patches_are_averaged():
    mean, token = classifier('patch_mean'), classifier('class_token')
    assert isinstance(mean.vit.norm, nn.Identity) and mean.fc_norm.eps == 1e-6
    assert isinstance(token.fc_norm, nn.Identity) and token.vit.norm.eps == 1e-6


def test_the_class_token_is_not_part_of_the_mean():
    model = enlarge(classifier('patch_mean', vit=dict(arch=dict(embed_dim=16, depth=1, num_heads=2)))).eval()
    tokens = model.vit.tokens(images())
    assert torch.equal(model.features(images()), model.fc_norm(tokens[:, 1:].mean(1)))
    assert not torch.allclose(model.features(images()), model.fc_norm(tokens.mean(1)), atol=1e-3)


@pytest.mark.parametrize('pooling', POOLINGS)
def test_images_of_other_sizes_have_features(pooling):
    assert classifier(pooling).features(images(2, 24)).shape == (2, 16)


def test_without_classes_there_is_no_head():
    model = classifier('class_token', num_classes=0)
    assert not any(name.startswith('head') for name in model.state_dict())


def test_the_registry_knows_it():
    assert isinstance(MODELS.build(dict(type='ViTClassifier', vit=VIT, num_classes=2)), ViTClassifier)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UserError, match="pooling is 'patch_mean' or 'class_token'; found 'mean'"):
        classifier('mean')


# --- the forward pass -------------------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_with_smoothed_labels():
    model, labels = enlarge(classifier(label_smoothing=0.1)).eval(), torch.tensor([0, 4, 2])
    logs = model(images(), mode='tensor').log_softmax(1)
    expected = -(0.9 * logs[range(3), labels] + 0.1 * logs.mean(1)).mean()
    assert model(images(), labels)['loss'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothing_mixed_labels_is_what_timm_s_mixup_does():
    from timm.data.mixup import mixup_target
    from timm.loss import SoftTargetCrossEntropy

    model, labels = enlarge(classifier(label_smoothing=0.1)).eval(), torch.tensor([0, 4, 2])
    expected = SoftTargetCrossEntropy()(model(images(), mode='tensor'), mixup_target(labels, 5, 0.3, smoothing=0.1))
    assert model(images(), mixup_target(labels, 5, 0.3))['loss'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_scores_of_an_image_are_its_logits():
    model = enlarge(classifier()).eval()
    samples = model(images(), mode='predict')
    assert torch.equal(torch.stack([sample['scores'] for sample in samples]), model(images(), mode='tensor'))
    with pytest.raises(ValueError, match="found 'test'"):
        model(images(), mode='test')


# --- what is trained --------------------------------------------------------------------------------------------------


def test_fine_tuning_trains_all_parameters():
    model = classifier()
    assert trained(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize('pooling', POOLINGS)
@pytest.mark.parametrize(
    'tuned, blocks', [(0, []), (0.5, []), (1, [3]), (2, [2, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])]
)
def test_partial_fine_tuning_trains_the_last_blocks_and_the_layers_after_them(pooling, tuned, blocks):
    model = classifier(pooling, tuned_blocks=tuned)
    last = {'head.weight', 'head.bias'} | ({'fc_norm.weight', 'fc_norm.bias'} if pooling == 'patch_mean' else set())
    if tuned and pooling == 'class_token':
        last |= {'vit.norm.weight', 'vit.norm.bias'}
    mlp = {
        f'vit.blocks.3.{name}'
        for name in ('norm2.weight', 'norm2.bias', 'mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight', 'mlp.fc2.bias')
    }
    expected = last | (mlp if tuned == 0.5 else set())
    expected |= {
        name for name, _ in model.named_parameters() if any(name.startswith(f'vit.blocks.{i}.') for i in blocks)
    }
    if tuned == 4:
        expected |= {'vit.cls_token', 'vit.pos_embed', 'vit.patch_embed.proj.weight', 'vit.patch_embed.proj.bias'}
    assert trained(model) == expected


@pytest.mark.parametrize('tuned', [0, 0.5, 1, 2, 4, None])
def test_one_step_changes_all_trained_parameters_and_no_others(tuned):
    torch.manual_seed(0)
    model = enlarge(classifier(tuned_blocks=tuned)).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(images(), torch.tensor([0, 1, 2]))['loss'].backward()
    optimizer.step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == trained(model)


@pytest.mark.parametrize('tuned', [0, 0.5, 2])
def test_stochastic_depth_is_off_in_frozen_blocks(tuned):
    model = classifier(tuned_blocks=tuned, vit=dict(drop_path_rate=0.9)).train()
    for i, block in enumerate(model.vit.blocks[1:], 1):
        assert block.drop_path1.training == (tuned == 2 and i > 1), i
        assert block.drop_path2.training == (tuned == 2 and i > 1 or tuned == 0.5 and i == 3), i


def test_stochastic_depth_is_on_if_all_blocks_are_trained():
    model = enlarge(classifier(vit=dict(drop_path_rate=0.9))).train()
    assert not torch.equal(model(images(), mode='tensor'), model(images(), mode='tensor'))


@pytest.mark.parametrize('tuned', [-1, 0.25, 1.5, 5])
def test_an_impossible_number_of_tuned_blocks_is_refused(tuned):
    with pytest.raises(
        UserError, match=f'tuned_blocks is .5 or a whole number from 0 to 4, the depth of the ViT; found {tuned}'
    ):
        classifier(tuned_blocks=tuned)


def test_a_linear_probe_has_a_batch_norm_and_trains_the_head_alone():
    model = classifier('class_token', tuned_blocks=0, batch_norm=True).train()
    assert trained(model) == {'head.weight', 'head.bias'}
    model(images() * 3 + 1, mode='tensor')
    assert model.head_norm.eps == 1e-6 and model.head_norm.weight is None and model.head_norm.running_mean.any()
