"""Compiled blocks compute what the others do, and are compiled a few times only.

Most tests use the backend 'aot_eager', which traces and differentiates as inductor does but generates no code.
"""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters

from mae_transfer.errors import UserError
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.compiling import check_compile, compile_blocks
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.helpers import photo_folder, pretraining, small_vit
from tests.tools.commands import CONFIG, losses, small, train, write_photos
from tests.tools.commands import run as run_tool

TRACED = dict(backend='aot_eager')


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet():
    """The count of what is compiled begins again."""
    torch.compiler.reset()
    counters.clear()


@pytest.mark.slow
def test_blocks_of_one_shape_are_compiled_once_whatever_their_drop_path_and_batches():
    vit, images = small_vit(depth=10, drop_path_rate=0.3).train(), torch.randn(4, 3, 16, 16)

    def losses() -> list[float]:
        found = []
        for seed, size in enumerate((4, 4, 3, 4, 2)):
            torch.manual_seed(seed)
            found.append((vit(images[:size])[-1] * images.mean()).square().mean().item())
        return found

    names, wanted = list(vit.state_dict()), losses()
    assert compile_blocks(vit, dict(backend='eager')) == 10
    assert losses() == pytest.approx(wanted, rel=1e-5, abs=0) and list(vit.state_dict()) == names
    # The first block has no drop path, the others three parts around theirs; each for one and for any batch size.
    assert 0 < counters['stats']['unique_graphs'] <= 8


def run(photos, folder, compiled, epochs=2, resume=False):
    """A pre-training of seven photos in batches of two and, at the end of an epoch, of one; with gradient checkpoints
    and accumulation. Returns the losses of the forward passes."""
    cfg = pretraining(photos, folder, compile=compiled, resume=resume)
    cfg.train_dataloader.dataset.hold_out = cfg.val_dataloader.dataset.hold_out = 1 / 8
    cfg.model.vit.grad_checkpoint = True
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.train_cfg.update(max_epochs=epochs, val_interval=1)
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    return runner.message_hub.get_scalar('train/loss').data[0].tolist()


def test_a_run_has_the_losses_of_one_that_is_not_compiled_and_goes_on_from_it(tmp_path):
    photos = photo_folder(tmp_path / 'photos', 8)
    wanted = run(photos, tmp_path / 'eager', False)
    run(photos, tmp_path / 'compiled', TRACED, epochs=1)
    assert counters['stats']['unique_graphs'] >= 2
    found = run(photos, tmp_path / 'compiled', TRACED, resume=True)
    assert len(wanted) == 8 and found == pytest.approx(wanted, rel=1e-5, abs=0)
    weights = [read_checkpoint(tmp_path / name / 'epoch_2.pth')['state_dict'] for name in ('eager', 'compiled')]
    assert list(weights[0]) == list(weights[1])
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-5) for name in weights[0])


@pytest.mark.parametrize(
    'device, variable, wanted',
    [('cpu', 'CXX', r'C\+\+, and there is no g\+\+'), ('cuda', 'CC', 'C, and there is no gcc')],
)
def test_without_a_compiler_one_line_says_so(device, variable, wanted, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError, match=f'compile=True needs a compiler of {wanted}: install it'):
        check_compile(True, device)
    check_compile(False, device)
    check_compile(TRACED, device)


def test_other_settings_are_refused():
    with pytest.raises(UserError, match="compile is True, False, or settings of torch.compile; found 'yes'"):
        check_compile('yes', 'cpu')


@pytest.mark.slow
def test_generated_code_computes_the_same(tmp_path):
    photos = photo_folder(tmp_path / 'photos', 8)
    wanted = run(photos, tmp_path / 'eager', False)
    assert run(photos, tmp_path / 'compiled', True) == pytest.approx(wanted, rel=1e-5, abs=0)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_that_is_not_compiled(tmp_path):
    write_photos(tmp_path / 'photos/train', 16)
    write_photos(tmp_path / 'photos/val', 4)
    config = tmp_path / 'traced.py'
    config.write_text(f"_base_ = '{CONFIG}'\ncompile = dict(_delete_=True, backend='aot_eager')\n")
    options = small(tmp_path / 'photos', optim_wrapper__dtype='float32')
    train(CONFIG, '--work-dir', tmp_path / 'one', *options)
    two = [*options, 'train_dataloader.batch_size=4']
    ended = run_tool('dist_train.sh', config, 2, '--work-dir', tmp_path / 'two', *two)
    assert ended.code == 0, ended.err
    assert '3 blocks are compiled' in ended.out
    assert losses(tmp_path / 'two') == pytest.approx(losses(tmp_path / 'one'), rel=1e-5, abs=0)
