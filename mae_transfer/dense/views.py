"""Test-time augmentation: average the predictions of several views (scales, mirror images) of each image."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile, Resize
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import TRANSFORMS
from mmengine.structures import PixelData
from torch import Tensor

from ..errors import UserError
from ..kinds import data_sets, is_kind
from ..registry import MODELS


@MODELS.register_module()
class AveragedViews(BaseTTAModel):
    """A segmentor that averages the class probabilities of several views of an image and predicts the most probable.

    MMSegmentation's ``postprocess_result`` mirrors the logits of each view back and resizes them to the image's size.
    The result is that of MMSegmentation's ``SegTTAModel``, but probabilities are summed view by view: the logits of one
    view take 150 x 4 bytes per pixel, 2.5 GB for an image of 2048 x 2048, and there are twelve views.

    Args:
        module: config of the segmentor, or the segmentor.
    """

    def test_step(self, data: dict[str, list]) -> list:
        """Predict a batch.

        Args:
            data: what ``TestTimeAug`` and ``pseudo_collate`` give: ``inputs`` and ``data_samples``, each a list of
                views; each view is a list of B images or samples.

        Returns:
            B samples: those of the first view, with ``pred_sem_seg`` (1, H, W) and ``probabilities`` (classes, H, W).
        """
        views = len(data['inputs'])
        samples: list[Any] = []
        sums: list[Tensor] = []
        for view in range(views):
            predicted = self.module.test_step({key: value[view] for key, value in data.items()})
            for i, sample in enumerate(predicted):
                logits = sample.seg_logits.data
                del sample.seg_logits
                # With a single class, MMSegmentation has already applied the sigmoid.
                probabilities = logits.softmax(dim=0) if len(logits) > 1 else logits
                if view == 0:
                    samples.append(sample)
                    sums.append(probabilities)
                else:
                    sums[i] += probabilities
        for sample, total in zip(samples, sums):
            mean = total.div_(views)
            if len(mean) > 1:
                label = mean.argmax(dim=0, keepdim=True)
            else:
                label = (mean > self.module.decode_head.threshold).to(mean)
            sample.set_data(dict(pred_sem_seg=PixelData(data=label), probabilities=PixelData(data=mean)))
        return samples

    def merge_preds(self, data_samples_list: list) -> Any:
        """Unused, because :meth:`test_step` merges; the base class requires it."""
        raise NotImplementedError


def average_views(cfg: Config) -> Config:
    """The config of a test that averages several views of each image, as the config's ``tta`` describes them.

    With ``tta = dict(scales=(.5, 1.), flip=True)``, each image is resized to .5 and 1 times the size that the test
    pipeline resizes it to (or its own size, if the pipeline does not), and at each scale seen unchanged and mirrored.

    Raises:
        UserError: a config without ``tta``, or with an invalid one.
    """
    tta = cfg.get('tta')
    if not tta:
        raise UserError(
            '--tta needs a config with tta=dict(scales=..., flip=...), as those for ADE20K have; detection is tested '
            'at one scale, as in its papers'
        )
    scales = tta.get('scales')
    scales = tuple(scales) if isinstance(scales, (list, tuple)) else (scales,)
    if not scales or not all(isinstance(scale, (int, float)) and scale > 0 for scale in scales):
        raise UserError(f'tta.scales are factors above zero, e.g. (.5,1.,1.5); found {tta.get("scales")}')
    settings = cfg.to_dict()
    for table in ('references', 'reference_values'):  # which name parts of the model by their old keys
        settings.pop(table, None)
    flip, scope = bool(tta.get('flip', False)), cfg.get('default_scope')
    for dataset in data_sets(settings['test_dataloader']['dataset']):
        assert isinstance(dataset, dict)
        dataset['pipeline'] = _pipeline_of_views(dataset['pipeline'], scales, flip, scope)
    settings['model'] = dict(type='mae_transfer.AveragedViews', module=settings['model'])
    return Config(settings, filename=cfg.filename)


def _pipeline_of_views(pipeline: list[dict], scales: tuple[float, ...], flip: bool, scope: str | None) -> list[dict]:
    """The pipeline with its resizing replaced by a ``TestTimeAug`` over all scales and, if ``flip``, mirror images.

    Annotations are loaded after it, so that they are neither resized nor mirrored.
    """

    def indices(kind: type) -> list[int]:
        return [index for index, step in enumerate(pipeline) if is_kind(step, TRANSFORMS, scope, kind)]

    if resizing := indices(Resize):
        resize = pipeline[resizing[0]]
        before, after = pipeline[: resizing[0]], pipeline[resizing[0] + 1 :]
    else:
        resize = dict(type='Resize', scale_factor=1.0, keep_ratio=True)
        loading = indices(LoadImageFromFile)[0]
        before, after = pipeline[: loading + 1], pipeline[loading + 1 :]
    annotations = [pipeline[index] for index in indices(LoadAnnotations)]
    before = [step for step in before if step not in annotations]
    after = [step for step in after if step not in annotations]

    resizes = [_multiply(resize, scale) for scale in scales]
    flips = [dict(type='RandomFlip', prob=float(mirrored)) for mirrored in range(1 + flip)]
    others = [[step] for step in (*annotations, *after)]
    return [*before, dict(type='TestTimeAug', transforms=[resizes, flips, *others])]


def _multiply(resize: dict, factor: float) -> dict:
    """A ``Resize`` to ``factor`` times the size."""
    if resize.get('scale') is None:
        return dict(resize, scale_factor=resize['scale_factor'] * factor)
    sides = resize['scale'] if isinstance(resize['scale'], (list, tuple)) else (resize['scale'],) * 2
    return dict(resize, scale=tuple(round(side * factor) for side in sides))
