"""Which file of a folder is the checkpoint: work_dirs of MMEngine, and the folders that other libraries write."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import CheckpointError, shorten

_SUFFIXES = ('.pth', '.pt', '.bin', '.safetensors', '.ckpt', '.npz', '.pkl')
#: Files of models of Hugging Face: whole, or the index of several.
_HUB_FILES = (
    *('model.safetensors', 'pytorch_model.bin'),
    *('model.safetensors.index.json', 'pytorch_model.bin.index.json'),
)


def find_checkpoint(path: str | Path) -> Path:
    """Find the checkpoint file that a path stands for.

    Args:
        path: a file; an MMEngine work_dir, in which the file ``last_checkpoint`` names the newest checkpoint (which is
            searched in the folder first, in case it was moved); a Hugging Face model folder; a folder of DeepSpeed,
            whose file ``latest`` names one of its steps; or a folder with ``last.ckpt``, as Lightning writes it.

    Raises:
        CheckpointError: there is no checkpoint, or it cannot be told which; what is there is named.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint file or work_dir '{path}'")
    pointer = path / 'last_checkpoint'
    if pointer.is_file():
        named = Path(pointer.read_text().strip())
        # The given folder comes first: if it was moved or copied, the stored path may be an outdated copy.
        for candidate in (path / named.name, named):
            if named.name and candidate.is_file():
                return candidate
        raise CheckpointError(f"'{pointer}' names '{named}', which is neither there nor in '{path}'")
    for name in (*_HUB_FILES, 'last.ckpt', 'checkpoints/last.ckpt'):
        if (path / name).is_file():
            return path / name
    if found := _of_deepspeed(path):
        return found
    raise CheckpointError(f"folder '{path}' has no file 'last_checkpoint': {_what_is_there(path)}")


def _of_deepspeed(folder: Path) -> Path | None:
    """The weights in a folder of DeepSpeed, or in that of one of its steps; None in any other folder.

    Raises:
        CheckpointError: they are in several files.
    """
    pointer, step = folder / 'latest', folder
    if pointer.is_file():
        step = folder / Path(pointer.read_text(errors='replace').strip()).name
        if not step.is_dir():
            raise CheckpointError(f"'{pointer}' names '{step.name}', which is not in '{folder}'")
    whole = sorted(path.name for path in step.glob('mp_rank_*_model_states.pt'))
    if len(whole) == 1:
        return step / whole[0]
    split = whole or sorted(path.name for path in step.glob('zero_pp_rank_*_model_states.pt'))
    if not split:
        return None
    raise CheckpointError(
        f"the weights in '{step}' are split over {len(split)} files of DeepSpeed ({shorten(split, 2)}): join them by "
        'the script zero_to_fp32.py beside them'
    )


def _what_is_there(folder: Path) -> str:
    """What to do with a folder in which no file is the checkpoint."""
    content = sorted(folder.iterdir())
    files = [path.name for path in content if path.is_file() and path.suffix in _SUFFIXES]
    if files:
        return f"name one of its files, e.g. '{files[-1]}'"
    if index := next((path.stem for path in content if re.fullmatch(r'.+\.ckpt.*\.index', path.name)), None):
        return f"it holds a checkpoint of TensorFlow ('{index}'): take the PyTorch weights"
    if any(path.name == 'saved_model.pb' for path in content):
        return 'it holds a SavedModel of TensorFlow: take the PyTorch weights'
    if any(path.suffix == '.distcp' for path in content):
        return (
            'it holds a distributed checkpoint (.distcp): join it by python -m '
            'torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE'
        )
    below = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.glob('*/*')
        if path.suffix in _SUFFIXES or path.name == 'last_checkpoint'
    )
    if below:
        return f"it holds no checkpoints; name one of those below it, e.g. '{below[-1]}'"
    names = [path.name + '/' * path.is_dir() for path in content]
    return f'it holds no checkpoints, but {shorten(names, 4)}' if names else 'it is empty'
