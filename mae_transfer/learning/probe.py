"""k-NN and linear accuracy of a frozen ViT on labelled images, while it is pre-trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from mmengine.runner import Runner

from ..classify.fast_probe import FastProbeLoop
from ..classify.features import extract_features
from ..classify.knn import KNNLoop
from ..data.files.same_values import check_same_values
from ..errors import UserError, is_whole
from ..kinds import class_of, takes
from .frozen_vit import FrozenViT

#: The grid of the linear classifier: a part of configs/_base_/in1k_fastprobe.py, and fewer epochs, because it is
#: trained again at each evaluation.
LRS, WEIGHT_DECAYS, EPOCHS = (0.01, 0.03, 0.1, 0.3, 1.0), (0.0,), 30
_KIND = 'mae_transfer.LabelledPhotos'
_FORMS = (
    'a folder with train/<class> and val/<class>, settings of LabelledPhotos such as '
    "dict(data_root='FOLDER', per_class=100), or a list of two of these, to learn from and to evaluate on"
)


class Probe:
    """Labelled images, and the loops of classification that evaluate frozen features on them.

    Args:
        runner: MMEngine's runner; its validation gives batch size and workers.
        data: see :func:`probe_sets`.
        images: ``img_size``, ``bands`` and ``exif_orientation`` of the pre-training.
        k: neighbours of k-NN.

    Attributes:
        count: images that the accuracies are of.

    Raises:
        UserError: data of another form, that do not exist or have no classes; more neighbours than images; what
            ``FeatureLoop`` refuses.
    """

    def __init__(self, runner: Runner, data: Any, images: Mapping[str, Any], k: int) -> None:
        if not is_whole(k, 1):
            raise UserError(f'default_hooks.learning.k is a number of neighbours, 1 or more; found {k!r}')
        train, val = (
            dict(
                dataset=settings,
                batch_size=runner.val_dataloader.batch_size,
                num_workers=runner.val_dataloader.num_workers,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='mae_transfer.collate_labelled'),
            )
            for settings in probe_sets(data, images, runner.cfg.get('default_scope'))
        )
        train = runner.build_dataloader(train, seed=runner.seed)
        if (count := len(train.dataset)) < k:
            raise UserError(
                f'k-NN takes the {k} nearest of the training images of probe_data, and there are {count}: give more, '
                f'or set default_hooks.learning.k={count}'
            )
        self.knn = KNNLoop(runner, val, train, ks=(k,))
        self.linear = FastProbeLoop(
            runner, self.knn.dataloader, train, lrs=LRS, weight_decays=WEIGHT_DECAYS, epochs=EPOCHS, is_told=False
        )
        check_same_values([runner.val_dataloader.dataset, train.dataset, self.knn.dataloader.dataset])
        self.count = len(self.knn.dataloader.dataset)

    def evaluate(self, vit: FrozenViT, dtype: str) -> dict[str, float]:
        """Top-1 in per cent, as 'knn/top1_k20' and 'probe/top1', under the names that the loops themselves have.

        Raises:
            UserError: what ``extract_features`` raises; an image that cannot be read.
        """
        train, val = (
            extract_features(vit, loader, f'probe_data, {split}', dtype, is_told=False)
            for split, loader in (('train', self.knn.train_dataloader), ('val', self.knn.dataloader))
        )
        knn, linear = self.knn.evaluate(train, val), self.linear.evaluate(train, val)
        return {self.knn_metric: knn[self.knn_metric], 'probe/top1': linear['probe/top1']}

    @property
    def knn_metric(self) -> str:
        """The name of k-NN's accuracy."""
        return f'knn/top1_k{self.knn.ks[0]}'


def probe_sets(data: Any, images: Mapping[str, Any], scope: str | None) -> tuple[dict, dict]:
    """The settings of the data sets to learn from and to evaluate on.

    Args:
        data: a folder with ``train/<class>/`` and ``val/<class>/``; or settings of
            :class:`~mae_transfer.data.photos.labelled.LabelledPhotos`, for both splits; or two of these in a list. A
            ``type`` names another data set of labelled images.
        images: settings that both have unless ``data`` says otherwise.
        scope: the config's ``default_scope``.

    Raises:
        UserError: another form; a setting that the data set does not have; no ``data_root``.
    """
    parts = list(data) if isinstance(data, (list, tuple)) else [data, data]
    if len(parts) != 2 or not all(isinstance(part, (str, Path, Mapping)) and part for part in parts):
        raise UserError(f'probe_data is {_FORMS}; found {data!r}')
    sets = []
    for part, split in zip(parts, ('train', 'val')):
        given = dict(part) if isinstance(part, Mapping) else dict(data_root=str(part))
        if 'data_root' not in given:
            raise UserError(f'probe_data has no data_root: it is {_FORMS}; found {data!r}')
        kind = class_of(dict(type=_KIND, **given) if 'type' not in given else given, DATASETS, scope)
        if unknown := [name for name in given if name != 'type' and not takes(kind, name)]:
            raise UserError(f"probe_data: {given.get('type', 'LabelledPhotos')} has no setting '{unknown[0]}'")
        # What is read in training is a replaced image's neighbour; in an evaluation it would falsify the accuracy.
        defaults = dict(type=_KIND, split=split, transform=dict(type='CentreCrop'), skip_unreadable=split == 'train')
        sets.append({**defaults, **images, **given})
    return sets[0], sets[1]
