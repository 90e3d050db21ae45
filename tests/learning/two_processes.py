"""What one of several processes measures while they pre-train together: run by test_two_processes.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from mae_transfer.compat.distributed import start_group
from mae_transfer.learning.hook import HISTORY
from tests.learning.test_hook import hook, runner_of


def main() -> None:
    folder, rank = Path(sys.argv[1]), int(os.environ['RANK'])
    start_group('pytorch')
    found = {}
    for name, hooks in (('measured', [hook(folder / 'labelled')]), ('plain', [])):
        runner = runner_of(folder / 'photos', folder / name, *hooks, epochs=2, launcher='pytorch')
        runner.train()
        found[name] = {key: value.clone() for key, value in runner.model.module.state_dict().items()}
        found[f'{name}_history'] = runner.message_hub.runtime_info.get(HISTORY, [])
    torch.save(found, folder / f'{rank}.pt')


if __name__ == '__main__':
    main()
