"""Images with one label map each, of any classes, in ADE20K's layout or any other pair of folders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations, LoadImageFromFile, RandomGrayscale
from mmengine.dataset import Compose
from mmseg.datasets import ADE20KDataset, BaseSegDataset
from mmseg.datasets.transforms import CLAHE, AdjustGamma, PhotoMetricDistortion, Rerange, RGB2Gray

from ...errors import UserError
from ...progress import progress
from ...registry import DATASETS
from ..dense_items import DenseItems
from ..files.exif import header_of
from ..files.image_files import SUFFIXES, suffixes_of
from ..files.loading import examine_images, reader_of, refuse_colour_transforms, run_pipeline, steps_of
from ..files.unreadable import UnreadableError
from .label_numbers import IGNORED, Numbering, one_class_line, parse_values
from .load_labels import LoadLabels, check_size, read_label_map
from .pairs import find_pairs
from .palette import complete_metainfo
from .survey import Survey, found_numbers

#: How many label maps are examined when a run starts: this many, or fewer of large ones, which take .2 s for 16 million
#: pixels; never fewer than the least.
_EXAMINED, _LEAST, _PIXELS = 64, 8, 100_000_000
#: MMSegmentation's transforms of 8-bit colours.
_OF_COLOURS = (AdjustGamma, CLAHE, PhotoMetricDistortion, RandomGrayscale, Rerange, RGB2Gray)


@DATASETS.register_module()
class LabelledScenes(DenseItems, BaseSegDataset):
    """MMSegmentation's ``BaseSegDataset`` that says what is learnt from its label maps, and reports mistakes as errors.

    A label map is a picture of its image's size with one number for each pixel (see
    :func:`~mae_transfer.data.label_maps.reading.decode_label_map`). With ``reduce_zero_label`` the N classes are 1..N
    and 0 is ignored; without it they are 0..N-1. 255 is ignored in both cases. ``label_values`` names any
    other numbers.

    On start-up up to 64 evenly spaced label maps are examined: how much of them is labelled is logged, and classes
    without a pixel are named if these are all. If there is nothing to learn from them, the others are examined until
    there is. Each label map is checked when it is loaded, too.

    Args:
        metainfo: ``classes`` and ``palette``; None for ADE20K's 150 classes. Without ``palette`` the classes get
            distinct colours.
        reduce_zero_label: whether 0 means no class, as in ADE20K.
        label_values: the number of each class in the label maps, in the order of the classes; all others are ignored.
            It replaces ``reduce_zero_label``.
        img_suffix, seg_map_suffix: how the names of images and label maps end, after the part that both share, e.g.
            '_mask.png', or several such ends; None for any suffix of an image or label map.
        data_prefix: folders ``img_path`` and ``seg_map_path``; the latter may be None, for images that are only
            predicted.
        test_mode: whether the data set is only evaluated, for which a single class in its label maps is enough.
        **kwargs: passed to ``BaseSegDataset``. The ``pipeline`` reads label maps by ``LoadLabels``.

    Raises:
        UserError: what :func:`~mae_transfer.data.label_maps.pairs.find_pairs` and ``decode_label_map`` raise; a label
            map of another size than its image, or with a number that means nothing; no labelled pixel, or in training
            of one class alone; a single class; too many classes for a label map; ``LoadAnnotations`` in the pipeline,
            or transforms of 8-bit colours for other bands.
    """

    def __init__(
        self,
        metainfo: dict | None = None,
        reduce_zero_label: bool = True,
        label_values: Sequence[int] | None = None,
        img_suffix: str | Sequence[str] | None = None,
        seg_map_suffix: str | Sequence[str] | None = None,
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        metainfo = complete_metainfo(metainfo, ADE20KDataset.METAINFO)
        prefixes = data_prefix or dict(img_path='', seg_map_path='')
        prefixes = {**prefixes, 'img_path': prefixes.get('img_path') or ''}
        if not isinstance(reduce_zero_label, (bool, int)):
            raise UserError(f'reduce_zero_label is True or False; found {reduce_zero_label!r}')
        if prefixes.get('seg_map_path') is None and not kwargs.get('test_mode', False):
            raise UserError(
                'data_prefix.seg_map_path is None, but label maps are needed to train: set their folder, or '
                'test_mode=True for images that are only predicted'
            )
        super().__init__(
            metainfo=metainfo,
            reduce_zero_label=bool(reduce_zero_label) and label_values is None,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_prefix={key: path for key, path in prefixes.items() if path is not None},
            **{**kwargs, 'lazy_init': True},
        )
        if self.ignore_index != IGNORED:
            raise UserError(
                f'ignore_index={self.ignore_index} of the data set: ignored pixels become {IGNORED} on loading; to '
                'ignore other numbers in the label maps, name those of the classes, label_values=...'
            )
        classes = tuple(self.metainfo['classes'])
        self.numbering = Numbering(classes, self.reduce_zero_label, parse_values(label_values, classes))
        self._metainfo.update(label_values=self.numbering.values)
        _check_count(self.numbering)
        if foreign := [step for step in steps_of(self.pipeline) if _is_foreign_loader(step)]:
            raise UserError(
                f"the pipeline reads label maps by '{type(foreign[0]).__name__}', which reads large numbers and "
                "channels wrongly: set dict(type='mae_transfer.LoadLabels') in its place"
            )
        refuse_colour_transforms(self.pipeline, _OF_COLOURS)
        if not kwargs.get('lazy_init', False):
            self.full_init()

    def full_init(self) -> None:
        """List the files, and examine some of them; raises as described for the class."""
        if self._fully_initialized:
            return
        super().full_init()
        examine_images(self.pipeline, [self.get_data_info(index)['img_path'] for index in self._evenly(_LEAST)])
        self._examine()

    def load_data_list(self) -> list[dict]:
        """The entries of all images; raises as described for the class."""
        reader = reader_of(self.pipeline)
        pairs = find_pairs(
            self.data_prefix['img_path'],
            self.data_prefix.get('seg_map_path'),
            self.img_suffix,
            self.seg_map_suffix,
            self.ann_file,
            self.backend_args,
            SUFFIXES if reader is None else suffixes_of(reader.bands),
        )
        entries = []
        for pair in pairs:
            entry: dict[str, Any] = dict(img_path=pair.image, label_map=None, seg_fields=[])
            entry['reduce_zero_label'] = self.reduce_zero_label
            if pair.labels is not None:
                entry['seg_map_path'] = pair.labels
            entries.append(entry)
        return entries

    def get_cat_ids(self, idx: int) -> list[int]:
        """The labels in the label map of an image, by which ``ClassBalancedDataset`` weights; it is read for this."""
        entry = self.get_data_info(idx)
        if 'seg_map_path' not in entry:
            return []
        numbers = found_numbers(read_label_map(entry['seg_map_path'], self.backend_args).numbers)
        return sorted({*self.numbering.labels(numbers).tolist()} - {IGNORED})

    def prepare_readable(self, idx: int) -> dict | None:
        """Run the pipeline on one image and its label map; raises as described for the class."""
        entry = dict(self.get_data_info(idx), numbering=self.numbering)
        return run_pipeline(self.pipeline, entry, entry['img_path'])

    def _examine(self) -> None:
        """Read some label maps, and say what is in them; raises as described for the class."""
        if not len(self) or 'seg_map_path' not in self.get_data_info(0):
            return
        survey = Survey(self.numbering, self.data_prefix['seg_map_path'], training=not self.test_mode)
        header = header_of(self.get_data_info(0)['img_path'], self.backend_args)
        pixels = math.prod(header.stored) if header else 1
        chosen = self._evenly(max(_LEAST, min(_EXAMINED, _PIXELS // max(1, pixels))))
        for index in chosen:
            self._add_to(survey, index)
        survey.check_numbers()
        for index in progress(
            sorted(set(range(len(self))) - set(chosen)), 'label maps read, for one that says something'
        ):
            if survey.says_something:
                break
            self._add_to(survey, index)
        survey.check()
        survey.say(every=len(survey.numbers_of) == len(self))

    def _evenly(self, most: int) -> list[int]:
        """The indices of ``most`` images, or of all, from the first to the last."""
        return np.linspace(0, len(self) - 1, min(len(self), most)).round().astype(int).tolist()

    def _add_to(self, survey: Survey, index: int) -> None:
        try:
            self._survey(survey, self.get_data_info(index))
        except UnreadableError as error:  # it is left out of the training, and told then
            if self.test_mode:
                raise
            survey.unreadable.append(error)

    def _survey(self, survey: Survey, entry: dict) -> None:
        label_map = read_label_map(entry['seg_map_path'], self.backend_args)
        header, loader = header_of(entry['img_path'], self.backend_args), self._image_loader()
        shape = header and header.stored
        # Whether an orientation is applied depends on the reader, its settings and the format: the reader is asked.
        if loader is not None and (header is None or header.orientation != 1):
            loaded = run_pipeline(Compose([loader]), dict(img_path=entry['img_path']), entry['img_path'])
            shape = loaded['img'].shape[:2] if loaded else shape
        if shape is not None:
            check_size(entry['seg_map_path'], label_map, entry['img_path'], shape, self.backend_args)
        survey.add(entry['seg_map_path'], label_map, header.orientation if header else 1)

    def _image_loader(self) -> Any:
        """The transform that reads the images; None where a pipeline has none."""
        for step in self.pipeline.transforms:
            if isinstance(step, LoadImageFromFile) or hasattr(step, 'exif_orientation'):
                return step
        return None


def _is_foreign_loader(step: Any) -> bool:
    """Whether a transform reads label maps, but not as ``LoadLabels`` does."""
    return isinstance(step, LoadAnnotations) and not isinstance(step, LoadLabels) and step.with_seg


def _check_count(numbering: Numbering) -> None:
    """Refuse more classes than labels, and a single one; raises ``UserError``."""
    count, first = len(numbering.classes), int(numbering.reduce_zero_label)
    most = IGNORED - first
    if count > most:
        raise UserError(
            f'{count} classes are too many: a label map of MMSegmentation has room for {most} with '
            f'reduce_zero_label={bool(first)}'
        )
    if count == 1:
        raise UserError(one_class_line(numbering.classes[0]))
