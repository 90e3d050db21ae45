"""Images with boxes and masks in COCO's format, of any classes."""

from __future__ import annotations

from mmdet.datasets import CocoDataset
from mmengine.fileio import exists

from ..errors import UserError
from ..registry import DATASETS
from .coco_file import CocoFile, read_coco
from .loading import check_files, run_pipeline


@DATASETS.register_module()
class CocoImages(CocoDataset):
    """MMDetection's ``CocoDataset``, loud about mistakes in the annotations.

    Label ``i`` is the class ``metainfo['classes'][i]``, by its name in the file, whatever the order of the file's
    categories; COCO's 80 without ``metainfo``. Objects of other categories are left out, as is usual for a subset of
    classes.

    Raises:
        UserError: a mistake that :func:`~mae_transfer.data.coco_file.read_coco` finds; images that are not there,
            cannot be read, or are not of the size that the annotations give (when they are loaded).
    """

    def COCOAPI(self, path: str) -> CocoFile:  # what CocoDataset reads its file by
        masks = any(getattr(transform, 'with_mask', False) for transform in self.pipeline.transforms)
        return read_coco(path, self.metainfo['classes'], annotated=not self.test_mode, masks=masks)

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as the class says."""
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
            UserError: no image at all.
        """
        entries = super().filter_data()
        if not entries:
            raise UserError(
                f'{self.ann_file}: none of its {len(self.data_list)} images has an object of the classes '
                f'{", ".join(self.metainfo["classes"][:5])} and is large enough for filter_cfg={self.filter_cfg}'
            )
        return entries

    def prepare_data(self, idx: int) -> dict | None:
        """One image through the pipeline; raises as the class says."""
        entry = self.get_data_info(idx)
        path, size = entry['img_path'], (entry['height'], entry['width'])
        data = run_pipeline(self.pipeline, entry, path)
        sample = (data or {}).get('data_samples')
        found = tuple(sample.metainfo.get('ori_shape', size)[:2]) if hasattr(sample, 'metainfo') else size
        if found != size:
            raise UserError(
                f'{path} is {found[1]} x {found[0]} pixels, but {self.ann_file} says {size[1]} x {size[0]}: was the '
                'image '
                'resized or turned after it was annotated?'
            )
        return data
