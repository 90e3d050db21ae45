"""Checkpoint files: plain data is read, code is never run, and a damaged or missing file is a one-line error."""

from __future__ import annotations

import argparse
import io
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save

from mae_transfer.vit.weights.checkpoint import (
    CheckpointError,
    find_checkpoint,
    load_vit,
    read_checkpoint,
    read_weights,
)
from mae_transfer.vit.weights.layouts import from_canonical
from tests.pretraining.test_mae import small_mae
from tests.vit.weights.test_checkpoint import copy_of, randomize, small_vit, unchanged


def test_official_file_with_namespace(tmp_path):
    model = randomize(small_mae())
    weights = read_weights(model.state_dict())
    torch.save(
        dict(
            model=from_canonical(weights.encoder, weights.decoder, 'official'),
            optimizer=dict(state={}),
            epoch=799,
            scaler=dict(scale=65536.0),
            args=argparse.Namespace(lr=1.5e-4, betas=(0.9, 0.95), output_dir=None),
        ),
        tmp_path / 'checkpoint-799.pth',
    )
    vit = small_vit()
    report = load_vit(vit, tmp_path / 'checkpoint-799.pth')
    assert unchanged(vit, model.vit.state_dict()) and report.layout == 'official'
    assert read_checkpoint(tmp_path / 'checkpoint-799.pth')['args'].lr == 1.5e-4


def test_plain_records_are_read(tmp_path):
    history = HistoryBuffer([0.5, 0.25], [1, 2])
    record = dict(
        history=history,
        array=np.arange(6, dtype=np.int32).reshape(2, 3),
        scalar=np.float32(0.5),
        flag=np.bool_(True),
        names=np.array(['a', 'bc']),
        text='x',
        nested=[(1, None), {2.5}],
    )
    torch.save(record, tmp_path / 'record.pth')
    read = read_checkpoint(tmp_path / 'record.pth')
    assert read['history'].current() == 0.25 and read['history'].statistics('mean', 2) == history.mean(2)
    assert np.array_equal(read['array'], record['array']) and read['names'].tolist() == ['a', 'bc']
    assert all(read[key] == record[key] for key in ('scalar', 'flag', 'text', 'nested'))


class Calls:
    """Calls a function when it is fully unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def malicious(marker) -> dict[str, Calls]:
    """Objects that would create the file ``marker`` if they were fully unpickled."""
    return dict(
        open=Calls(open, str(marker), 'w'),
        system=Calls(os.system, f'touch {marker}'),
        eval=Calls(eval, f'open({str(marker)!r}, "w")'),
        tensor_method=Calls(getattr, np.ndarray, 'tofile'),
    )


@pytest.mark.parametrize('format', ['zip', 'legacy', 'pickle', 'protocol 4', 'suffix'])
@pytest.mark.parametrize('how', ['open', 'system', 'eval', 'tensor_method'])
def test_malicious_files_are_refused(how, format, tmp_path):
    marker, path = tmp_path / 'marker', tmp_path / 'evil.pth'
    state = dict(randomize(small_vit()).state_dict(), evil=malicious(marker)[how])
    if format == 'pickle':
        path.write_bytes(pickle.dumps(dict(evil=state['evil']), protocol=2))
    elif format == 'suffix':
        path = path.with_suffix('.bin')
        torch.save(state, path)
    else:
        protocol = 4 if format == 'protocol 4' else 2
        torch.save(state, path, _use_new_zipfile_serialization=format != 'legacy', pickle_protocol=protocol)
    vit = small_vit()
    before = copy_of(vit)
    with pytest.raises(CheckpointError, match='refused.*would run'):
        load_vit(vit, path)
    assert not marker.exists() and unchanged(vit, before)


def complete_file(suffix: str) -> bytes:
    state = {name: value.contiguous() for name, value in small_vit().state_dict().items()}
    buffer = io.BytesIO()
    if suffix == '.safetensors':
        return save(state)
    torch.save(state, buffer, _use_new_zipfile_serialization=suffix != '.pt')
    return buffer.getvalue()


@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.safetensors'])
@pytest.mark.parametrize('share', [0.0, 0.00005, 0.001, 0.02, 0.5, 0.9, 0.99999])
def test_truncated_files_are_refused(suffix, share, tmp_path):
    data = complete_file(suffix)
    path = tmp_path / f'cut{suffix}'
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match='cut short') as error:
        load_vit(small_vit(), path)
    assert '\n' not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    'content', [b'<!DOCTYPE html><html>not found</html>', b'version https://git-lfs.github.com/spec/v1\n', b'\x00' * 64]
)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_files_that_are_no_checkpoints_are_refused(content, suffix, tmp_path):
    path = tmp_path / f'other{suffix}'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='no checkpoint'):
        read_checkpoint(path)


def test_lists_and_missing_files_are_refused(tmp_path):
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='no checkpoint file'):
        read_checkpoint(tmp_path / 'none.pth')


def test_the_newest_checkpoint_of_a_work_dir(tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    for folder in (old, new):
        folder.mkdir()
    (new / 'epoch_2.pth').write_bytes(b'2')
    pointer = new / 'last_checkpoint'
    pointer.write_text(str(new / 'epoch_2.pth'))
    assert find_checkpoint(new) == new / 'epoch_2.pth'
    assert find_checkpoint(new / 'epoch_2.pth') == new / 'epoch_2.pth'
    pointer.write_text(str(old / 'epoch_2.pth') + '\n')  # as after moving or copying the folder
    assert find_checkpoint(str(new)) == new / 'epoch_2.pth'
    (old / 'epoch_2.pth').write_bytes(b'1')
    assert find_checkpoint(new) == new / 'epoch_2.pth'
    pointer.write_text(str(old / 'epoch_3.pth'))
    with pytest.raises(CheckpointError, match="names '.*epoch_3.pth', which is neither there nor in"):
        find_checkpoint(new)
    pointer.write_text('')
    with pytest.raises(CheckpointError, match='neither'):
        find_checkpoint(new)
    pointer.unlink()
    with pytest.raises(CheckpointError, match="no file 'last_checkpoint': name one of its files, e.g. 'epoch_2.pth'"):
        find_checkpoint(new)
    with pytest.raises(CheckpointError, match='no checkpoint file or work_dir'):
        find_checkpoint(tmp_path / 'nowhere')


def test_a_checkpoint_outside_of_its_work_dir(tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'epoch_1.pth').write_bytes(b'1')
    (tmp_path / 'work' / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    assert find_checkpoint(tmp_path / 'work') == tmp_path / 'epoch_1.pth'
