"""Which processes have mmcv's ops, and their provider: a compiled mmcv if it loads, otherwise torchvision."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mae_transfer
from mae_transfer.compat import native_ops

REPOSITORY = Path(mae_transfer.__file__).parents[1]
by_torchvision = pytest.mark.skipif(native_ops.install() != 'torchvision', reason='mmcv is compiled here, or missing')


def run_python(folder, source, *path):
    script = folder / 'script.py'
    script.write_text(source)
    path = os.pathsep.join([*map(str, path), str(REPOSITORY), *filter(None, [os.environ.get('PYTHONPATH')])])
    done = subprocess.run(
        [sys.executable, '-W', 'always::RuntimeWarning', str(script)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': path},
    )
    assert done.returncode == 0, done.stderr
    return done


def mmcv_with_extension(folder, name, content):
    """Links to mmcv's files, plus a compiled extension."""
    real = Path(importlib.util.find_spec('mmcv').origin).parent
    (folder / 'mmcv').mkdir()
    for entry in real.iterdir():
        if not entry.name.startswith('_ext'):
            (folder / 'mmcv' / entry.name).symlink_to(entry)
    (folder / 'mmcv' / name).write_bytes(content)
    return folder


BROKEN = {
    'another_torch': ('_ext.py', b"raise ImportError('_ext.so: undefined symbol: _ZN3c1017RegisterOperatorsE')"),
    'cut_short': ('_ext' + importlib.machinery.EXTENSION_SUFFIXES[0], b'not a library'),
}


@pytest.mark.parametrize('name, content', BROKEN.values(), ids=BROKEN)
def test_a_compiled_mmcv_that_does_not_load_is_replaced_with_one_warning(tmp_path, name, content):
    done = run_python(
        tmp_path,
        """
from mae_transfer.compat import install, native_ops
install(); install()
assert native_ops.install() == 'torchvision'
import torch
from mmcv.ops import RoIAlign, nms
assert nms(torch.tensor([[0., 0., 4., 4.], [0., 0., 4., 5.]]), torch.tensor([.1, .2]), .5)[1].tolist() == [1]
""",
        mmcv_with_extension(tmp_path, name, content),
    )
    assert done.stderr.count('do not load with torch') == 1
    assert 'torchvision provides nms and roi_align' in done.stderr
    if name == '_ext.py':
        assert 'undefined symbol' in done.stderr


def test_a_compiled_mmcv_that_loads_is_used(tmp_path):
    done = run_python(
        tmp_path,
        """
from mae_transfer.compat import install, native_ops
install()
assert native_ops.install() == 'compiled'
import importlib.util
assert importlib.util.find_spec('mmcv._ext').origin.endswith('_ext.py')
from mmcv.utils import ext_loader
assert ext_loader.load_ext('_ext', ['nms']).nms() == 'compiled'
""",
        mmcv_with_extension(tmp_path, '_ext.py', b"def nms(): return 'compiled'"),
    )
    assert 'RuntimeWarning' not in done.stderr


def test_without_mmcv_nothing_is_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert native_ops.install() == 'none'
    assert 'mmcv._ext' not in sys.modules


WORKER = '''
import torch
from mae_transfer.compat import install
install()

class Boxes(torch.utils.data.Dataset):
    """Contains an op of mmcv, so that unpickling it in the worker imports mmcv.ops."""
    def __init__(self):
        from mmcv.ops import RoIAlign
        self.align = RoIAlign(2)
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return self.align(torch.ones(1, 1, 4, 4) * index, torch.tensor([[0., 0., 0., 4., 4.]]))

def rank(number, align):
    assert align(torch.ones(1, 1, 4, 4), torch.tensor([[0., 0., 0., 4., 4.]])).mean() == 1
'''


@by_torchvision
@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_workers_of_data_loaders_have_the_ops(tmp_path, start):
    """As in the tools, the script imports the package at its top."""
    run_python(
        tmp_path,
        WORKER
        + f"""
if __name__ == '__main__':
    loader = torch.utils.data.DataLoader(Boxes(), num_workers=1, multiprocessing_context={start!r})
    assert [batch.mean().item() for batch in loader] == [0, 1]
""",
    )


@pytest.mark.slow  # spawned as the workers above are
@by_torchvision
def test_spawned_ranks_have_the_ops(tmp_path):
    """The script itself does not import the package; unpickling the ranks' function does, before its arguments."""
    (tmp_path / 'work.py').write_text(WORKER)
    run_python(
        tmp_path,
        """
if __name__ == '__main__':
    import torch
    import work
    torch.multiprocessing.spawn(work.rank, (work.Boxes().align,), nprocs=1)
""",
        tmp_path,
    )
