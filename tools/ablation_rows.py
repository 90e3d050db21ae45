"""The rows that tools/ablate.py runs: found by name, and scaled to what the machine can do."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import NamedTuple

from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.options import change_setting
from mae_transfer.vit.sizes import Size, resolve_size

ABLATIONS = Path(__file__).resolve().parent.parent / 'configs' / 'ablations'
#: Settings of a row's training photos that are the scale's, not the row's.
OF_THE_SCALE = ('type', 'data_root', 'split', 'img_size', 'hold_out', 'mode')
PATCH_LENGTH, ENCODER_WIDTH, HEAD_WIDTH, BASELINE_EPOCHS = 16 * 16 * 3, 1024, 32, 800


class Row(NamedTuple):
    """One row of a table of the paper's.

    Args:
        config: file that describes it at the paper's size.
        published: its dictionary ``published``: table, axis, row and the paper's numbers.
        scaled: the pre-training that is run for it.
        run: name of that run; rows whose scaled configs are the same share one.
        is_baseline: whether it is what the other rows depart from.
    """

    config: Path
    published: dict
    scaled: Config
    run: str
    is_baseline: bool


def find_rows(names: Sequence[str]) -> list[Path]:
    """The configs that names mean: files, patterns, or how names in configs/ablations begin (``table1``, ``table1a``,
    ``fig5``).

    Raises:
        UserError: a name that means nothing.
    """
    found: dict[Path, None] = {}
    for name in names:
        paths = [name] if Path(name).is_file() else sorted(glob.glob(name), key=_natural)
        paths = paths or sorted(ABLATIONS.glob(f'{name}*.py'), key=_natural)
        paths = [Path(path).resolve() for path in paths if not Path(path).name.startswith('_')]
        if not paths:
            known = sorted({path.stem.split('_')[0] for path in ABLATIONS.glob('[!_]*.py')})
            raise UserError(
                f"no row '{name}': give a config, a pattern, or how a name in configs/ablations begins, e.g. "
                f'{", ".join(known)}'
            )
        found.update(dict.fromkeys(paths))
    return list(found)


def _natural(path: str | Path) -> list:
    """Sort by a name's words and numbers: 4 before 12."""
    return [int(word) if word.isdigit() else word for word in Path(path).stem.replace('_', ' _ ').split(' ')]


def load_row(path: Path) -> Config:
    """The config of a row.

    Raises:
        UserError: it does not say what it stands for.
    """
    cfg = Config.fromfile(path)
    missing = [key for key in ('table', 'axis', 'row') if key not in cfg.get('published', {})]
    if missing:
        raise UserError(
            f"{path} has no published['{missing[0]}']: a row says where it stands, e.g. published = dict(table='Table "
            "1a', "
            "axis='decoder depth (blocks)', row=4, finetune=84.9, linear=71.9)"
        )
    return cfg


def make_scale(
    cfg: Config,
    arch: str | dict | None = None,
    img_size: int | None = None,
    patch_size: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    base_lr: float | None = None,
    data: str | None = None,
) -> Config:
    """A pre-training's config with other sizes, where they are given; the warm-up keeps its share of the epochs.

    Args:
        cfg: e.g. configs/small/mae_pretrain_tin20.py; stays as it is.
    """
    cfg = Config(cfg.to_dict())
    if data is not None:
        cfg = change_setting(cfg, f'data_root={data}')
    vit = cfg.model.vit
    vit.arch = arch or vit.arch
    vit.img_size = img_size or vit.img_size
    vit.patch_size = patch_size or vit.get('patch_size') or resolve_size(vit.arch).patch_size
    if epochs:
        schedule = cfg.param_scheduler[0]
        schedule.warmup = schedule.warmup * epochs / schedule.end
        set_epochs(cfg, epochs)
    if batch:
        cfg.total_batch_size = cfg.train_dataloader.batch_size = batch
    cfg.base_lr = base_lr or cfg.base_lr
    return cfg


def set_epochs(cfg: Config, epochs: int) -> None:
    """Let a pre-training last ``epochs``; the warm-up stays as long as it is."""
    cfg.param_scheduler[0].end = cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, epochs)


def scale_row(row: Config, scale: Config, tokenizer: dict | None = None) -> Config:
    """What a row is at another scale.

    From ``scale``: ViT, image and patch size, batch, learning rate, epochs, precision, data, loaders, hooks. From
    ``row``: all else that makes the model (masking, target, the decoder's depth, mask tokens in the encoder, what the
    loss counts) and the augmentation. Scaled, because it has to fit: the decoder's width, by the ViT's width over
    ViT-L's 1024, with heads of about 32 channels; the principal components, by the length of a patch over 768, the
    paper's; the epochs, by the row's over 800, the baseline's, under a warm-up of the same length.

    Args:
        row: a pre-training of the paper's size.
        scale: a pre-training of the machine's size, see :func:`make_scale`.
        tokenizer: config of the tokenizer that stands for a row's DVAE.

    Returns:
        A config for tools/train.py, without ``published``.
    """
    cfg = Config(scale.to_dict())
    set_epochs(cfg, max(1, round(cfg.train_cfg.max_epochs * row.train_cfg.max_epochs / BASELINE_EPOCHS)))
    vit = cfg.model.vit
    model = {**row.model.to_dict(), 'vit': vit.to_dict(), 'data_preprocessor': scale.model.data_preprocessor.to_dict()}
    model['decoder'].update(scale_decoder(model['decoder']['embed_dim'], resolve_size(vit.arch)))
    target = model['target']
    if 'components' in target:
        length = vit.patch_size**2 * vit.get('in_channels', 3)
        target['components'] = max(1, round(target['components'] * length / PATCH_LENGTH))
    if target.get('tokenizer', {}).get('type') == 'DVAE':
        target['tokenizer'] = dict(tokenizer or target['tokenizer'])
    kinds = {hook['type'] for hook in cfg.custom_hooks}
    settings = cfg.to_dict()
    settings['model'] = model
    settings['train_dataloader']['dataset'].update(
        {key: value for key, value in row.train_dataloader.dataset.to_dict().items() if key not in OF_THE_SCALE}
    )
    # A target may need a hook that the scale's list does not have.
    settings['custom_hooks'] += [hook.to_dict() for hook in row.custom_hooks if hook['type'] not in kinds]
    return Config(settings)


def scale_decoder(width: int, size: Size) -> dict[str, int]:
    """Width and heads of a decoder, ``width`` wide beside ViT-L, beside a ViT of another size.

    The width is a multiple of four, as the position table needs; heads have about 32 channels each, as the paper's at
    512.
    """
    width = max(4, round(width * size.embed_dim / ENCODER_WIDTH / 4) * 4)
    heads = max(1, round(width / HEAD_WIDTH))
    while width % heads:
        heads -= 1
    return dict(embed_dim=width, num_heads=heads)


def scaled_rows(
    paths: Sequence[Path], scale: Config, tokenizer: dict | None, options: Sequence[str], work_dir: Path
) -> list[Row]:
    """The rows of configs at a scale.

    Args:
        options: changes of the scaled configs, as of ``--cfg-options``.
        work_dir: of the ablation; a run in it that has a row's settings is the row's, whatever it is called.

    Raises:
        UserError: a row that is none; a run of the row's name in the work_dir that has other settings.
    """

    def scaled(path: Path) -> Config:
        cfg = scale_row(Config.fromfile(path), scale, tokenizer)
        for option in options:
            cfg = change_setting(cfg, option)
        return cfg

    baseline = scaled(ABLATIONS / '_baseline.py').to_dict()
    runs = {
        path.parent.name: Config.fromfile(path).to_dict()
        for path in sorted(work_dir.glob('*/config.py'))
        if any(path.parent.glob('seed*'))
    }
    rows = []
    for path in paths:
        published, cfg = load_row(path).published.to_dict(), scaled(path)
        settings = cfg.to_dict()
        run = next((name for name, known in runs.items() if known == settings), path.stem)
        if runs.setdefault(run, settings) != settings:
            raise UserError(
                f'{work_dir / run} was run with other settings ({_difference(runs[run], settings)}): choose another '
                '--work-dir'
            )
        rows.append(Row(path, published, cfg, run, settings == baseline))
    return rows


def write_config(cfg: Config, file: Path) -> None:
    """Write a config for tools/train.py, one that reads back as it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        ''.join(f'{key} = {pformat(value, width=140, sort_dicts=False)}\n' for key, value in cfg.to_dict().items())
    )


def _difference(old: dict, new: dict, key: str = '') -> str:
    """The first setting in which two configs differ, in words."""
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if isinstance(one, dict) and isinstance(other, dict) and one != other:
            return _difference(one, other, f'{key}{name}.')
        if one != other:
            return f'{key}{name} was {one!r} and is {other!r}'
    return ''
