"""Images and their label maps, found by their names."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.fileio import get_text, isdir, list_dir_or_file
from mmengine.logging import print_log

from ...errors import UserError, shorten
from ...paths import shown
from ...progress import progress
from ..files.image_files import SUFFIXES, is_hidden
from .reading import LABEL_SUFFIXES

_IMAGES, _LABELS = 'images', 'label maps'
_ENDS = 'give each image a label map of the same name, or set how their names end, img_suffix=... seg_map_suffix=...'


class Pair(NamedTuple):
    """Paths of an image and of its label map; None where the data set has none."""

    image: str
    labels: str | None


class _Files(NamedTuple):
    """Files of a folder, of one kind."""

    folder: str
    what: str
    suffixes: tuple[str, ...]
    paths: dict[str, str]  # by their names in the folder, without the suffix
    others: list[str]  # files of other kinds: their paths within the folder

    @property
    def pattern(self) -> str:
        return ', '.join(f'*{suffix}' for suffix in self.suffixes)


def find_pairs(
    images: str,
    labels: str | None,
    img_suffix: str | Sequence[str] | None = None,
    seg_map_suffix: str | Sequence[str] | None = None,
    list_file: str = '',
    backend_args: dict | None = None,
    image_suffixes: tuple[str, ...] = SUFFIXES,
) -> list[Pair]:
    """The images in a folder, and in those below it, each with the label map of the same name, sorted by their paths.

    Names are compared without their suffixes; hidden files and folders are passed over, and linked folders are followed
    once.

    Args:
        images, labels: folders; None for ``labels``: there are no label maps.
        img_suffix: the end of the images' names, such as '.jpg' or '_leftImg8bit.png', or several; None for any suffix.
            Capital letters make no difference.
        seg_map_suffix: the same of the label maps; what stands before it is the image's name.
        list_file: names, one per line, with or without suffix; '' for all.
        backend_args: of MMEngine's file backends.
        image_suffixes: those of images, where ``img_suffix`` is None.

    Raises:
        UserError: no such folder, no image; several files of the same name but for the suffix; images without a label
            map or label maps without an image; a list that cannot be read or names what is not there.
    """
    image_files = _listed(images, _IMAGES, img_suffix, image_suffixes, backend_args)
    if not image_files.paths:
        raise UserError(
            f'{images} contains no image {image_files.pattern}: set data_root, or the img_path and img_suffix of the '
            'data set'
        )
    label_files = None if labels is None else _listed(labels, _LABELS, seg_map_suffix, LABEL_SUFFIXES, backend_args)
    if label_files is not None and images == labels:
        # In a folder of both, what ends as label maps do is no image.
        for name, path in [*image_files.paths.items()]:
            if path in label_files.paths.values():
                del image_files.paths[name]
    if list_file:
        names = _names_in(list_file, image_files, label_files, backend_args)
    else:
        names = sorted(image_files.paths, key=lambda name: image_files.paths[name])
        if label_files is not None:
            _check_counterparts(image_files, label_files)
    return [Pair(image_files.paths[name], None if label_files is None else label_files.paths[name]) for name in names]


def _listed(
    folder: str, what: str, suffix: str | Sequence[str] | None, usual: tuple[str, ...], backend_args: dict | None
) -> _Files:
    """The files of a kind in a folder; raises as :func:`find_pairs`."""
    if not isdir(folder, backend_args=backend_args):
        raise UserError(
            f'the folder of the {what}, {folder}, does not exist: set data_root, or data_prefix of the data set'
        )
    suffixes = usual if suffix is None else _ends(suffix)
    found: dict[str, list[str]] = defaultdict(list)
    others = []
    for name in progress(files_below(folder, backend_args), f'{what} found in {shown(folder)}'):
        end = max((end for end in suffixes if name.lower().endswith(end.lower())), key=len, default=None)
        if end is None or not Path(name).name[: -len(end)]:
            others.append(name)
        else:
            found[name[: -len(end)]].append(os.path.join(folder, name))
    if several := sorted(sorted(paths) for paths in found.values() if len(paths) > 1):
        setting = 'img_suffix' if what == _IMAGES else 'seg_map_suffix'
        raise UserError(
            f'{folder}: {len(several)} names stand for several {what} each, e.g. {shorten(several[0])}: leave one '
            f"of them, or set the data set's {setting}, e.g. {setting}={Path(several[0][0]).suffix}"
        )
    if others and suffix is None:
        kinds = sorted({Path(name).suffix.lower() or 'no suffix' for name in others})
        print_log(
            f'{folder}: {len(others)} files are passed over, as their names do not end as those of {what} do: '
            f'{shorten(kinds)}, e.g. {min(others)}',
            logger='current',
            level=logging.WARNING,
        )
    return _Files(folder, what, suffixes, {name: paths[0] for name, paths in found.items()}, others)


def _ends(suffix: str | Sequence[str]) -> tuple[str, ...]:
    """The ends that a setting names; '*.png' is '.png'. Raises ``UserError`` for what is no text."""
    given: list = list(suffix) if isinstance(suffix, (list, tuple)) else [suffix]
    if not given or not all(isinstance(end, str) and end.strip('*') for end in given):
        raise UserError(f'img_suffix and seg_map_suffix are how names end, e.g. _mask.png; found {suffix!r}')
    return tuple(end.removeprefix('*') for end in given)


def files_below(folder: str, backend_args: dict | None = None) -> Iterable[str]:
    """The paths, relative to a folder, of the files in it and below it, without hidden files and folders.

    Folders that are linked are followed, each once.
    """
    if backend_args is not None:
        for name in list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=backend_args):
            if not any(is_hidden(part) for part in Path(name).parts):
                yield name
        return
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in files:
            if not is_hidden(name):
                yield os.path.relpath(os.path.join(place, name), folder)


def _check_counterparts(images: _Files, labels: _Files) -> None:
    """Refuse images without a label map, and the other way round."""
    lonely, unused = (
        sorted(own.paths[name] for name in own.paths.keys() - other.paths.keys())
        for own, other in ((images, labels), (labels, images))
    )
    advice = _suffix_advice(images.paths, labels) or _format_advice(images.paths, labels)
    if lonely:
        raise UserError(
            f'{images.folder}: {len(lonely)} of {len(images.paths)} images have no label map {labels.pattern} in '
            f'{labels.folder}, e.g. {lonely[0]}: {advice or _ENDS}'
        )
    if unused:
        raise UserError(
            f'{labels.folder}: {len(unused)} of {len(labels.paths)} label maps have no image {images.pattern} in '
            f'{images.folder}, e.g. {unused[0]}: {advice or f"remove them, or {_ENDS}"}'
        )


def _suffix_advice(images: Mapping[str, str], labels: _Files) -> str:
    """The ``seg_map_suffix`` by which every image would have a label map; '' if there is none."""
    first = min(images)
    ends = {
        name[len(first) :] + Path(path).suffix: name[len(first) :]
        for name, path in labels.paths.items()
        if name.startswith(first) and name != first
    }
    fitting = sorted(suffix for suffix, end in ends.items() if all(f'{image}{end}' in labels.paths for image in images))
    return f'set seg_map_suffix={" or ".join(fitting)}' if fitting else ''


def _format_advice(images: Mapping[str, str], labels: _Files) -> str:
    """What to do where files of the images' names are there, but in a format that is no label map's; '' if not."""
    ends = {Path(name).suffix for name in labels.others if os.path.splitext(name)[0] in images}
    ends = {end for end in ends if end.lower() not in LABEL_SUFFIXES}
    if not ends:
        return ''
    return (
        f'{shorten(sorted(ends))} is no format of label maps: save them as PNG, with one number per pixel, or, if '
        'these are photos, name the folder of the label maps'
    )


def _names_in(list_file: str, images: _Files, labels: _Files | None, backend_args: dict | None) -> list[str]:
    """The names that a list gives; raises as :func:`find_pairs`."""
    try:
        lines = get_text(list_file, encoding='utf-8-sig', backend_args=backend_args).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'list file {list_file} cannot be read as UTF-8 text: {error}') from None
    entries = [line.strip().replace('\\', '/') for line in lines if line.strip()]
    if not entries:
        raise UserError(f'list file {list_file} names no image: give one name per line')
    names = [_known(entry, images) for entry in entries]
    for files in (images, labels):
        missing = [entry for entry, name in zip(entries, names) if files is not None and name not in files.paths]
        if files is not None and missing:
            raise UserError(
                f'{list_file}: {len(missing)} of {len(entries)} names have no file among the {files.what} '
                f"{files.pattern} in {files.folder}, e.g. '{missing[0]}': give one name per line, relative to "
                'the folder'
            )
    if repeated := len(names) - len(set(names)):
        print_log(
            f'{list_file}: {repeated} of {len(names)} names repeat another: each counts, in an evaluation, too',
            logger='current',
            level=logging.WARNING,
        )
    return names


def _known(entry: str, images: _Files) -> str:
    """The name of an entry of a list, which may have a suffix."""
    ends: Sequence[str] = [end for end in images.suffixes if entry.lower().endswith(end.lower())]
    return entry if entry in images.paths or not ends else entry[: -len(max(ends, key=len))]
