"""Images with one label map each, of any classes, in ADE20K's layout or any other pair of folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations
from mmengine.fileio import exists, list_dir_or_file
from mmseg.datasets import ADE20KDataset, BaseSegDataset
from PIL import Image

from ..errors import UserError
from ..registry import DATASETS
from .image_reader import UNREADABLE
from .image_values import stored_size
from .loading import check_files, run_pipeline
from .palette import complete_metainfo

#: Pillow's image modes with one number per pixel; in 'P' (palette) the number is an index, which is the label.
_LABEL_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
_EXIF_ROTATED = (5, 6, 7, 8)  # the orientations for which height and width change places


@DATASETS.register_module()
class LabelledScenes(BaseSegDataset):
    """MMSegmentation's ``BaseSegDataset`` that reports mistakes in the label maps as errors.

    A label map is an image file of its image's size with one number per pixel (a grey value or a palette index). With
    ``reduce_zero_label`` the N classes are 1..N and 0 is ignored; without it they are 0..N-1. 255 is ignored in both
    cases. Eight evenly spaced label maps are checked on start-up, the others when they are first loaded.

    Args:
        metainfo: ``classes`` and ``palette``; None for ADE20K's 150 classes. Without ``palette`` the classes get
            distinct colours.
        reduce_zero_label: whether 0 means no class, as in ADE20K.
        **kwargs: passed to ``BaseSegDataset``.

    Raises:
        UserError: images without a label map, label maps without an image; a label map that is a colour image, has
            another size than its image, or contains a value that is not a class; files that cannot be read; too many
            classes for a label map.
    """

    def __init__(self, metainfo: dict | None = None, reduce_zero_label: bool = True, **kwargs: Any) -> None:
        metainfo = complete_metainfo(metainfo, ADE20KDataset.METAINFO)
        count = len(metainfo['classes'])
        most = 255 - reduce_zero_label
        if count > most and not isinstance(metainfo['classes'], str):
            raise UserError(
                f'{count} classes are too many: a label map of MMSegmentation has room for {most} with '
                f'reduce_zero_label={reduce_zero_label}'
            )
        self._validated: set[str] = set()  # the paths of the label maps that were checked
        super().__init__(metainfo=metainfo, reduce_zero_label=reduce_zero_label, **kwargs)

    def full_init(self) -> None:
        """List the files, and check some of them; raises as described for the class."""
        super().full_init()
        for idx in np.linspace(0, len(self) - 1, min(8, len(self))).round().astype(int):
            self._validate(self.get_data_info(int(idx)))

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as described for the class."""
        entries = super().load_data_list()
        images, labels = self.data_prefix.get('img_path'), self.data_prefix.get('seg_map_path')
        if not entries:
            raise UserError(
                f"{self.ann_file or images} contains no image '*{self.img_suffix}': set data_root, or the data set's "
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
        names = list_dir_or_file(
            labels, list_dir=False, suffix=self.seg_map_suffix, recursive=True, backend_args=self.backend_args
        )
        found = {str(Path(labels, name)) for name in names}
        image_of = {str(Path(entry['seg_map_path'])): entry['img_path'] for entry in entries}
        if missing := sorted(set(image_of) - found):
            raise UserError(
                f"{images}: {len(missing)} of {len(image_of)} images have no label map '*{self.seg_map_suffix}' in "
                f'{labels}, e.g. {image_of[missing[0]]}: give each image a label map of the same name'
            )
        if unused := sorted(found - set(image_of)):
            raise UserError(
                f"{labels}: {len(unused)} of {len(found)} label maps have no image '*{self.img_suffix}' in {images}, "
                f'e.g. {unused[0]}: remove them, or set img_suffix'
            )
        return entries

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on one image and its label map; raises as described for the class."""
        entry = self.get_data_info(idx)
        self._validate(entry)
        return run_pipeline(self.pipeline, entry, entry['img_path'])

    def _validate(self, entry: dict) -> None:
        path = entry.get('seg_map_path')
        if path is None or path in self._validated or self.backend_args is not None:
            return
        loaders = [transform for transform in self.pipeline.transforms if isinstance(transform, LoadAnnotations)]
        check_label_map(
            path,
            entry['img_path'],
            len(self.metainfo['classes']),
            self.reduce_zero_label,
            palettes=not any(getattr(loader, 'imdecode_backend', None) == 'cv2' for loader in loaders),
        )
        self._validated.add(path)


def check_label_map(
    path: str, image_path: str, num_classes: int, reduce_zero_label: bool, palettes: bool = True
) -> None:
    """Check a label map against the classes and against the size of its image.

    Args:
        path: of the label map.
        image_path: of the image; only its header is read.
        num_classes: number N of classes.
        reduce_zero_label: whether the classes are 1..N and 0 is ignored, instead of 0..N-1. 255 is always ignored.
        palettes: whether the pipeline reads the indices of palette images; OpenCV reads their colours.

    Raises:
        UserError: as described for :class:`LabelledScenes`.
    """
    try:
        with Image.open(path) as label_map:
            mode, (width, height), labels = label_map.mode, label_map.size, np.asarray(label_map)
    except OSError as error:
        raise UserError(f'label map {path} cannot be read: {error}') from None
    if mode not in _LABEL_MODES:
        raise UserError(
            f'label map {path} is a colour image (mode {mode}): give one number per pixel, in a grey or palette image'
        )
    if mode == 'P' and not palettes:
        raise UserError(
            f"label map {path} has a palette, which OpenCV reads as colours: set imdecode_backend='pillow' of "
            'LoadAnnotations'
        )
    if labels.dtype.kind == 'u':
        found = np.flatnonzero(np.bincount(labels.ravel()))  # faster than np.unique, which sorts
    else:
        found = np.unique(labels).astype(int)
    low = int(reduce_zero_label)
    high = num_classes - 1 + low
    wrong = found[((found < low) | (found > high)) & (found != 0) & (found != 255)]
    if len(wrong):
        raise UserError(
            f'label map {path} contains the value {wrong.max()}; expected {low}..{high} for the classes and '
            f'{"0 or 255" if low else "255"} for ignored pixels (reduce_zero_label={reduce_zero_label}): correct it, '
            'or set classes=... to all classes'
        )
    try:
        size, orientation = stored_size(Path(image_path))
        image_width, image_height = size[::-1] if orientation in _EXIF_ROTATED else size
    except UNREADABLE as error:
        raise UserError(f'image {image_path} cannot be read: {error}') from None
    if (image_width, image_height) != (width, height):
        raise UserError(
            f'label map {path} is {width} x {height} pixels, but its image is {image_width} x {image_height}: give '
            'both the same size'
        )
