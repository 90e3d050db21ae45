"""BEiT from the command line, on tiny photos: trained, judged, stopped and resumed, accumulated, and used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.pretraining import DALLEEncoder
from mae_transfer.vit.weights.checkpoint import find_checkpoint
from tests.tools.classification import FINETUNE, as_options, class_options
from tests.tools.commands import ARCH, REPOSITORY, call, checkpoint, error_line, largest_difference, losses, run, train

CONFIG, FULL = (REPOSITORY / 'configs' / name for name in ('small/beit_pretrain_tin20.py', 'beit_pretrain_vitb.py'))
TOKENIZER = REPOSITORY / 'configs' / 'small' / 'tokenizer_dvae_tin20.py'
SIZES = dict(vocab_size=16, width=8, code_dim=4)
PLAIN = dict(model__vit__drop_path_rate=0.0)


def settings(data_root: Path, batch: int, epochs: int) -> dict:
    """A run with three steps of eight photos in an epoch; ``batch`` of them at once in a process."""
    return dict(
        data_root=data_root,
        total_batch_size=8,
        image_size=32,
        max_epochs=epochs,
        warmup=0.5,
        train_dataloader__batch_size=batch,
        val_dataloader__batch_size=4,
        test_dataloader__batch_size=4,
        default_hooks__logger__interval=1,
        default_hooks__checkpoint__interval=1,
        **{f'{loader}_dataloader__num_workers': 0 for loader in ('train', 'val', 'test')},
    )


def small(data_root: Path, tokenizer: Path, batch: int = 8, epochs: int = 1, **changes) -> list[str]:
    """Options that make a run of CONFIG small."""
    model = dict(
        tokenizer=tokenizer,
        base_lr=0.1,
        arch=ARCH,
        model__masking__least_area=2,
        **{f'model__target__tokenizer__{name}': value for name, value in SIZES.items()},
    )
    return as_options({**settings(data_root, batch, epochs), **model, **changes})


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory, class_photos) -> Path:
    """work_dir of a dVAE of one epoch."""
    folder = tmp_path_factory.mktemp('tokenizer')
    options = {**settings(class_photos, 8, 1), **{f'model__{name}': value for name, value in SIZES.items()}}
    train(TOKENIZER, '--work-dir', folder, *as_options(options))
    return folder


@pytest.fixture(scope='module')
def whole(tmp_path_factory, class_photos, tokenizer) -> Path:
    """work_dir of a run of three epochs."""
    folder = tmp_path_factory.mktemp('whole')
    ended = train(CONFIG, '--work-dir', folder, *small(class_photos, tokenizer, epochs=3))
    assert 'reconstruction/masked_loss: ' in ended.out and 'tokenizer DVAE with 16 tokens loaded from' in ended.out
    return folder


def test_the_log_has_loss_accuracy_and_norm_of_the_gradient(whole):
    scalars = checkpoint(whole)['message_hub']['log_scalars']
    assert len(losses(whole)) == len(scalars['train/mlm_acc'].data[0]) == len(scalars['train/grad_norm'].data[0]) == 9
    assert all(0 <= accuracy <= 1 for accuracy in scalars['train/mlm_acc'].data[0])
    assert losses(whole)[-1] < losses(whole)[0]
    assert (whole / 'reconstructions' / 'last.png').is_file()


def test_a_resumed_run_ends_as_a_whole_one_to_the_bit(tmp_path, class_photos, tokenizer):
    """Without stochastic depth, which draws from the global generator; its state is in no checkpoint."""
    options = small(class_photos, tokenizer, epochs=2, **PLAIN)
    train(CONFIG, '--work-dir', tmp_path / 'whole', *options)
    train(CONFIG, '--work-dir', tmp_path / 'resumed', '--resume', tmp_path / 'whole' / 'epoch_1.pth', *options)
    found, expected = (checkpoint(tmp_path / name)['state_dict'] for name in ('resumed', 'whole'))
    assert largest_difference(found, expected) == 0
    assert losses(tmp_path / 'resumed') == losses(tmp_path / 'whole') and len(losses(tmp_path / 'resumed')) == 6


@pytest.mark.slow
def test_accumulated_passes_and_two_processes_have_the_loss_of_one_batch(tmp_path, class_photos, tokenizer):
    for name, batch in (('one', 8), ('accumulated', 4)):
        train(CONFIG, '--work-dir', tmp_path / name, *small(class_photos, tokenizer, batch, **PLAIN))
    ended = run('dist_train.sh', CONFIG, 2, '--work-dir', tmp_path / 'two', *small(class_photos, tokenizer, 4, **PLAIN))
    assert ended.code == 0 and 'batch 8 = 4 images x 2 processes x 1 accumulated' in ended.out, ended.err
    expected = checkpoint(tmp_path / 'one')['state_dict']
    for name in ('accumulated', 'two'):
        found = checkpoint(tmp_path / name)['state_dict']
        assert_close(found['lm_head.bias'], expected['lm_head.bias'], rtol=1e-3, atol=1e-4)
        assert_close(found['vit.rel_pos_global'], expected['vit.rel_pos_global'], rtol=1e-2, atol=1e-3)
    one, two = losses(tmp_path / 'one'), losses(tmp_path / 'two')
    assert one == pytest.approx(two, abs=1e-4)


def test_a_run_is_judged_without_the_tokenizers_file(whole, tmp_path, class_photos):
    options = small(class_photos, tmp_path / 'nowhere')
    ended = call('test', CONFIG, whole, '--work-dir', tmp_path / 'judged', *options)
    assert ended.code == 0 and 'reconstruction/masked_loss: ' in ended.out, ended.err


def test_classification_starts_from_its_vit(whole, tmp_path, class_photos):
    """With the options that the config's docstring gives: each block gets a copy of the shared table."""
    told = CONFIG.read_text().partition('pretrained=')[2].splitlines()[0].split()[1:]
    options = class_options(class_photos, pretrained=whole, base_lr=0.0, model__data_preprocessor__mixup=None)
    ended = train(FINETUNE, '--work-dir', tmp_path, *options, *told)
    assert f'weights from {find_checkpoint(whole)}' in ended.out
    found, source = checkpoint(tmp_path)['state_dict'], checkpoint(whole)['state_dict']
    blocks = {name: value for name, value in source.items() if name.startswith('vit.blocks.')}
    table = 'attn.relative_position_bias_table'
    tables = {f'vit.blocks.{number}.{table}': source['vit.rel_pos_global'] for number in (0, 1)}
    assert 'vit.blocks.1.ls2.gamma' in blocks and source['vit.rel_pos_global'].abs().max() > 1e-3
    for name, value in (blocks | tables).items():
        assert_close(found[name], value, rtol=0, atol=1e-5)  # fine-tuning has a lowest rate of 1e-6


def test_a_pretraining_goes_on_from_another_s_vit(whole, tmp_path, class_photos, tokenizer):
    options = small(class_photos, tokenizer, pretrained=whole, base_lr=0.0, param_scheduler__0__min_lr=0.0)
    train(CONFIG, '--work-dir', tmp_path, *options)
    found, source = checkpoint(tmp_path)['state_dict'], checkpoint(whole)['state_dict']
    for name in (name for name in source if name.startswith('vit.')):
        assert torch.equal(found[name], source[name]), name


def test_the_published_encoder_is_the_tokenizer_of_the_full_config(tmp_path, class_photos):
    """Photos of 32 pixels, whose tokens it gives at 16; a smaller encoder of the same layout."""
    torch.manual_seed(0)
    torch.save(DALLEEncoder(hidden=8, group_blocks=1, vocab_size=20).state_dict(), tmp_path / 'encoder.pkl')
    encoder = dict(hidden=8, group_blocks=1, vocab_size=20)
    options = dict(
        tokenizer=tmp_path / 'encoder.pkl',
        base_lr=0.1,
        arch=ARCH,
        optim_wrapper__dtype='float32',
        model__masking__ratio=0.5,
        model__masking__least_area=1,
        **{f'model__target__tokenizer__{name}': value for name, value in encoder.items()},
    )
    options = as_options({**settings(class_photos, 8, 1), **options})
    ended = train(FULL, '--work-dir', tmp_path / 'run', *options)
    assert 'tokenizer DALLEEncoder with 20 tokens loaded from' in ended.out
    assert 'no reconstructions are drawn: predictions of TokenTarget cannot be turned into pixels' in ended.out
    assert len(losses(tmp_path / 'run')) == 3


@pytest.mark.parametrize(
    'changes, says',
    [
        (dict(bands='L'), "PhotosInTwoSizes is for bands='RGB'; found bands=L"),
        (dict(model__target__tokenizer__checkpoint='nowhere.pth'), 'tokenizer.checkpoint: .*nowhere.pth'),
        (dict(train_dataloader__dataset__token_scale=0.5), 'at 32 x 32: set token_scale of the data sets to 1'),
        (dict(model__vit__rel_pos=None), "the ViT has no positions, .*set model.vit.rel_pos='shared'"),
        (dict(model__target="{'type':'PixelTarget'}"), "set model.target.type='TokenTarget'"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path, class_photos, tokenizer, changes, says):
    ended = call('train', CONFIG, '--work-dir', tmp_path, *small(class_photos, tokenizer, **changes))
    line = error_line(ended)
    assert all(part in line for part in says.split('.*')), line
