"""The transform that reads label maps for a segmentor."""

from __future__ import annotations

from mmengine.fileio import get
from mmseg.datasets.transforms import LoadAnnotations

from ...errors import UserError
from ...registry import TRANSFORMS
from ..files.exif import header_of
from ..files.unreadable import UnreadableError
from .reading import LabelMap, decode_label_map
from .survey import found_numbers


@TRANSFORMS.register_module()
class LoadLabels(LoadAnnotations):
    """Reads a label map, as :class:`~mae_transfer.data.label_maps.labelled_scenes.LabelledScenes` describes it.

    It replaces MMSegmentation's ``LoadAnnotations``, which takes the remainder by 256 of larger numbers, drops what
    follows the point in floats, and fails for three channels. An image without a label map gets none.

    Args:
        backend_args: of MMEngine's file backends.

    Required keys: ``numbering``; ``seg_map_path``, which may be left out. Added keys: ``gt_seg_map`` (H, W) uint8, the
    labels 0..N-1, and 255 for ignored pixels.

    Raises:
        UserError: a file that cannot be read; a number that is no class; another size than the image's.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        super().__init__(backend_args=backend_args)

    def _load_seg_map(self, results: dict) -> None:
        path = results.get('seg_map_path')
        if path is None:
            return
        if 'numbering' not in results:
            raise UserError(
                "LoadLabels needs the numbers of the classes, which the data set 'mae_transfer.LabelledScenes' gives; "
                "for other data sets use 'LoadAnnotations'"
            )
        label_map = read_label_map(path, self.backend_args)
        results['numbering'].check(path, found_numbers(label_map.numbers))
        if 'ori_shape' in results:
            check_size(path, label_map, results['img_path'], results['ori_shape'], self.backend_args)
        results['gt_seg_map'] = results['numbering'].labels(label_map.numbers)
        results['seg_fields'].append('gt_seg_map')


def read_label_map(path: str, backend_args: dict | None = None) -> LabelMap:
    """The numbers in a file; raises ``UserError`` as :func:`decode_label_map`."""
    try:
        content = get(path, backend_args=backend_args)
    except OSError as error:
        raise UnreadableError(f'label map {path}', 'cannot be read', error.strerror or str(error)) from None
    return decode_label_map(content, path)


def check_size(
    path: str, label_map: LabelMap, image_path: str, shape: tuple[int, int], backend_args: dict | None = None
) -> None:
    """Compare a label map with its image.

    Args:
        path: of the label map.
        image_path: of the image.
        shape: (height, width) of the image as it is read.

    Raises:
        UserError: another size; the message says if that is the image's in the other EXIF orientation.
    """
    height, width = label_map.numbers.shape
    if (height, width) == tuple(shape):
        return
    advice = 'give both the same size'
    header = header_of(image_path, backend_args)
    if header and (width, height) == tuple(shape) and header.exchanges_sides:
        is_turned = tuple(shape) != header.stored
        advice = (
            f'that is its size as {"stored" if is_turned else "shown"}, and its EXIF orientation is '
            f'{header.orientation}: read images so, exif_orientation={not is_turned}, or turn the label map'
        )
    raise UserError(
        f'label map {path} is {width} x {height} pixels, but its image is {shape[1]} x {shape[0]}: {advice}'
    )
