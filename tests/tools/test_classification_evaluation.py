"""tools/test.py on classifiers: accuracy, protocols on features, weights of the official code, shifted data sets."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

import pytest
import timm
import torch

from mae_transfer.registry import MODELS
from mae_transfer.settings import read_config
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.tools.classification import (
    CLASSES,
    FASTPROBE,
    FINETUNE,
    KNN,
    SCRATCH,
    as_options,
    class_options,
    evaluate,
    feature_options,
    metrics,
    official_file,
    write_classes,
)
from tests.tools.commands import ARCH, REPOSITORY, call, checkpoint, run


def test_a_trained_classifier_is_accurate_and_its_tables_are_written(finetuned, class_photos, tmp_path):
    ended = call('test', FINETUNE, finetuned, '--work-dir', tmp_path, '--per-class', *class_options(class_photos))
    assert ended.code == 0, ended.err
    assert metrics(tmp_path)['accuracy/top1'] > 70
    for name in CLASSES:
        assert re.search(rf'^{name} +[23] ', ended.out, re.M)
    assert list(tmp_path.glob('*/confusion.png')) and list(tmp_path.glob('*/confusion.csv'))


@pytest.mark.slow
def test_two_processes_have_the_accuracy_of_one_on_seven_images(finetuned, class_photos, tmp_path):
    weights, options = finetuned / 'epoch_3.pth', class_options(class_photos)
    one = evaluate(FINETUNE, weights, tmp_path / 'one', *options)
    ended = run('dist_test.sh', FINETUNE, weights, 2, '--work-dir', tmp_path / 'two', *options)
    assert ended.code == 0, ended.err
    two = metrics(tmp_path / 'two')
    print(f'\ntop-1 of 7 images: one process {one["accuracy/top1"]:.6f}, two {two["accuracy/top1"]:.6f}')
    assert {name: value for name, value in two.items() if 'accuracy' in name} == {
        name: value for name, value in one.items() if 'accuracy' in name
    }
    tables = [next((tmp_path / name).glob('*/confusion.csv')).read_text() for name in ('one', 'two')]
    assert tables[0] == tables[1] and sum(map(int, re.findall(r'\d+', tables[0]))) == 7


@pytest.mark.parametrize(
    'config, changes, names',
    [
        # Gathers features as the fast probe does.
        pytest.param(
            *(KNN, dict(test_cfg__ks='[3,10]'), ['knn/top1_k3', 'knn/top5_k10']), id='k-NN', marks=pytest.mark.slow
        ),
        pytest.param(
            FASTPROBE,
            dict(test_cfg__epochs=5, test_cfg__batch_size=8),
            ['probe/top1', 'probe/lr', 'probe/held_out_top1'],
            id='fast probe',
        ),
    ],
)
def test_protocols_on_features_give_the_same_metrics_on_two_processes_as_on_one(
    config, changes, names, pretrained, class_photos, tmp_path
):
    options = feature_options(class_photos, **changes)
    one = call('test', config, pretrained, '--work-dir', tmp_path / 'one', *options)
    assert one.code == 0, one.err
    assert re.search(r'ViT: loaded \d+ of \d+ weights from .*epoch_2.pth', one.out)
    two = run('dist_test.sh', config, pretrained, 2, '--work-dir', tmp_path / 'two', *options)
    assert two.code == 0, two.err
    found, expected = (
        {key: value for key, value in metrics(tmp_path / name).items() if '/' in key} for name in ('two', 'one')
    )
    assert found == pytest.approx(expected) and set(names) <= set(found)


def test_none_evaluates_random_weights(class_photos, tmp_path):
    ended = call('test', KNN, 'none', '--work-dir', tmp_path, *feature_options(class_photos, test_cfg__ks='[3]'))
    assert ended.code == 0, ended.err
    assert 'ViT starts from random weights' in ended.out


@pytest.mark.parametrize('config', [FINETUNE, SCRATCH], ids=['fine-tuning', 'with a moving average'])
def test_a_fine_tuned_file_of_the_official_code_has_the_accuracy_of_our_own(config, finetuned, class_photos, tmp_path):
    options = class_options(class_photos)
    ours = evaluate(FINETUNE, finetuned, tmp_path / 'ours', *options)
    official = evaluate(config, official_file(finetuned, tmp_path), tmp_path / 'official', *options)
    assert official['accuracy/top1'] == ours['accuracy/top1']


@pytest.mark.parametrize('prefix', ['backbone.', 'module.model.'])
def test_a_fine_tuned_file_is_tested_below_any_prefix(prefix, finetuned, class_photos, tmp_path):
    options = class_options(class_photos)
    ours = evaluate(FINETUNE, finetuned, tmp_path / 'ours', *options)
    state = torch.load(official_file(finetuned, tmp_path))['model']
    head = '' if prefix == 'backbone.' else prefix  # of our backbones, the head is beside them
    state = {
        (head if name.startswith(('head.', 'fc_norm.')) else prefix) + name: value for name, value in state.items()
    }
    torch.save(dict(hyper_parameters=argparse.Namespace(folder=tmp_path), state_dict=state), tmp_path / 'other.ckpt')
    other = evaluate(FINETUNE, tmp_path / 'other.ckpt', tmp_path / 'other', *options)
    assert other['accuracy/top1'] == ours['accuracy/top1']


def test_a_fine_tuned_classifier_is_converted_with_its_head(finetuned, tmp_path):
    tool = REPOSITORY / 'tools' / 'convert_checkpoint.py'
    subprocess.run(
        [sys.executable, tool, finetuned, tmp_path / 'timm.safetensors', '--to', 'timm'],
        check=True,
        capture_output=True,
    )
    model = timm.create_model(
        'vit_base_patch16_224',
        num_classes=3,
        global_pool='avg',
        img_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
    )
    model.load_state_dict(read_checkpoint(tmp_path / 'timm.safetensors'))
    cfg = read_config(FINETUNE)
    ours = MODELS.build(
        dict(
            cfg.model,
            num_classes=3,
            vit=dict(cfg.model.vit, arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8),
        )
    )
    ours.load_state_dict(checkpoint(finetuned)['state_dict'])
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(model.eval()(images), ours.eval()(images, mode='tensor'), atol=1e-5)


# Shifted data sets

WNIDS = ('n01440764', 'n01443537', 'n02123045')


def write_shifted_set(root, names=WNIDS):
    write_classes(root, {name: 2 for name in names}, 3)
    return root


@pytest.fixture(scope='module')
def imagenet_model(tmp_path_factory):
    cfg = read_config(FINETUNE)
    torch.manual_seed(0)
    vit = dict(cfg.model.vit, arch=dict(embed_dim=32, depth=2, num_heads=2), img_size=32, patch_size=8)
    model = MODELS.build(dict(cfg.model, vit=vit, head_std=1.0))
    folder = tmp_path_factory.mktemp('imagenet')
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    return str(folder / 'model.pth')


def shift_options() -> list[str]:
    return as_options(
        dict(
            model__vit__arch=ARCH,
            image_size=32,
            model__vit__patch_size=8,
            test_dataloader__num_workers=0,
            test_dataloader__batch_size=4,
        )
    )


@pytest.mark.parametrize('name', ['imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-v2'])
def test_a_shifted_set_of_some_classes_is_evaluated_on_these_classes(name, imagenet_model, tmp_path):
    folder = write_shifted_set(tmp_path / 'set')
    found = evaluate(FINETUNE, imagenet_model, tmp_path / 'run', '--shift', f'{name}={folder}', *shift_options())
    # With three classes about two of six images are right by chance; with a thousand none would be.
    assert found['accuracy/top1'] > 0


def test_corrupted_images_give_the_mean_corruption_error(imagenet_model, tmp_path):
    for corruption in ('fog', 'snow'):
        for severity in range(1, 6):
            write_shifted_set(tmp_path / 'c' / corruption / str(severity), WNIDS[:1])
    options = [*shift_options(), "test_dataloader.dataset.corruptions=['fog','snow']"]
    found = evaluate(FINETUNE, imagenet_model, tmp_path / 'run', '--shift', f'imagenet-c={tmp_path / "c"}', *options)
    errors = {name: found[f'imagenet_c/error_{name}'] for name in ('fog', 'snow')}
    alexnet = dict(fog=0.819324, snow=0.866816)
    assert found['imagenet_c/mce_of_2'] == pytest.approx(sum(errors[name] / alexnet[name] for name in errors) / 2)
