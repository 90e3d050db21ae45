"""Images with boxes and masks in COCO's format, of any classes."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.fileio import exists

from ..errors import UserError
from ..registry import DATASETS
from .coco_file import CocoFile, read_coco
from .loading import check_files, run_pipeline
from .palette import complete_metainfo


@DATASETS.register_module()
class CocoImages(CocoDataset):
    """MMDetection's ``CocoDataset`` that reports mistakes in the annotations as errors.

    Label ``i`` is the category named ``metainfo['classes'][i]``, regardless of the order of the file's categories;
    without ``classes``, COCO's 80 are used. Classes without a ``palette`` get distinct colours. Objects of other
    categories are left out, which allows training on a subset of the classes.

    Raises:
        UserError: a mistake that :func:`~mae_transfer.data.coco_file.read_coco` finds; images that do not exist. When
            an image is loaded: one that cannot be read, or that has another size than the annotations say.
    """

    def __init__(self, *args: Any, metainfo: dict | None = None, **kwargs: Any) -> None:
        metainfo = complete_metainfo(metainfo, CocoDataset.METAINFO)
        if 'palette' in metainfo:  # MMDetection's visualizer cannot draw with lists
            metainfo['palette'] = [tuple(colour) for colour in metainfo['palette']]
        super().__init__(*args, metainfo=metainfo, **kwargs)

    def COCOAPI(self, path: str) -> CocoFile:  # CocoDataset calls it, by this name, to read its annotation file
        masks = any(getattr(transform, 'with_mask', False) for transform in self.pipeline.transforms)
        return read_coco(path, self.metainfo['classes'], annotated=not self.test_mode, masks=masks)

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as described for the class."""
        entries = super().load_data_list()
        paths = [entry['img_path'] for entry in entries]
        check_files(
            paths,
            lambda i: (
                f'{self.ann_file}: image file {paths[i]} does not exist: set data_prefix, e.g. --cfg-options '
                'train_dataloader.dataset.data_prefix.img=images/'
            ),
            lambda path: exists(path, backend_args=self.backend_args),
        )
        return entries

    def filter_data(self) -> list[dict]:
        """The entries that ``filter_cfg`` leaves.

        Raises:
            UserError: no entry is left.
        """
        entries = super().filter_data()
        if not entries:
            raise UserError(
                f'{self.ann_file}: none of its {len(self.data_list)} images has an object of the classes '
                f'{", ".join(self.metainfo["classes"][:5])} and is large enough for filter_cfg={self.filter_cfg}'
            )
        return entries

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on one image; raises as described for the class."""
        entry = self.get_data_info(idx)
        data = run_pipeline(self.pipeline, entry, entry['img_path'])
        sample = data and data.get('data_samples')
        annotated = (entry['height'], entry['width'])
        found = tuple(getattr(sample, 'metainfo', {}).get('ori_shape', annotated)[:2])
        if found != annotated:
            raise UserError(
                f'{entry["img_path"]} is {found[1]} x {found[0]} pixels, but {self.ann_file} says {annotated[1]} x '
                f'{annotated[0]}: was the image resized or rotated after it was annotated?'
            )
        return data
