"""Which images a prediction is for, and where what is predicted of each is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..data.files.bands import Bands
from ..data.files.image_files import images_below, suffixes_of
from ..data.files.photo_files import PhotoFiles
from ..data.files.photo_sources import every_photo
from ..errors import UserError, shorten
from ..paths import shown, user_path

#: What :func:`find_images` takes.
Images = str | os.PathLike | Sequence[str | os.PathLike]


def find_images(images: Images, bands: Bands) -> PhotoFiles:
    """The images that are meant.

    Args:
        images: a folder, searched at any depth; an image; a list file; a tar file; or a list of folders and images.
        bands: of the model, on which it depends which files are images.

    Raises:
        UserError: nothing there, no image in it, another file; of a list, files that do not exist.
    """
    suffixes = suffixes_of(bands)
    if isinstance(images, (str, os.PathLike)):
        return every_photo(images, suffixes)
    if not isinstance(images, (list, tuple)) or not images:
        raise UserError(f'images are a folder, an image, a list file, or a list of these; found {images!r}')
    paths = [user_path(path, 'images').absolute() for path in images]
    if missing := [shown(path) for path in paths if not os.path.lexists(path)]:
        raise UserError(f'images: {len(missing)} of {len(paths)} do not exist: {shorten(missing, 3)}')
    found = list[str]()
    for path in paths:
        if path.is_dir():
            found += [os.path.join(path, name) for name in images_below(path, suffixes)]
        elif path.name.lower().endswith(suffixes):
            found.append(os.fspath(path))
        else:
            raise UserError(f'images: {shown(path)} is no image: looked for {", ".join(suffixes)}')
    if not found:
        raise UserError(f'images: no image in {shorten(map(shown, paths), 3)}')
    root = os.path.commonpath([os.path.dirname(path) for path in found])
    return PhotoFiles(Path(root), [os.path.relpath(path, root) for path in found])


def check_apart(out: Path, images: Images) -> None:
    """Refuse a folder of results within a folder of images, where pictures would be images of the next time.

    Raises:
        UserError: as said.
    """
    for folder in [images] if isinstance(images, (str, os.PathLike)) else images:
        root = user_path(folder, 'images')
        if root.is_dir() and out.resolve().is_relative_to(root.resolve()):
            raise UserError(
                f'out: {shown(out)} lies in the folder of the images, {shown(root)}, where its pictures would count as '
                'images next time: choose another folder'
            )


def output_names(names: Sequence[str]) -> list[str]:
    """For each image the path of its results below the folder of results, without a suffix.

    It is the image's own path, without its suffix unless another image has the same then; '..' and the beginning of an
    absolute path become folders called '_'.
    """
    inside = [
        '/'.join('_' if part == '..' else part.lstrip('/') or '_' for part in PurePosixPath(name).parts)
        for name in names
    ]
    counts = Counter(map(_stem, inside))
    found = dict[str, None]()
    for name in inside:
        own = _stem(name) if counts[_stem(name)] == 1 else name
        while own in found:  # 'x.png' and 'x.jpg' beside 'x.png.jpg'
            own += '_'
        found[own] = None
    return [*found]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
