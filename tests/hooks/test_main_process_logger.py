"""The metrics of a test are written once, regardless of the number of processes."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import Config

from mae_transfer.hooks import MainProcessLoggerHook
from mae_transfer.registry import HOOKS

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


@pytest.mark.parametrize(
    'name', ['in1k_finetune_vitb', 'mae_pretrain_vitl', 'coco_maskrcnn_vitb', 'ade20k_upernet_vitl']
)
def test_every_family_of_configs_uses_it(name):
    assert HOOKS.get(Config.fromfile(CONFIGS / f'{name}.py').default_hooks.logger.type) is MainProcessLoggerHook
