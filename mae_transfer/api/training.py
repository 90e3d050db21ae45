"""Pre-training, fine-tuning and evaluation by one call each, on the packaged configs and the runner of the tools."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import launch
from ..calls import python_call
from ..compat.package_configs import PREFIX
from ..compat.worker_processes import workers_end
from ..errors import UserError, in_python
from ..failures import disk_failure, user_line, worker_failure
from ..inference.run_config import config_of_run
from ..paths import user_path
from ..runner import StrictRunner
from ..runs.instances import own_instances
from ..runs.stop_signals import Stopped
from ..settings import Changes, change_settings, keyword_changes
from ..vit.sizes import resolve_size
from ..vit.weights.checkpoint import find_checkpoint, read_checkpoint
from .own_classes import photo_classes
from .own_data import Paths, count_photos, data_root, detection_data, evaluated_data, segmentation_data
from .recipes import finetuning_config, pretraining_config
from .results import TestResult, TrainingResult
from .small_sets import fitted, workers
from .weights_size import size_of_weights


@python_call
def pretrain(
    data: Paths,
    out: str | Path,
    arch: str | None = None,
    *,
    method: str = 'mae',
    recipe: str | None = None,
    launcher: str = 'none',
    verbose: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> TrainingResult:
    """Pre-train a ViT on photos without labels.

    It stands on the packaged config ``mae_pretrain_vitb`` (``vitl`` and ``vith`` for 'large' and 'huge'), MAE's recipe
    for ImageNet-1k: 1600 epochs at a batch of 4096. What is not set is fitted to few photos, short runs and few cores,
    each with a line in the log (:func:`~mae_transfer.api.small_sets.fitted`): a total batch of at most a quarter of the
    photos, with the learning rate that follows, a warm-up of at most a tenth of the run, a worker for each core.

    Without a GPU take the recipe 'small' (``configs/small/mae_pretrain.py``): a ViT of 192 x 6 and a narrow decoder on
    160 pixels.

    Args:
        data: a folder of photos, searched at any depth, a list file, shards, or several of these: ``data_root``.
        out: the work_dir, for the log, checkpoints and pictures.
        arch: 'base', 'large' or 'huge'; 'tiny', 'small' or a size such as '192x5x3' (width x depth x heads), with the
            recipe of 'base'; None for that of the recipe, 'base' in the first.
        method: 'mae'; 'mocov3' (``mocov3_pretrain_vit*``); 'beit' (``beit_pretrain_vit*``, which needs ``tokenizer``).
        recipe: 'paper' or, of 'mae', 'small'; None for the first.
        launcher: how the processes were started, for a script under torchrun or srun: 'pytorch' or 'slurm'.
        verbose: whether all of the log is shown (:mod:`mae_transfer.runs.console`).
        cfg_options: other settings, by dotted keys: ``{'model.decoder.depth': 1}``.
        settings: the same as keyword arguments, with ``__`` for dots: ``max_epochs=100, image_size=160,
            train_dataloader__batch_size=32``.

    Returns:
        The run, with the loss on held-out photos.

    Raises:
        UserError: a mistake in the arguments or the data, in one line, before a step is trained where it can be known.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written.
    """
    user = _user_changes(cfg_options, settings)
    with _one_call():
        name = pretraining_config(method, recipe, arch)
        changes = [('data_root', data_root(data)), *_arch(arch), *user]
        cfg = launch.configure(f'{PREFIX}{name}.py', changes, _work_dir(out), launcher)
        return _train(cfg, dict(user), count_photos(cfg), launcher, name)


@python_call
def finetune(
    task: str,
    data: Paths,
    weights: str | os.PathLike,
    out: str | Path,
    *,
    arch: str | None = None,
    recipe: str | None = None,
    launcher: str = 'none',
    verbose: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a task on labelled photos, from the weights of a ViT.

    What it stands on, with ``vitl`` and ``vith`` for those sizes where they have a config:

    - 'detect': ``coco_maskrcnn_vitb`` (recipe 'maskrcnn'), ``coco_vitdet_vitb`` ('vitdet'),
      ``coco_vitdet_cascade_vitb`` ('cascade'), ``small/coco_maskrcnn`` ('small'): boxes and masks, from annotations in
      COCO's format;
    - 'segment': ``ade20k_upernet_vitb`` ('upernet'), ``ade20k_upernet_vitb_640`` ('upernet_640'),
      ``small/ade20k_upernet`` ('small'): from label maps;
    - 'classify': ``in1k_finetune_vitb`` ('finetune'), ``in1k_linprobe_vitb`` ('linprobe'), and, without training,
      ``in1k_fastprobe_vitb`` ('fastprobe') and ``in1k_knn_vitb`` ('knn'): from a folder for each class.

    What is not set is fitted to few images, short runs and few cores, each with a line in the log
    (:func:`~mae_transfer.api.small_sets.fitted`). Classes are read from the data unless ``classes`` is given: the
    categories of the training's annotation file; ``objectInfo*.txt`` or ``classes.txt`` beside label maps; class
    folders.

    Args:
        task: 'detect', 'segment' or 'classify'.
        data: the folder: COCO's, Roboflow's or a like layout (:mod:`~mae_transfer.api.own_layouts`); ADE20K's or a like
            layout; ``train/`` and ``val/`` with class folders.
        weights: work_dir or file of a pre-training, official MAE, timm, ... weights; 'none' for random ones. Of a
            detector or another trained model the ViT alone is taken. For a ViT of another kind set ``init``.
        out: the work_dir, for the log, checkpoints and pictures.
        arch: the size of the ViT; None to read it from the weights.
        recipe: see above; None for the first of the task.
        launcher: how the processes were started, for a script under torchrun or srun: 'pytorch' or 'slurm'.
        verbose: whether all of the log is shown (:mod:`mae_transfer.runs.console`).
        cfg_options: other settings, by dotted keys: ``{'model.backbone.drop_path_rate': 0.2}``.
        settings: the same as keyword arguments, with ``__`` for dots: ``max_epochs=50, image_size=512, patience=5``.

    Returns:
        The run, with its last evaluation, or the best where ``patience`` keeps the best checkpoint.

    Raises:
        UserError: a mistake in the arguments or the data, in one line, before a step is trained where it can be known.
        KeyboardInterrupt: Ctrl-C, after a checkpoint was written.
    """
    user = _user_changes(cfg_options, settings)
    given = dict(user)
    with _one_call():
        size = None if arch is not None or str(weights) == 'none' else size_of_weights(weights)
        chosen = arch or (size.arch if size else None)
        name = finetuning_config(task, recipe, chosen)
        start = 'none' if str(weights) == 'none' else os.fspath(user_path(weights, 'weights'))
        changes: Changes = [('data_root', data_root(data)), ('pretrained', start), *_arch(chosen)]
        if task == 'classify' and size and chosen and 'init' not in given:
            if size.patch_size != resolve_size(chosen).patch_size:
                changes.append(('model.vit.patch_size', size.patch_size))
        images = None
        if task == 'detect':
            images = detection_data(data, given, changes)
        elif task == 'segment':
            segmentation_data(data, given, changes)
        cfg = launch.configure(f'{PREFIX}{name}.py', [*changes, *user], _work_dir(out), launcher)
        if task == 'classify' and cfg.get('train_dataloader') is None:
            return _evaluate(cfg, start, given, TrainingResult, name)
        if task == 'classify':
            if 'model.num_classes' not in given:
                cfg = change_settings(cfg, [('model.num_classes', len(photo_classes(cfg)))])
            images = count_photos(cfg)
        return _train(cfg, given, images, launcher, name)


@python_call
def test(
    run: str | os.PathLike,
    *,
    data: Paths | None = None,
    out: str | Path | None = None,
    launcher: str = 'none',
    verbose: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> TestResult:
    """Evaluate a trained model, by the config of its run.

    Args:
        run: the work_dir of a training, of which the last checkpoint is taken; a checkpoint file with its config beside
            or inside; or what :func:`finetune` gave back, of which ``checkpoint`` is taken, as everywhere.
        data: other data than the run's, in any layout that :func:`finetune` takes; the part 'val' of it is evaluated.
        out: the folder for the log; by default ``test/`` beside the checkpoint.
        launcher, verbose, cfg_options, settings: as in :func:`finetune`.

    Raises:
        UserError: a mistake in the arguments or the data, in one line.
    """
    user = _user_changes(cfg_options, settings)
    with _one_call():
        checkpoint = find_checkpoint(user_path(run, 'run'))
        cfg = change_settings(
            config_of_run(checkpoint, read_checkpoint(checkpoint)), [('load_from', None), ('resume', False)]
        )
        changes = [] if data is None else [('data_root', data_root(data)), *evaluated_data(cfg, data)]
        cfg = change_settings(cfg, [*changes, *user])
        folder = checkpoint.parent / 'test' if out is None else user_path(out, 'out')
        cfg = launch.with_work_dir(cfg, str(folder), folder, launcher)
        name = Path(cfg.filename or checkpoint).stem
        return _evaluate(cfg, str(checkpoint), dict(user), TestResult, name)


# The run --------------------------------------------------------------------------------------------------------------


def _train(cfg: Config, given: Mapping[str, Any], images: int | None, launcher: str, name: str) -> TrainingResult:
    changes, notes = fitted(cfg, given, images, launch.world_size(launcher))
    runner = launch.train(change_settings(cfg, changes), notes=notes)
    info = runner.message_hub.runtime_info
    checkpoint = info.get('best_ckpt') or info.get('last_ckpt')
    return TrainingResult(_metrics_of(runner), *_places(runner), Path(checkpoint) if checkpoint else None, name)


def _evaluate(cfg: Config, checkpoint: str, given: Mapping[str, Any], kind: type[Any], name: str) -> Any:
    changes, _ = workers(cfg, given)
    runner, metrics = launch.evaluate(change_settings(cfg, changes), checkpoint)
    path = None if checkpoint == 'none' else find_checkpoint(checkpoint)
    return kind(_figures(metrics), *_places(runner), path, name)


def _metrics_of(runner: StrictRunner) -> dict[str, float]:
    """The last evaluation of a training; where the best checkpoint is kept, the evaluation of that."""
    # The message hub has the values of all evaluations; time is not one of their results.
    scalars = {
        name.removeprefix('val/'): buffer.data[0]
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('val/') and name not in ('val/time', 'val/data_time', 'val/learning/seconds')
    }
    best, place = runner.message_hub.runtime_info.get('best_score'), -1
    indicator = (runner.cfg.default_hooks.get('checkpoint') or {}).get('save_best')
    if best is not None and indicator in scalars:
        values = list(scalars[indicator])
        place = values.index(best) if best in values else -1
    return {name: float(values[place]) for name, values in scalars.items() if len(values)}


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if isinstance(value, Real)}


def _places(runner: StrictRunner) -> tuple[Path, Path]:
    """The work_dir of a run, and the config that it wrote there."""
    folder, name = Path(runner.work_dir), runner.cfg.filename or f'{runner.timestamp}.py'  # as Runner.dump_config
    return folder, folder / Path(name).name


def _arch(arch: str | None) -> Changes:
    return [] if arch is None else [('arch', arch)]


def _work_dir(out: str | Path) -> str:
    return os.fspath(user_path(out, 'out'))


def _user_changes(cfg_options: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Changes:
    return [(key, _plain(value)) for key, value in keyword_changes(cfg_options, settings)]


def _plain(value: Any) -> Any:
    """A setting without ``Path``, which a config cannot be written with."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(child) for key, child in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


@contextmanager
def _one_call() -> Iterator[None]:
    """Errors of a run as calls in Python raise them; nothing of the run is left behind in the process."""
    try:
        with own_instances(), workers_end():  # here, because the search below would wait for each worker
            yield
    except Stopped as stopped:
        if stopped.exit_code != 128 + signal.SIGINT:
            raise
        traceback.clear_frames(stopped.__traceback__)
        raise KeyboardInterrupt(in_python(str(stopped))) from None
    except Exception as error:
        line = user_line(error) or worker_failure(error) or disk_failure(error)
        if line is None:
            raise
        # An error that is kept, as notebooks do, would keep the run's model and memory, too.
        traceback.clear_frames(error.__traceback__)
        raise UserError(in_python(line)) from None
    finally:
        gc.collect()  # parts of a run refer to each other, and would keep its memory
