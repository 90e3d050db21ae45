"""What the options of tools/train.py and tools/test.py set in a config."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import HOOKS, LOOPS, METRICS, OPTIM_WRAPPERS

from .classify.features import FeatureLoop
from .errors import UserError
from .evaluation import Accuracy
from .kinds import class_of, is_kind, takes
from .optim import AutocastOptimWrapper
from .outputs import output_folder
from .settings import Changes
from .vit.weights.checkpoint import find_checkpoint

AMP_DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16', 'off': 'float32'}
_IMAGENET: tuple[dict, dict] = (
    dict(type='mae_transfer.LabelledPhotos', split=None, classes='imagenet'),
    dict(type='Accuracy', topk=(1, 5)),
)
#: Other images of ImageNet's classes (MAE Table 13), by the names that ``--shift`` has for them: data set and
#: evaluator.
SHIFTS: dict[str, tuple[dict, dict]] = {
    **dict.fromkeys(('imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-v2'), _IMAGENET),
    'imagenet-c': (dict(type='mae_transfer.ImageNetC'), dict(type='CorruptionError')),
}


def set_amp(cfg: Config, amp: str) -> Changes:
    """Train in the precision that ``--amp`` names.

    Raises:
        UserError: the config's optimiser wrapper knows no precision.
    """
    if not is_kind(cfg.get('optim_wrapper'), OPTIM_WRAPPERS, cfg.get('default_scope'), AutocastOptimWrapper):
        found = (cfg.get('optim_wrapper') or {}).get('type')
        raise UserError(f"--amp needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'; the config has '{found}'")
    return [('optim_wrapper.dtype', AMP_DTYPES[amp])]


def set_checkpoint(cfg: Config, checkpoint: str) -> Changes:
    """Test a checkpoint: of the whole model, or of the ViT alone for a protocol without training (k-NN, fast probe).

    Args:
        checkpoint: file or work_dir; 'none' for a ViT of random weights.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    if not is_kind(cfg.test_cfg, LOOPS, cfg.get('default_scope'), FeatureLoop):
        return [('resume', False), ('load_from', str(find_checkpoint(checkpoint)))]
    return [('resume', False), ('pretrained', 'none' if checkpoint == 'none' else str(find_checkpoint(checkpoint)))]


def set_shift(cfg: Config, shift: str) -> Changes:
    """Test an ImageNet classifier on another set of its classes.

    Args:
        shift: SET=FOLDER; sets are :data:`SHIFTS`.

    Raises:
        UserError: an unknown set; a config of no classifier of ImageNet's 1000 classes.
    """
    name, equals, folder = shift.partition('=')
    if name not in SHIFTS or not equals or not folder.strip():
        raise UserError(
            f'--shift {shift}: give SET=FOLDER with one of {", ".join(SHIFTS)}, e.g. imagenet-a=data/imagenet-a'
        )
    if cfg.model.get('num_classes') != 1000:
        raise UserError(f'--shift needs a config with model.num_classes=1000; found {cfg.model.get("num_classes")}')
    dataset, evaluator = SHIFTS[name]
    own = cfg.test_dataloader.dataset
    kept = {
        key: own[key] for key in ('img_size', 'transform', 'bands', 'exif_orientation', 'corruptions') if key in own
    }
    return [('test_dataloader.dataset', {**dataset, 'data_root': folder, **kept}), ('test_evaluator', {**evaluator})]


def set_per_class(cfg: Config) -> Changes:
    """Print a table of the classes after a test.

    Raises:
        UserError: the config's evaluator has none, as in detection.
    """
    if not is_kind(cfg.test_evaluator, METRICS, cfg.get('default_scope'), Accuracy):
        raise UserError("--per-class needs test_evaluator.type='Accuracy', as the configs of classification have it")
    return [('test_evaluator.per_class', True)]


def set_show_dir(cfg: Config, folder: str) -> Changes:
    """Write every prediction and the truth as a picture into ``folder``.

    Raises:
        UserError: the config has no visualization hook, as in pre-training; the folder cannot be written to.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            '--show-dir needs a config with default_hooks.visualization; a pre-training draws its reconstructions '
            'itself'
        )
    folder = str(output_folder(folder, '--show-dir', create=False).absolute())
    changes = [('default_hooks.visualization.draw', True), ('default_hooks.visualization.interval', 1)]
    own = takes(class_of(hook, HOOKS, cfg.get('default_scope')), 'test_out_dir')
    return [*changes, ('default_hooks.visualization.test_out_dir' if own else 'visualizer.save_dir', folder)]
