"""The line that a training logs."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import LogProcessor as MMEngines

from mae_transfer.experiments.steps import PROGRESS
from mae_transfer.registry import LOG_PROCESSORS
from mae_transfer.runner import StrictRunner
from mae_transfer.runs import LogProcessor
from mae_transfer.runs.console import GLUE
from mae_transfer.runs.log_processor import console_line, evaluation_line, train_items
from tests.helpers import photo_folder, pretraining

VALUES = dict(
    base_lr=1.2e-4,
    lr=1.2e-4,
    data_time=0.01,
    time=0.2,
    loss=0.71234,
    images_per_second=4124.6,
    waiting_share=0.021,
    matrix_share=0.384,
    epoch=3,
    iter=700,
    memory=5222,
)


def test_the_line_says_how_fast_the_training_is_in_one_hundred_columns():
    line = ' '.join(['Epoch(train) [3][40/195]', *train_items(VALUES, 3731)])
    assert line == (
        'Epoch(train) [3][40/195] loss: 0.7123 lr: 0.00012 4125 images/s waiting 2% 5.1 GB matrix 38% left 1:02:11'
    )
    assert PROGRESS.search(line).groups()[:3] == ('3', '40', '195')


def test_the_console_has_a_shorter_line_that_fits_also_at_large_numbers():
    line = console_line('Epoch(train) [3][40/195]', VALUES, 3731)
    assert line == 'Epoch(train) [3][40/195] loss: 0.7123 lr: 0.00012 4125 img/s wait 2% 5.1 GB left 1 h 2 min'
    assert PROGRESS.search(line).groups()[:3] == ('3', '40', '195')
    line = console_line('Epoch(train) [1600][1000/1251]', VALUES, 187000)
    assert len(line) == 94 and line.endswith(' 5.1 GB left 2 d 3 h')
    line = console_line('Iter(train) [ 40000/1600000]', dict(VALUES, loss=12345.6, loss_cls=0.5, lr=1e-6), 187000, 9)
    assert line == 'Iter(train) [ 40000/1600000] loss: 12345.600000000 lr: 0.00012 4125 img/s wait 2% left 2 d 3 h'
    assert (
        console_line('Iter(train) [1/9]', dict(time=2.5, memory=100), None)
        == 'Iter(train) [1/9] 2.5 s/iteration 0.1 GB'
    )


def test_an_evaluation_has_its_figures_without_times():
    values = dict(data_time=0.1, **{'coco/bbox_mAP': 0.5, 'val/time': 0.2, 'classes': [1, 2]})
    line = evaluation_line('Epoch(val) [3][10/10]    coco/bbox_mAP: 0.5000  data_time: 0.1  time: 0.2', values)
    assert line.replace(GLUE, ' ') == 'Epoch(val) [3][10/10] coco/bbox_mAP: 0.5000'


def test_what_is_not_measured_yet_is_left_out_and_other_values_follow():
    values = dict(VALUES, base_lr=1e-3, loss_cls=0.5, momentum=0.99, note=7, images_per_second=None, matrix_share=None)
    values.pop('waiting_share')
    assert ' '.join(train_items(values, None)) == (
        'loss: 0.7123 lr: 0.00012 base_lr: 0.001 0.2 s/iteration 5.1 GB loss_cls: 0.5000 momentum: 0.9900 note: 7'
    )


def test_small_numbers_are_not_rounded_to_nothing():
    items = train_items(dict(VALUES, images_per_second=3.14159, matrix_share=0.0123), None)
    assert {'3.14 images/s', 'matrix 1.2%'} <= set(items)


def test_a_run_in_our_scope_has_it_and_calls_the_hooks_before_each_line(tmp_path):
    calls = []

    class Note(Hook):
        def before_log(self, runner):
            calls.append((runner.iter, len(runner.message_hub.get_scalar('train/grad_norm').data[0])))

    assert LOG_PROCESSORS.get('LogProcessor') is LogProcessor and issubclass(LogProcessor, MMEngines)
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path, dict(type='StepGuardHook'))
    cfg.log_processor = dict(type='LogProcessor')
    cfg.default_hooks.logger.interval = 2
    runner = StrictRunner.from_cfg(cfg)
    runner.register_hook(Note())
    tags = []
    runner.visualizer.add_scalars = lambda tag, **_: tags.append(dict(tag))
    runner.train()
    assert calls == [(1, 2), (3, 4), (5, 6)]
    tags = [tag for tag in tags if 'lr' in tag]
    assert len(tags) == 3 and all(
        tag['memory'] > 100 and {'time', 'data_time', 'loss', 'iter'} <= set(tag) for tag in tags
    )
