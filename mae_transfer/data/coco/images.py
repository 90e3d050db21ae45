"""Images with boxes and masks in COCO's format, of any classes."""

from __future__ import annotations

import os
from os.path import basename, dirname, isabs, isdir, join, splitext
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import unquote

from mmcv.transforms import RandomGrayscale
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import ColorTransform, PhotoMetricDistortion, YOLOXHSVRandomAug
from mmengine.fileio import exists

from ...errors import UserError
from ...registry import DATASETS
from ..dense_items import DenseItems
from ..files.exif import header_of
from ..files.loading import check_files, examine_images, refuse_colour_transforms, run_pipeline
from ..label_maps.palette import complete_metainfo
from .file import CocoFile, read_coco
from .json_files import reading, without_collection
from .left import report_evaluated, report_learnt
from .values import Tally, brief, note

#: MMDetection's transforms of 8-bit colours.
_OF_COLOURS = (ColorTransform, PhotoMetricDistortion, RandomGrayscale, YOLOXHSVRandomAug)


@DATASETS.register_module()
class CocoImages(DenseItems, CocoDataset):
    """MMDetection's ``CocoDataset`` that reports mistakes in the annotations as errors.

    Label ``i`` is the category named ``metainfo['classes'][i]``, regardless of the order of the file's categories;
    without ``classes``, COCO's 80 are used. Classes without a ``palette`` get distinct colours. Objects of other
    categories are left out, which allows training on a subset of the classes. One line says how many objects are left,
    and why the others are not.

    Raises:
        UserError: a mistake that :func:`~mae_transfer.data.coco.file.read_coco` finds; no object that is left to learn
            from or to evaluate; images that do not exist. When an image is loaded: one that has another size than the
            annotations say; in an evaluation, one that cannot be read.
    """

    def __init__(
        self, *args: Any, metainfo: dict | None = None, data_prefix: dict | None = None, **kwargs: Any
    ) -> None:
        prefixes = {key: prefix or '' for key, prefix in (data_prefix or dict(img='')).items()}
        metainfo = complete_metainfo(metainfo, CocoDataset.METAINFO)
        if 'palette' in metainfo:  # MMDetection's visualizer cannot draw with lists
            metainfo['palette'] = [tuple(colour) for colour in metainfo['palette']]
        super().__init__(*args, metainfo=metainfo, data_prefix=prefixes, **kwargs)
        refuse_colour_transforms(self.pipeline, _OF_COLOURS)

    def full_init(self) -> None:
        """Read and check the annotations, unless they are; raises as described for the class."""
        if self._fully_initialized:
            return
        with reading(self.ann_file), without_collection():
            super().full_init()

    def COCOAPI(self, path: str) -> CocoFile:  # CocoDataset calls it, by this name, to read its annotation file
        masks = any(getattr(transform, 'with_mask', False) for transform in self.pipeline.transforms)
        self._file = read_coco(path, self.metainfo['classes'], annotated=not self.test_mode, masks=masks)
        return self._file

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as described for the class."""
        entries = super().load_data_list()
        if any('\\' in entry['img_path'] for entry in entries):
            self._take_backslashes(entries)
        paths = [entry['img_path'] for entry in entries]
        prefix = self.data_prefix['img']
        if addresses := [path for path in paths if '://' in path[len(prefix) :]]:
            raise UserError(
                f'{self.ann_file}: {len(addresses)} of {len(paths)} images have an address as file_name, e.g. '
                f'{addresses[0].removeprefix(prefix).lstrip("/")}: download them, and write paths below data_prefix'
            )
        check_files(paths, lambda i: self._why_missing(paths[i]), self._exists)
        examine_images(self.pipeline, paths)
        return entries

    def _exists(self, path: str) -> bool:
        return exists(path, backend_args=self.backend_args)

    def _take_backslashes(self, entries: list[dict]) -> None:
        """Take backslashes in file names as Windows' separators, unless the first such file has them in its name."""
        odd, prefix = Tally(), self.data_prefix['img']
        of_windows = [
            entry
            for entry in entries
            if entry['img_path'].startswith(prefix) and '\\' in entry['img_path'][len(prefix) :]
        ]
        if not of_windows or self._exists(of_windows[0]['img_path']):
            return
        for entry in of_windows:
            name = entry['img_path'][len(prefix) :]
            odd.add(brief(name.lstrip('/')))
            entry['img_path'] = prefix + name.replace('\\', '/')
        note(self.ann_file, odd, len(entries), 'images have a file_name with backslashes', 'taken as folders')

    def _why_missing(self, path: str) -> str:
        prefix = self.data_prefix['img']
        name = path[len(prefix) :].lstrip('/') if path.startswith(prefix) else path
        if isabs(name) or PureWindowsPath(name).drive:
            advice = 'file_name is an absolute path, of another machine it seems: write it relative to data_prefix'
        elif found := self._found_instead(name):
            advice = found
        else:
            advice = f'set data_prefix, e.g. {self._option("images/")}'
        return f'{self.ann_file}: image file {path} does not exist: {advice}'

    def _option(self, prefix: str) -> str:
        """The options by which the images are looked for below ``prefix``."""
        loaders = ('val_dataloader', 'test_dataloader') if self.test_mode else ('train_dataloader',)
        return '--cfg-options ' + ' '.join(f'{loader}.dataset.data_prefix.img={prefix}' for loader in loaders)

    def _found_instead(self, name: str) -> str:
        """What to do where the file that ``name`` seems to mean lies elsewhere, or is spelt otherwise; '' for none."""
        prefix = self.data_prefix['img']
        if self._exists(join(self.data_root or '', name)):
            return f'file_name holds the folder: set {self._option(".")}'
        for other, what in ((unquote(name), 'without %-codes'), (name.strip(), 'without spaces around it')):
            if other != name and self._exists(join(prefix, other)):
                return f'{other} does: write file_name {what}'
        if '/' in name and self._exists(join(prefix, basename(name))):
            return f'{join(prefix, basename(name))} does: leave the folders out of file_name'
        folder = join(prefix, dirname(name))
        stem = splitext(basename(name))[0].lower()
        near = sorted(file for file in os.listdir(folder) if splitext(file)[0].lower() == stem) if isdir(folder) else []
        return f'{join(folder, near[0])} does: write file_name as the file is called' if near else ''

    def filter_data(self) -> list[dict]:
        """The entries that ``filter_cfg`` leaves; what is left is logged.

        Raises:
            UserError: no object is left to learn from, or to evaluate.
        """
        entries = super().filter_data()
        if self.test_mode:
            report_evaluated(self.ann_file, self._file, self.metainfo['classes'])
        else:
            report_learnt(self.ann_file, self._file, self.metainfo['classes'], self.data_list, entries)
        del self._file  # the entries hold all that is needed
        return entries

    def prepare_readable(self, idx: int) -> dict | None:
        """Run the pipeline on one image; raises as described for the class."""
        entry = self.get_data_info(idx)
        data = run_pipeline(self.pipeline, entry, entry['img_path'])
        sample = data and data.get('data_samples')
        annotated = (entry['height'], entry['width'])
        found = tuple(getattr(sample, 'metainfo', {}).get('ori_shape', annotated)[:2])
        if found != annotated:
            raise UserError(self._why_another_size(entry['img_path'], annotated, found))
        return data

    def _why_another_size(self, path: str, annotated: tuple[int, int], found: tuple[int, int]) -> str:
        """The message about an image whose size, (height, width), is not the annotated one."""
        fault = f'{path} is {found[1]} x {found[0]} pixels, but {self.ann_file} says {annotated[1]} x {annotated[0]}'
        header = header_of(path, self.backend_args)
        if header and header.exchanges_sides and annotated == found[::-1]:
            is_turned = found != header.stored
            fits, option = ('as it is stored', False) if is_turned else ('as it is shown', True)
            return (
                f"{fault}: the photo's EXIF orientation exchanges its sides, and the boxes fit it {fits}: set "
                f'--cfg-options exif_orientation={option}'
            )
        if annotated == found[::-1]:
            return f'{fault}: are width and height exchanged there, or was the image rotated after it was annotated?'
        return f'{fault}: was the image resized or rotated after it was annotated?'
