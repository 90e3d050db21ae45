"""The rows of an ablation: found by name, scaled, and matched with the runs that exist already."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from pprint import pformat
from typing import NamedTuple

from mmengine.config import Config

from ..compat.package_configs import CONFIGS
from ..errors import UserError
from ..settings import change_settings, read_config
from .ablation_scale import scale_row

ABLATIONS = CONFIGS / 'ablations'
BASELINE = ABLATIONS / '_baseline.py'


class Row(NamedTuple):
    """One row of a table of the paper.

    Args:
        config: the config file of the row, at the paper's size.
        published: the config's ``published``: table, axis, row and the paper's numbers.
        scaled: the config of the pre-training that is run for the row.
        run: the name of that run; rows with the same scaled config share a run.
        is_baseline: whether the other rows are compared with it.
    """

    config: Path
    published: dict
    scaled: Config
    run: str
    is_baseline: bool


def find_rows(names: Sequence[str]) -> list[Path]:
    """The config files of rows, each once.

    Args:
        names: config files, glob patterns, or beginnings of names in configs/ablations (``table1``, ``table1a``,
            ``fig5``).

    Raises:
        UserError: a name that matches no config.
    """
    found: dict[Path, None] = {}
    for name in names:
        paths = [Path(name)] if Path(name).is_file() else [Path(path) for path in glob.glob(name)]
        if not paths:
            paths = [path for path in ABLATIONS.glob('*.py') if fnmatchcase(path.stem, f'{name}*')]
        paths = [path.resolve() for path in sorted(paths, key=_words_and_numbers) if not path.name.startswith('_')]
        if not paths:
            known = sorted({path.stem.split('_')[0] for path in ABLATIONS.glob('[!_]*.py')})
            raise UserError(
                f"no row '{name}': give a config file, a pattern, or the beginning of a name in configs/ablations: "
                f'{", ".join(known)}'
            )
        found.update(dict.fromkeys(paths))
    return list(found)


def _words_and_numbers(path: Path) -> list[tuple[int, int, str]]:
    """A sort key that puts row_4 before row_12."""
    words = path.stem.replace('_', ' _ ').split(' ')
    return [(0, int(word), '') if word.isdecimal() else (1, 0, word) for word in words]


def load_row(path: Path) -> Config:
    """The config of a row.

    Raises:
        UserError: the config does not say which row of which table it is.
    """
    cfg = read_config(path)
    missing = [key for key in ('table', 'axis', 'row') if key not in cfg.get('published', {})]
    if missing:
        raise UserError(
            f"{path} has no published['{missing[0]}']: the config of a row says which row it is, e.g. "
            "published = dict(table='Table 1a', axis='decoder depth (blocks)', row=4, finetune=84.9, linear=71.9)"
        )
    return cfg


def scaled_rows(
    paths: Sequence[Path], scale: Config, tokenizer: dict | None, options: Sequence[str], work_dir: Path
) -> list[Row]:
    """The rows of an ablation, each scaled and matched with its run.

    Args:
        paths: the rows' config files.
        scale: a pre-training of the machine's size, see :func:`~mae_transfer.experiments.ablation_scale.scale_row`.
        tokenizer: config of the tokenizer that replaces a row's DVAE.
        options: ``KEY=VALUE`` changes to the scaled configs.
        work_dir: folder of the ablation. A row uses the run in it that has its settings, under any name.

    Raises:
        UserError: a config that is not that of a row; a run with the row's name, but with other settings.
    """

    def scaled(row: Config) -> Config:
        return change_settings(scale_row(row, scale, tokenizer), options)

    baseline = scaled(read_config(BASELINE)).to_dict()
    runs = {
        path.parent.name: Config.fromfile(path).to_dict()
        for path in sorted(work_dir.glob('*/config.py'))
        if any(path.parent.glob('seed*'))
    }
    rows = []
    for path in paths:
        row = load_row(path)
        cfg = scaled(row)
        settings = cfg.to_dict()
        run = next((name for name, known in runs.items() if known == settings), path.stem)
        if runs.setdefault(run, settings) != settings:
            raise UserError(
                f'{work_dir / run} was run with other settings ({_first_difference(runs[run], settings)}): choose '
                'another --work-dir'
            )
        rows.append(Row(path, row.published.to_dict(), cfg, run, settings == baseline))
    return rows


def write_config(cfg: Config, file: Path) -> None:
    """Write a resolved config to a file that gives the same config when read, with its ``references``."""
    lines = [f'{key} = {pformat(value, width=140, sort_dicts=False)}\n' for key, value in cfg.to_dict().items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(''.join(lines), encoding='utf-8')


def _first_difference(old: dict, new: dict, key: str = '') -> str:
    """A setting that differs between two configs, with both values, for a message: first those at the top."""
    for name in sorted(dict.fromkeys((*old, *new)), key=lambda name: isinstance(old.get(name), dict)):
        one, other = old.get(name), new.get(name)
        if isinstance(one, dict) and isinstance(other, dict) and one != other:
            return _first_difference(one, other, f'{key}{name}.')
        if one != other:
            return f'{key}{name} was {one!r} and is {other!r}'
    return ''
