"""tools/train.py on the classification configs: each protocol trains; one process or two, stopped or not."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from tests.tools.classification import FINETUNE, LINPROBE, PARTIAL, SCRATCH, class_options, evaluate
from tests.tools.commands import checkpoint, largest_difference, run, train


@pytest.mark.parametrize(
    'config, changes',
    [
        (FINETUNE, {}),
        (PARTIAL, dict(model__tuned_blocks=0.5)),
        (PARTIAL, dict(model__tuned_blocks=1)),
        (LINPROBE, {}),
        (SCRATCH, {}),
    ],
    ids=['fine-tuning', 'half a block', 'one block', 'linear probe', 'scratch'],
)
def test_a_protocol_trains_and_is_tested_as_it_was_validated(config, changes, class_photos, tmp_path):
    options = class_options(class_photos, **changes)
    ended = train(config, '--work-dir', tmp_path / 'run', *options)
    validated = re.search(r'Epoch\(val\) .*accuracy/top1: ([\d.]+)', ended.out)
    found = evaluate(config, tmp_path / 'run', tmp_path / 'test', *options)
    assert found['accuracy/top1'] == pytest.approx(float(validated[1]), abs=1e-4)


def test_fine_tuning_starts_from_a_work_dir_of_a_pretraining(pretrained, class_photos, tmp_path):
    ended = train(FINETUNE, '--work-dir', tmp_path, *class_options(class_photos, pretrained=pretrained))
    assert re.search(r'ViT: loaded \d+ of \d+ weights from .*epoch_2.pth', ended.out)
    assert 'head starts from random weights: the checkpoint has no head' in ended.out


def test_half_a_block_changes_only_the_last_mlp_and_the_head(pretrained, class_photos, tmp_path):
    train(PARTIAL, '--work-dir', tmp_path, *class_options(class_photos, pretrained=pretrained, model__tuned_blocks=0.5))
    before, after = checkpoint(pretrained)['state_dict'], checkpoint(tmp_path)['state_dict']
    changed = {name for name in after if name.startswith('vit.') and not torch.equal(after[name], before[name])}
    assert changed == {
        f'vit.blocks.1.{name}'
        for name in ('norm2.weight', 'norm2.bias', 'mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight', 'mlp.fc2.bias')
    }


def test_the_moving_average_is_saved_next_to_the_last_weights(class_photos, tmp_path):
    train(SCRATCH, '--work-dir', tmp_path, *class_options(class_photos, default_hooks__ema__momentum=0.5))
    saved = checkpoint(tmp_path)
    last = {
        name.removeprefix('module.'): value
        for name, value in saved['ema_state_dict'].items()
        if name.startswith('module.')
    }
    assert largest_difference(saved['state_dict'], last) > 1e-4


@pytest.mark.slow
def test_two_processes_train_the_same_weights_as_one(class_photos, tmp_path):
    """Without mixing and erasing, which each process does its own way."""
    plain = dict(model__data_preprocessor="{'type':'LabelledPreprocessor'}", model__vit__drop_path_rate=0.0)
    train(FINETUNE, '--work-dir', tmp_path / 'one', *class_options(class_photos, 8, **plain))
    ended = run('dist_train.sh', FINETUNE, 2, '--work-dir', tmp_path / 'two', *class_options(class_photos, 4, **plain))
    assert ended.code == 0, ended.err
    one, two = (checkpoint(tmp_path / name)['state_dict'] for name in ('one', 'two'))
    # The gradients of the keys' biases are rounding errors, which Adam turns into full steps.
    one, two = ({name: value for name, value in state.items() if 'qkv.bias' not in name} for state in (one, two))
    assert largest_difference(one, two) < 1e-5


@pytest.mark.parametrize(
    'config', [FINETUNE, SCRATCH, LINPROBE], ids=['fine-tuning', 'with a moving average', 'linear probe']
)
def test_a_resumed_run_ends_as_an_uninterrupted_one(config, class_photos, tmp_path):
    # Mixing and stochastic depth draw from the global random generator, whose state no checkpoint contains.
    plain = dict(model__data_preprocessor="{'type':'LabelledPreprocessor'}", model__vit__drop_path_rate=0.0)
    whole = class_options(class_photos, epochs=3, default_hooks__checkpoint__max_keep_ckpts=3, **plain)
    train(config, '--work-dir', tmp_path / 'whole', *whole)
    (tmp_path / 'stopped').mkdir()
    shutil.copy(tmp_path / 'whole' / 'epoch_2.pth', tmp_path / 'stopped')
    (tmp_path / 'stopped' / 'last_checkpoint').write_text(str(tmp_path / 'stopped' / 'epoch_2.pth'))
    train(config, '--work-dir', tmp_path / 'stopped', '--resume', *whole)
    assert largest_difference(*(checkpoint(tmp_path / name)['state_dict'] for name in ('whole', 'stopped'))) == 0


@pytest.mark.slow
def test_two_processes_of_a_linear_probe_evaluate_with_the_same_running_statistics(class_photos, tmp_path):
    """Each has its own during training; the validated model must be the saved one."""
    ended = run(
        'dist_train.sh', LINPROBE, 2, '--work-dir', tmp_path / 'run', *class_options(class_photos, 4, base_lr=10.0)
    )
    assert ended.code == 0, ended.err
    validated = re.search(r'Epoch\(val\) .*accuracy/top1: ([\d.]+)', ended.out)
    found = evaluate(LINPROBE, tmp_path / 'run', tmp_path / 'test', *class_options(class_photos))
    assert found['accuracy/top1'] == pytest.approx(float(validated[1]), abs=1e-4)
    trained = checkpoint(tmp_path / 'run')['state_dict']
    assert trained['head_norm.running_mean'].any() and trained['head_norm.running_var'].ne(1).any()
