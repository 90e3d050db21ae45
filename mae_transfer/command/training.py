"""What pretrain and finetune share: their options, and the lines at their end."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .parser import add_settings, typed_settings
from .processes import add_processes

if TYPE_CHECKING:
    from ..api.results import TestResult


def add_run(parser: argparse.ArgumentParser) -> None:
    """How a training runs."""
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint of OUT, or start, if it has none'
    )
    add_processes(parser)
    add_settings(parser)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of the command line, and what ``--resume`` sets."""
    from ..paths import user_path
    from ..runs.resuming import checkpoints_of_run

    settings: dict[str, Any] = dict(typed_settings(args.cfg_options))
    if args.resume and checkpoints_of_run(user_path(args.out, 'OUT')):
        settings.update(resume=True)
    return settings


def tell(result: TestResult) -> None:
    """Print what came of a run, in the main process."""
    from mmengine.dist import is_main_process

    from ..runs.console import wrapped

    if is_main_process():
        print(f'{wrapped(str(result))}\nconfig: {result.config}')
