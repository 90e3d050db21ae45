"""Images with a label map each, in ADE20K's layout or any pair of folders, of any classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.fileio import exists, list_dir_or_file
from mmseg.datasets import ADE20KDataset, BaseSegDataset
from PIL import Image

from ..errors import UserError
from ..registry import DATASETS
from .loading import check_files, run_pipeline
from .palette import distinct_colours

#: Modes of pictures that hold one number for each pixel: a palette's index is the label.
_LABELS = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
_TURNED = (5, 6, 7, 8)  # values of Exif's orientation for which height and width change places


@DATASETS.register_module()
class LabelledScenes(BaseSegDataset):
    """MMSegmentation's ``BaseSegDataset``, loud about mistakes in the label maps.

    A label map is a picture of its image's size with one number for each pixel (grey, or the index of a palette): with
    ``reduce_zero_label`` 0 is ignored and 1..N are the N classes, without it 0..N-1 are; 255 is ignored in both. Some
    files are looked at on start-up, each file when it is first loaded.

    Args:
        metainfo: ``classes`` and ``palette``, the latter distinct colours where it is missing; None for ADE20K's 150.
        reduce_zero_label: whether 0 means no class, as in ADE20K.

    Raises:
        UserError: images without a label map, label maps without an image; a label map that is a colour picture, is not
            of its image's size, or has a value that is no class; files that cannot be read.
    """

    def __init__(self, metainfo: dict | None = None, reduce_zero_label: bool = True, **kwargs) -> None:
        metainfo = dict(metainfo or {})
        own = ADE20KDataset.METAINFO
        metainfo.setdefault('classes', own['classes'])
        count = len(metainfo['classes'])
        if isinstance(metainfo['classes'], (list, tuple)):
            metainfo.setdefault('palette', own['palette'] if count == len(own['palette']) else distinct_colours(count))
        if count > 255 - reduce_zero_label and not isinstance(metainfo['classes'], str):
            raise UserError(
                f'{count} classes are more than a label map of MMSegmentation holds: {255 - reduce_zero_label} with '
                f'reduce_zero_label={reduce_zero_label}'
            )
        super().__init__(metainfo=metainfo, reduce_zero_label=reduce_zero_label, **kwargs)

    def full_init(self) -> None:
        """List the files, and look at some of them; raises as the class says."""
        if self._fully_initialized:
            return
        super().full_init()
        self._looked_at = np.zeros(len(self), dtype=bool)
        for idx in np.linspace(0, len(self) - 1, min(8, len(self))).round().astype(int):
            self._look_at(int(idx))

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as the class says."""
        entries = super().load_data_list()
        images, labels = self.data_prefix.get('img_path'), self.data_prefix.get('seg_map_path')
        if not entries:
            raise UserError(
                f"{self.ann_file or images} names no image '*{self.img_suffix}': set data_root, or the data set's "
                'img_suffix'
            )
        if self.ann_file or labels is None:
            paths = [path for entry in entries for path in (entry['img_path'], entry.get('seg_map_path')) if path]
            check_files(
                paths,
                lambda i: f'{self.ann_file or images}: {paths[i]} does not exist',
                lambda path: exists(path, backend_args=self.backend_args),
            )
            return entries
        there = {
            str(Path(labels, name))
            for name in list_dir_or_file(
                labels, list_dir=False, suffix=self.seg_map_suffix, recursive=True, backend_args=self.backend_args
            )
        }
        wanted = {str(Path(entry['seg_map_path'])): entry['img_path'] for entry in entries}
        if alone := sorted(set(wanted) - there):
            raise UserError(
                f"{images}: {len(alone)} of {len(wanted)} images have no label map '*{self.seg_map_suffix}' in "
                f'{labels}, '
                f'e.g. {wanted[alone[0]]}: each needs one of its name'
            )
        if alone := sorted(there - set(wanted)):
            raise UserError(
                f"{labels}: {len(alone)} of {len(there)} label maps have no image '*{self.img_suffix}' in {images}, "
                f'e.g. {alone[0]}: leave them out, or set img_suffix'
            )
        return entries

    def prepare_data(self, idx: int) -> dict | None:
        """One image and its label map through the pipeline; raises as the class says."""
        if not self._looked_at[idx]:
            self._look_at(idx)
        entry = self.get_data_info(idx)
        return run_pipeline(self.pipeline, entry, entry['img_path'])

    def _look_at(self, idx: int) -> None:
        entry = self.get_data_info(idx)
        if entry.get('seg_map_path') is not None and self.backend_args is None:
            decoders = [
                getattr(transform, 'imdecode_backend', None)
                for transform in self.pipeline.transforms
                if type(transform).__name__ == 'LoadAnnotations'
            ]
            check_label_map(
                entry['seg_map_path'],
                entry['img_path'],
                len(self.metainfo['classes']),
                self.reduce_zero_label,
                palettes='cv2' not in decoders,
            )
        self._looked_at[idx] = True


def check_label_map(
    path: str, image_path: str, num_classes: int, reduce_zero_label: bool, palettes: bool = True
) -> None:
    """Read a label map and its image's size.

    Args:
        path: of the label map.
        image_path: of the image, of which the header alone is read.
        num_classes: number N of classes.
        reduce_zero_label: whether 0 is ignored and 1..N are the classes, instead of 0..N-1. 255 is ignored in both.
        palettes: whether the pipeline can read the index of a palette; OpenCV reads its colour.

    Raises:
        UserError: as :class:`LabelledScenes` says.
    """
    try:
        with Image.open(path) as picture:
            mode, (width, height), labels = picture.mode, picture.size, np.asarray(picture)
    except OSError as error:
        raise UserError(f'label map {path} cannot be read: {error}') from None
    if mode not in _LABELS:
        raise UserError(
            f'label map {path} is a colour picture (mode {mode}): give one number for each pixel, in a grey or palette '
            'picture'
        )
    if mode == 'P' and not palettes:
        raise UserError(
            f"label map {path} has a palette, which OpenCV reads as colours: set imdecode_backend='pillow' of "
            'LoadAnnotations'
        )
    found = np.flatnonzero(np.bincount(labels.ravel())) if labels.dtype.kind == 'u' else np.unique(labels).astype(int)
    low = int(reduce_zero_label)
    allowed = (found >= 0) & (found < num_classes + low) | (found == 255)
    if not allowed.all():
        wrong = found[~allowed]
        raise UserError(
            f'label map {path} has the value {wrong.max()}, but {num_classes} classes are '
            f'{low}..{num_classes - 1 + low}, {"0 and 255 are" if low else "255 is"} ignored '
            f'(reduce_zero_label={reduce_zero_label}): '
            'put it right, or set classes=... to all of them'
        )
    try:
        with Image.open(image_path) as picture:
            size = picture.size[::-1] if picture.getexif().get(0x0112) in _TURNED else picture.size
    except OSError as error:
        raise UserError(f'image {image_path} cannot be read: {error}') from None
    if size != (width, height):
        raise UserError(
            f'label map {path} is {width} x {height} pixels, its image {size[0]} x {size[1]}: each pixel needs its '
            'label'
        )
