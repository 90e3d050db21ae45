"""Testing at several scales, and mirrored: one image seen in many ways, its predictions averaged."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData

from ..errors import UserError
from ..registry import MODELS


@MODELS.register_module()
class AveragedViews(BaseTTAModel):
    """A segmentor that averages its predictions of an image's views.

    Each view's logits come back mirrored as the image and at its own size (MMSegmentation's ``postprocess_result``);
    their softmax is averaged, and the likeliest class taken. As MMSegmentation's ``SegTTAModel``, but the views' logits
    are summed up as they come: one holds 150 x 4 bytes a pixel, 2.5 GB for an image of 2048 x 2048, and there are
    twelve.

    Args:
        module: config of the segmentor, or the segmentor.
    """

    def test_step(self, data: dict[str, list]) -> list:
        """Predict a batch.

        Args:
            data: what ``TestTimeAug`` and ``pseudo_collate`` give: ``inputs`` and ``data_samples``, each a list of
                views, each of these a list of B images or samples.

        Returns:
            B samples: those of the first view, with ``pred_sem_seg`` (1, H, W) and ``probabilities`` (classes, H, W).
        """
        number, samples, sums = len(data['inputs']), [], []
        for view in range(number):
            seen = self.module.test_step({key: value[view] for key, value in data.items()})
            for i, sample in enumerate(seen):
                logits = sample.seg_logits.data
                del sample.seg_logits
                # A single class's logits have been through the sigmoid.
                probabilities = logits.softmax(dim=0) if len(logits) > 1 else logits
                if view:
                    sums[i] += probabilities
                else:
                    samples.append(sample)
                    sums.append(probabilities)
        for sample, total in zip(samples, sums):
            mean = total.div_(number)
            label = (
                mean.argmax(dim=0, keepdim=True)
                if len(mean) > 1
                else (mean > self.module.decode_head.threshold).to(mean)
            )
            sample.set_data(dict(pred_sem_seg=PixelData(data=label), probabilities=PixelData(data=mean)))
        return samples

    def merge_preds(self, data_samples_list: list) -> Any:
        """Not used: :meth:`test_step` merges."""
        raise NotImplementedError


def average_views(cfg: Config) -> None:
    """Have the test run judge by several views of each image, in place: those of the config's ``tta``.

    ``tta = dict(scales=(.5, 1.), flip=True)``: each scale multiplies the size that the test pipeline resizes images to
    (the image's own, where it does not), and at each the image is seen once as it is and once mirrored.

    Raises:
        UserError: a config without ``tta``, or with an empty or impossible one.
    """
    tta = cfg.get('tta')
    if not tta:
        raise UserError(
            '--tta needs a config with tta=dict(scales=..., flip=...), as those of ADE20K have it; detection is tested '
            'at one scale, as in its papers'
        )
    scales = tta.get('scales')
    scales = tuple(scales) if isinstance(scales, (list, tuple)) else (scales,)
    if not scales or not all(isinstance(scale, (int, float)) and scale > 0 for scale in scales):
        raise UserError(f'tta.scales are factors above zero, e.g. (.5,1.,1.5); found {tta.get("scales")}')
    dataset = cfg.test_dataloader.dataset
    while 'pipeline' not in dataset and isinstance(dataset.get('dataset'), dict):
        dataset = dataset.dataset
    dataset.pipeline = _views(dataset.pipeline, scales, bool(tta.get('flip', False)))
    cfg.model = ConfigDict(type='mae_transfer.AveragedViews', module=cfg.model)


def _views(pipeline: list[dict], scales: tuple[float, ...], flip: bool) -> list[dict]:
    """The pipeline with its resizing at every scale and, if so, mirrored; annotations are loaded after both, as they
    are."""
    kinds = [step['type'].rpartition('.')[2] for step in pipeline]
    at = kinds.index('Resize') if 'Resize' in kinds else kinds.index('LoadImageFromFile') + 1
    resize = dict(pipeline[at]) if 'Resize' in kinds else dict(type='Resize', scale_factor=1.0, keep_ratio=True)
    annotations = [step for step, kind in zip(pipeline, kinds) if kind == 'LoadAnnotations']
    before = [step for step in pipeline[:at] if step not in annotations]
    after = [step for step in pipeline[at + ('Resize' in kinds) :] if step not in annotations]
    return before + [
        dict(
            type='TestTimeAug',
            transforms=[
                [_scaled(resize, scale) for scale in scales],
                [dict(type='RandomFlip', prob=float(mirrored)) for mirrored in range(1 + flip)],
                *([step] for step in annotations + after),
            ],
        )
    ]


def _scaled(resize: dict, factor: float) -> dict:
    if resize.get('scale') is None:
        return dict(resize, scale_factor=resize['scale_factor'] * factor)
    sides = resize['scale'] if isinstance(resize['scale'], (list, tuple)) else (resize['scale'],) * 2
    return dict(resize, scale=tuple(round(side * factor) for side in sides))
