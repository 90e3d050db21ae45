"""What a person sees of a run: short lines and what can be acted on; the log file has everything."""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.logging import MMLogger, print_log

import mae_transfer
from mae_transfer.calls import python_call
from mae_transfer.runs.console import FILE_ONLY, GLUE, also_shown, console, log_table, wrapped
from tests.helpers import forget_instances
from tests.tools.commands import CONFIG, call, imagenet_layout, small

#: What MMEngine writes for its developers, in the order of a run.
DUMPS = ('System environment:', 'Config:', 'Hooks will be executed', 'Exp name:', 'Saving checkpoint at')
LIBRARY = Path(torch.__file__).parents[1]


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """What a training printed, as it is, and the file of its log: without and with ``--verbose``."""
    folder = tmp_path_factory.mktemp('runs')
    photos, found = imagenet_layout(folder / 'photos'), {}
    with mock.patch('tests.tools.commands.unwrapped', str):
        for name, more in (('quiet', []), ('verbose', ['--verbose'])):
            options = small(photos, default_hooks__logger__interval=20)
            ended = call('train', CONFIG, '--work-dir', folder / name, *more, *options)
            assert ended.code == 0, ended.err
            [log] = (folder / name).glob('*/*.log')
            found[name] = ended, log.read_text()
    return found


def test_every_line_of_a_training_fits_and_the_first_comes_at_once(runs):
    ended, _ = runs['quiet']
    lines = ended.out.splitlines()
    too_long = [line for line in lines if len(line) > 100 and len(line.split()[-1]) < 90]  # a path is not parted
    assert not too_long and 'mmengine - ' not in ended.out and not ended.err
    assert not any(words in ended.out for words in DUMPS)
    assert '\033' not in ended.out
    text = ' '.join(ended.out.split())
    assert re.search(
        r'training on 24 images in \S+/photos; image size 32; ViT 32x2x2/8, [\d,]+ parameters; batch 8 = 8 images x 1 '
        r'process x 1 accumulated; learning rate [\d.]+ = 0.1 x 8 / 256; 1 epoch = 3 steps; (float32|bfloat16); \S+',
        text,
    )
    steps = re.findall(r'^\d\d:\d\d (Epoch\(train\) \[1\]\[\d/3\]) loss: \d.\d+ lr: (\S+) .*GB left ', ended.out, re.M)
    assert [step for step, _ in steps] == [f'Epoch(train) [1][{number}/3]' for number in (1, 2, 3)]
    assert re.search(r'^\d\d:\d\d Epoch\(val\) \[1\]\[2/2\] reconstruction/masked_loss: \d\.\d{4}', ended.out, re.M)


def test_verbose_shows_everything(runs):
    ended, log = runs['verbose']
    assert all(words in ended.out and words in log for words in DUMPS)
    assert re.search(r'Epoch\(train\) +\[1\]\[1/3\] .*grad_norm: ', ended.out)


def test_the_log_file_has_everything_either_way(runs):
    quiet, verbose = (re.sub(r'[\d.e+:/-]+|quiet|verbose', '#', runs[name][1]) for name in ('quiet', 'verbose'))
    assert {*verbose.splitlines()} <= {*quiet.splitlines()}, 'the second run of a process has a warning less'
    assert len(verbose) > 0.95 * len(quiet) and GLUE not in quiet
    assert all(words in runs['quiet'][1] for words in (*DUMPS, 'grad_norm: ', 'data_time: ', 'mmengine - INFO'))


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logger(capsys):
    """A function that gives what loggers have written to the console, once."""
    forget_instances()
    yield lambda: re.sub(r'^\d\d:\d\d ', '', capsys.readouterr().out, flags=re.M)
    forget_instances()


def of_module(name: str, code: str) -> None:
    """Run a line of code in a module of this name."""
    exec(code, dict(__name__=name, print_log=print_log, MMLogger=MMLogger, warnings=warnings))


def test_what_is_shown_follows_from_who_logs(logger):
    with console():
        for name in ('mae_transfer.hooks.speed', 'my_hooks', 'mmengine.runner.runner', 'mmdet.models', 'mmdetails'):
            of_module(name, f'print_log("info of {name}", logger="current")')
            of_module(name, f'print_log("error of {name}", logger="current", level=40)')
        current = MMLogger.get_current_instance()
        current.warning('a warning of ours')
        current.info('for the file', extra=FILE_ONLY)
        current.info('a long line', extra=dict(console='a short one'))
    assert logger().splitlines() == [
        'info of mae_transfer.hooks.speed',
        'error: error of mae_transfer.hooks.speed',
        'info of my_hooks',
        'error: error of my_hooks',
        'error: error of mmengine.runner.runner',
        'error: error of mmdet.models',
        'info of mmdetails',
        'error: error of mmdetails',
        'warning: a warning of ours',
        'a short one',
    ]


def test_a_test_shows_tables_that_a_training_does_not(logger):
    with console():
        log_table('| a |\n| b |')
        of_module('mmseg.evaluation.metrics.iou_metric', 'print_log("hidden", "current")')
        with also_shown('mmseg.evaluation'):
            log_table('| c |\n| d |')
            of_module('mmseg.evaluation.metrics.iou_metric', 'print_log("shown", "current")')
            of_module('mmseg.datasets', 'print_log("hidden", "current")')
    assert logger() == '| c |\n| d |\nshown\n'


def test_verbose_shows_what_is_hidden_also_within_another_console(logger):
    with console(), console(verbose=True), console():
        of_module('mmengine.runner', 'print_log("everything", "current")')
        MMLogger.get_current_instance().info('a long line', extra=dict(console='a short one'))
    out = logger()
    assert 'everything' in out and 'a long line' in out


def test_only_the_main_process_speaks(logger, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    with console():
        print_log('said', 'current')
        print_log('failed', 'current', logging.ERROR)
    assert logger() == 'error: failed\n'


def test_everything_is_as_it_was_afterwards(logger):
    handler = MMLogger.get_current_instance().handlers[0]
    before = handler.formatter, handler.level, [*handler.filters], warnings.showwarning, [*warnings.filters]
    with pytest.raises(ValueError), console():
        assert handler.formatter is not before[0] and warnings.showwarning is not before[3]
        raise ValueError
    after = handler.formatter, handler.level, [*handler.filters], warnings.showwarning, [*warnings.filters]
    assert after == before


@pytest.mark.parametrize(
    'category, file, is_shown',
    [
        (UserWarning, '/home/me/my_hooks.py', True),
        (UserWarning, Path(mae_transfer.__file__).parent / 'hooks/speed.py', True),
        (UserWarning, LIBRARY / 'torch/cuda/__init__.py', True),
        (UserWarning, LIBRARY / 'torch/utils/data/dataloader.py', True),
        (UserWarning, LIBRARY / 'torch/optim/lr_scheduler.py', False),
        (RuntimeWarning, LIBRARY / 'numpy/core/numeric.py', False),
        (FutureWarning, LIBRARY / 'torch/cuda/__init__.py', False),
        (DeprecationWarning, '/home/me/my_hooks.py', False),
    ],
)
def test_warnings_that_a_user_can_act_on_are_shown(category, file, is_shown, logger, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(LIBRARY)
    MMLogger.get_instance('run', log_file=str(tmp_path / 'run.log'))
    with console():
        warnings.simplefilter('always')
        warnings.warn_explicit('look here', category, str(file), 3)
    assert logger() == ('warning: look here\n' if is_shown else '')
    assert f'{file}:3: {category.__name__}: look here' in (tmp_path / 'run.log').read_text()


def test_lines_are_wrapped_at_words_and_keep_what_belongs_together():
    text = f'12:34 {"word " * 30}'.rstrip() + f' a:{GLUE}1'
    lines = wrapped(text).split('\n')
    assert max(map(len, lines)) <= 100 and lines[1].startswith('      word') and lines[-1].endswith(' a: 1')
    assert ' '.join(line.strip() for line in lines) == text.replace(GLUE, ' ')
    assert wrapped('a\n  b') == 'a\n        b'
    assert wrapped(f'12:34 {"x" * 120}').split('\n') == ['12:34', f'      {"x" * 120}'], 'a path stays whole'


def test_every_call_in_python_has_it(logger):
    @python_call
    def shout(text: str, *, verbose: bool = False) -> str:
        of_module('mmengine.runner', f'print_log("{text}", "current")')
        return text

    assert shout('hidden') == 'hidden' and shout('shown', verbose=True) == 'shown'
    assert [line.split()[-1] for line in logger().splitlines()] == ['shown']
    for name in ('pretrain', 'finetune', 'test', 'load', 'predict', 'embed', 'export'):
        call = getattr(mae_transfer, name)
        assert inspect.signature(call).parameters['verbose'].default is False
        assert call.__wrapped__.__name__ == name
