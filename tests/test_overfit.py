"""Whole chains learn four real images by heart, through tools/train.py and tools/test.py. Minutes each: pytest -m slow.

The images are no part of the project: MAE_TRANSFER_DATA names their folder, by default ../shared/data beside the
checkout.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MAE_TRANSFER_DATA', ROOT.parent / 'shared' / 'data')).absolute()


def run(*command: str) -> str:
    """Run a tool of the project on one core; its output."""
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'folder', 'metric', 'at_least'),
    [('overfit_coco', 'coco_mini', r'coco/bbox_mAP: (\S+)', 0.5), ('overfit_ade', 'ade_mini', r' mIoU: (\S+)', 70.0)],
    ids=('mask_rcnn', 'upernet'),
)
def test_four_real_images_are_learnt_by_heart(config, folder, metric, at_least, tmp_path):
    if not (DATA / folder).is_dir():
        pytest.skip(f'no {DATA / folder}: set MAE_TRANSFER_DATA to the folder that holds {folder}/')
    config, root = f'configs/small/{config}.py', f'data_root={DATA / folder}'
    run('tools/train.py', config, '--work-dir', str(tmp_path / 'run'), '--cfg-options', root)
    judged = run(
        'tools/test.py', config, str(tmp_path / 'run'), '--work-dir', str(tmp_path / 'test'), '--cfg-options', root
    )
    assert float(re.findall(metric, judged)[-1]) > at_least
