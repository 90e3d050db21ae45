"""The metrics of a test are written once, regardless of the number of processes."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import Config

from mae_transfer.hooks import MainProcessLoggerHook
from mae_transfer.registry import HOOKS
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('rank, written', [(0, True), (1, False)])
def test_the_main_process_alone_writes_the_metrics(rank, written, tmp_path):
    hook = MainProcessLoggerHook()
    hook.json_log_path = 'metrics.json'
    runner = SimpleNamespace(
        log_dir=str(tmp_path),
        logger=mock.Mock(),
        test_dataloader=[0],
        log_processor=SimpleNamespace(get_log_after_epoch=lambda *_, **__: ({'accuracy/top1': 50.0}, 'Epoch(test)')),
    )
    with mock.patch('mmengine.dist.utils.get_rank', return_value=rank):
        hook.after_test_epoch(runner, {'accuracy/top1': 50.0})
    assert (tmp_path / 'metrics.json').exists() == written


def test_the_first_lines_come_early_also_after_resuming(tmp_path):
    def logged(**changes) -> list[int]:
        cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', **changes)
        cfg.default_hooks.logger = dict(type='MainProcessLoggerHook', interval=7)
        cfg.log_processor = dict(type='LogProcessor')
        runner, steps = StrictRunner.from_cfg(cfg), []
        runner.visualizer.add_scalars = lambda tag, step, **_: steps.append(step) if 'lr' in tag else None
        runner.train()
        return steps

    loop = dict(type='IterBasedTrainLoop', val_interval=100)
    assert logged(train_cfg=dict(loop, max_iters=15)) == [1, 2, 5, 7, 14]
    assert logged(train_cfg=dict(loop, max_iters=23), resume=True) == [16, 17, 20, 21]


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_evaluations_tell_their_progress(mode, tmp_path):
    runner = SimpleNamespace(val_dataloader=[0] * 3, test_dataloader=[0] * 3)
    hook, told = MainProcessLoggerHook(), []
    with mock.patch('mae_transfer.hooks.main_process_logger.Progress') as progress:
        progress.return_value.total = 3
        progress.return_value.side_effect = told.append
        mode = 'val' if mode == 'train' else mode
        getattr(hook, f'before_{mode}_epoch')(runner)
        for number in range(3):
            getattr(hook, f'after_{mode}_iter')(runner, number)
    assert told == [1, 2, 3] and progress.call_args[0][1] == 3 and progress.return_value.close.called


@pytest.mark.parametrize(
    'name', ['in1k_finetune_vitb', 'mae_pretrain_vitl', 'coco_maskrcnn_vitb', 'ade20k_upernet_vitl']
)
def test_every_family_of_configs_uses_it(name):
    assert HOOKS.get(Config.fromfile(CONFIGS / f'{name}.py').default_hooks.logger.type) is MainProcessLoggerHook
