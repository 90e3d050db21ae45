"""Ablations: the commands of their runs, their tokenizer, and the checks before the first run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.errors import UserError
from mae_transfer.experiments import ablation as module
from mae_transfer.experiments import protocols
from mae_transfer.experiments.ablation import Ablation, TokenizerRun
from mae_transfer.experiments.ablation_rows import find_rows, scaled_rows
from mae_transfer.experiments.ablation_scale import make_scale
from mae_transfer.settings import read_config

SMALL = CONFIGS / 'small'


@pytest.fixture
def commands(monkeypatch):
    """The commands that would be run; none is run, and those whose name is in ``failing`` fail."""

    class Commands(list):
        failing = ()

    found = Commands()

    def run_once(folder, tool, arguments, name):
        found.append((name, tool, list(arguments)))
        if name in found.failing:
            raise UserError(f'{name} failed')
        return False

    monkeypatch.setattr(module, 'run_once', run_once)
    monkeypatch.setattr(protocols, 'run_once', run_once)
    return found


@pytest.fixture
def ablation_of(tmp_path):
    def make(*names: str, options=(), seeds=(0,), **scale) -> Ablation:
        small = make_scale(read_config(SMALL / 'mae_pretrain_tin20.py'), **scale)
        tokenizer = TokenizerRun(SMALL / 'tokenizer_dvae_tin20.py', tmp_path / 'tokenizer', ['max_epochs=1'])
        rows = scaled_rows(find_rows(names), small, tokenizer.settings(), options, tmp_path)
        return Ablation(rows, small, tokenizer, tmp_path, seeds, ['knn'], 'c/{}.py', ['test_cfg.ks=(20,)'])

    return make


def test_a_run_is_a_pretraining_and_its_evaluations(ablation_of, commands, tmp_path):
    ablation_of('table1c_encoder_with_mask_tokens', arch='16x1x2', data_root='photos').run(
        'table1c_encoder_with_mask_tokens', 3
    )
    folder = tmp_path / 'table1c_encoder_with_mask_tokens'
    assert read_config(folder / 'config.py').model.encoder_mask_tokens
    pretraining, evaluation = commands
    assert pretraining[1:] == (
        'train',
        [
            str(folder / 'config.py'),
            *('--work-dir', str(folder / 'seed3'), '--resume', '--cfg-options', 'randomness.seed=3'),
        ],
    )
    options = ['model.vit.arch=16x1x2', 'model.vit.patch_size=8', 'image_size=64', 'data_root=photos']
    assert evaluation[1] == 'test' and evaluation[2][:2] == ['c/knn.py', str(folder / 'seed3')]
    assert evaluation[2][5:] == ['randomness.seed=3', *options, 'test_cfg.ks=(20,)']


@pytest.mark.parametrize('image_size, tokenizer_size', [(96, '64'), ((96, 48), '64,32')])
def test_the_tokenizer_is_trained_at_the_size_that_gives_a_token_per_patch(
    image_size, tokenizer_size, ablation_of, commands
):
    ablation_of('table1d_target_dvae_token', image_size=image_size, patch_size=12, data_root='photos').run(
        'table1d_target_dvae_token', 0
    )
    name, tool, arguments = commands[0]
    assert (name, tool) == ('tokenizer', 'train') and len(commands) == 3
    assert arguments[0] == str(SMALL / 'tokenizer_dvae_tin20.py')
    assert arguments[-3:] == ['data_root=photos', f'image_size={tokenizer_size}', 'max_epochs=1']


@pytest.mark.parametrize('ours', [False, True])
def test_a_tokenizer_that_was_trained_elsewhere_is_used_as_it_is(ours, ablation_of, commands, tmp_path):
    (tmp_path / 'tokenizer').mkdir()
    (tmp_path / 'tokenizer' / 'last_checkpoint').write_text('epoch_3.pth')
    (tmp_path / 'tokenizer' / 'epoch_3.pth').touch()
    if ours:  # a training that the ablation started, and that was stopped, has a log, too
        (tmp_path / 'tokenizer' / 'log.txt').touch()
    ablation = ablation_of('table1d_target_dvae_token')
    ablation.tokenizer.run(ablation.scale)
    assert [name for name, *_ in commands] == ['tokenizer'] * ours


def test_the_tokenizer_of_a_target_is_the_trained_one(ablation_of, tmp_path):
    ablation = ablation_of('table1d')
    assert [ablation.tokenizer.is_used_by(row.scaled) for row in ablation.rows].count(True) == 1
    assert ablation.tokenizer.settings() == dict(
        type='DVAE',
        vocab_size=512,
        width=32,
        code_dim=64,
        num_blocks=1,
        stride=8,
        checkpoint=str(tmp_path / 'tokenizer'),
    )


def test_a_run_that_fails_does_not_stop_the_others(ablation_of, commands, tmp_path):
    ablation = ablation_of('table1c', seeds=(0, 1))
    commands.failing = ('table1c_encoder_with_mask_tokens, seed 0',)
    assert ablation.run_all() == ['table1c_encoder_with_mask_tokens, seed 0 failed']
    assert [name for name, tool, _ in commands if tool == 'train'] == [
        f'table1c_encoder_{row}_mask_tokens, seed {seed}' for seed in (0, 1) for row in ('with', 'without')
    ]
    assert {'table.md', 'table.csv', 'table1c.png'} < {path.name for path in tmp_path.iterdir()}


def test_the_caption_describes_the_scale(ablation_of):
    scale = dict(arch='16x1x2', image_size=32, max_epochs=2, batch=8)
    assert ablation_of('table1c', **scale, data_root='a/photos').caption() == (
        'ViT 16x1x2, 32 px, patches of 8, 2 epochs, batch 8, photos'
    )
    scale['arch'] = dict(embed_dim=16, depth=1, num_heads=2)
    assert ablation_of('table1c', **scale, data_root=['a/photos', 'b/more']).caption() == (
        'ViT 16x1x2, 32 px, patches of 8, 2 epochs, batch 8, photos and more'
    )


@pytest.mark.parametrize(
    'scale, options, words',
    [
        (dict(image_size=60), [], 'size 60 is not divisible by patch_size 8'),
        ({}, ['model.vit.arc=4'], "model.vit.arc: ViT has no setting 'arc'; did you mean model.vit.arch?"),
        ({}, ['warmup=99'], 'warmup=99.* does not fit'),
        ({}, [], 'train_dataloader: data/tinyimagenet20 does not exist'),
    ],
)
def test_settings_that_no_run_could_start_with_are_refused_before_the_first_run(
    scale, options, words, ablation_of, monkeypatch
):
    monkeypatch.chdir(Path('/'))
    with pytest.raises(UserError, match=words.replace('?', r'\?')):
        ablation_of('table1c', options=options, **scale).check('train', 'val')


def test_flops_of_each_run_and_of_the_baseline(ablation_of):
    flops = ablation_of('table1c').flops
    masked, plain, baseline = flops.values()
    assert list(flops)[-1] == '' and plain == baseline and masked > 2 * plain
