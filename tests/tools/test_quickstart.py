"""tools/quickstart.py: its command line, and how it begins."""

from __future__ import annotations

import subprocess
import sys

from tests.tools.commands import REPOSITORY

SCRIPT = REPOSITORY / 'tools' / 'quickstart.py'


def python(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


def test_progress_begins_before_pytorch_is_imported():
    code = (
        f'import runpy, sys; sys.argv = ["quickstart.py", "--help"]\n'
        f'try: runpy.run_path({str(SCRIPT)!r}, run_name="__main__")\n'
        'except SystemExit: print(sorted({"torch", "mmcv", "mmdet", "cv2"} & set(sys.modules)))'
    )
    ended = python('-c', code, env={'PYTHONPATH': str(REPOSITORY)})
    assert ended.returncode == 0 and '--pretrain-only-here' in ended.stdout, ended.stderr
    assert ended.stdout.splitlines()[-1] == '[]'


def test_a_work_dir_that_cannot_be_created_is_reported_in_one_line(tmp_path):
    (tmp_path / 'file').touch()
    ended = python(SCRIPT, '--work-dir', tmp_path / 'file')
    assert ended.returncode == 2 and not ended.stdout
    file = tmp_path / 'file'
    assert ended.stderr == f"error: --work-dir: the folder '{file}' cannot be created: '{file}' is a file\n"


def test_the_first_step_is_printed_and_run(tmp_path):
    # A folder of scenes with other settings: the first step refuses it and ends the quickstart.
    (tmp_path / 'work' / 'scenes').mkdir(parents=True)
    (tmp_path / 'work' / 'scenes' / 'scenes.json').write_text('{}')
    ended = python(SCRIPT, '--work-dir', tmp_path / 'work', cwd=REPOSITORY)
    assert ended.returncode == 2 and '[1/4] Generate scenes' in ended.stdout, ended.stdout + ended.stderr
    assert f'    $ tools/python -m mae_transfer.data.scenes {tmp_path}/work/scenes\n' in ended.stdout
    assert f"error: 'scenes' ended with exit code 2; the end of {tmp_path}/work/logs/01.log:" in ended.stderr
