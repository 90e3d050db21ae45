"""docs/from_photos_to_detector.ipynb: executed from its first cell to its last, with shorter trainings."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.docs.documents import REPOSITORY

nbformat = pytest.importorskip('nbformat', reason='needs nbclient, of the extra tests')
NOTEBOOK = REPOSITORY / 'docs' / 'from_photos_to_detector.ipynb'


@pytest.fixture(scope='module')
def notebook():
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


def test_it_is_small_and_each_code_cell_is_explained(notebook):
    assert NOTEBOOK.stat().st_size < 100_000
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == 'markdown' and 'code' in kinds
    assert all(before == 'markdown' for before, kind in zip(kinds, kinds[1:]) if kind == 'code')
    assert not any(output.output_type == 'error' for cell in notebook.cells for output in cell.get('outputs', ()))


@pytest.mark.slow
def test_it_runs(notebook, tmp_path, monkeypatch):
    lengths = 'pretraining_epochs, detector_epochs = 6, 20'
    [cell] = [cell for cell in notebook.cells if lengths in cell.source]
    cell.source = cell.source.replace(lengths, 'pretraining_epochs, detector_epochs = 2, 1')
    client = pytest.importorskip('nbclient', reason='needs nbclient, of the extra tests')
    pytest.importorskip('ipykernel', reason='needs ipykernel, of the extra tests')
    monkeypatch.setenv('PYTHONPATH', str(REPOSITORY))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    executed = client.NotebookClient(
        notebook, timeout=600, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}
    ).execute()  # raises CellExecutionError
    outputs = [output for cell in executed.cells for output in cell.get('outputs', ())]
    assert not any(output.output_type == 'error' for output in outputs)
    shown = [output.data for output in outputs if output.output_type == 'execute_result']
    table = next(data['text/markdown'] for data in shown if 'text/markdown' in data)
    rows = re.findall(r'^\| (boxes|masks) \| ([\d.]+) \| ([\d.]+) \|$', table, re.MULTILINE)
    assert [row[0] for row in rows] == ['boxes', 'masks']
    assert all(0 <= float(figure) <= 100 for row in rows for figure in row[1:])
    pictures = [data for data in shown if {'image/jpeg', 'image/png'} & data.keys()]
    assert len(pictures) == 2
    printed = ''.join(output.text for output in outputs if output.output_type == 'stream' and output.name == 'stdout')
    assert re.search(r'^320 photos, 96 images with boxes$', printed, re.MULTILINE)
    assert 'reconstruction/masked_loss' in printed and re.search(r'\d+ objects in 12 images', printed)
    shutil.rmtree(tmp_path / 'work_dirs')
