"""Read a JSON file in COCO's format from disk, and recognise the files that are something else."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from mmengine.logging import print_log

from ...errors import UserError, shorten
from ...paths import shown
from ...progress import Waiting
from .values import brief

#: Bytes. COCO's training set has 448 MB.
_LARGE = 100_000_000
_PARTS = ('images', 'annotations', 'categories')
_EXPORT = "export the annotations as COCO (also called 'COCO JSON', 'COCO instances')"
_CONVERT = "convert it to COCO's format, or export again as COCO"
#: Kinds of files by their first bytes.
_SIGNATURES = (
    (b'\x1f\x8b', 'is a gzip archive: unpack it, and set the annotation file to the .json in it'),
    (b'PK\x03\x04', 'is a zip archive: unpack it, and set the annotation file to the .json in it'),
    (b'\xff\xd8\xff', 'is a photo: set the annotation file to a .json'),
    (b'\x89PNG', 'is a picture: set the annotation file to a .json'),
    (b'<', f'is XML, as of Pascal VOC or CVAT: {_EXPORT}'),
)
_SUFFIXES = {
    '.yaml': f'is YAML, as the list of a data set for YOLO: {_CONVERT}',
    '.yml': f'is YAML, as the list of a data set for YOLO: {_CONVERT}',
    '.txt': f'is a text file, as labels for YOLO are: {_CONVERT}',
    '.csv': f'is a table: {_CONVERT}',
    '.xml': f'is XML, as of Pascal VOC or CVAT: {_EXPORT}',
}


def reading(path: str) -> Waiting:
    """Tells that a file is being read, at once if it is on a local disk and takes more than a few seconds."""
    is_large = os.path.isfile(path) and os.path.getsize(path) > _LARGE
    return Waiting(f'{shown(path)} read and checked', at_once=is_large)


@contextmanager
def without_collection() -> Iterator[None]:
    """Leave Python's search for cycles of objects out, which finds none in annotations.

    It goes through all objects again and again while millions of them are made: a data set of the size of COCO's
    training set (118 287 images, 860 001 polygons, 452 MB) took 42 s to read with it and 26 s without.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_json(path: str, local: str) -> dict[str, Any]:
    """Read a file as a dictionary of lists ``images``, ``annotations`` and ``categories``.

    UTF-8 and UTF-16 are read, with or without a byte-order mark. Parts named in another case ('Images') are taken,
    with a line.

    Args:
        path: the file's name for messages.
        local: where it lies on a local disk.

    Raises:
        UserError: a file that cannot be read, that is no JSON, or that is another tool's; the latter is named.
    """
    try:
        with open(local, 'rb') as file:
            raw = file.read()
    except OSError as error:
        raise UserError(
            f'{path} cannot be read: {error.strerror}: set the annotation file, e.g. by --cfg-options data_root=...'
        ) from None
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:  # neither JSON nor text
        raise UserError(f'{path} {_why_no_json(path, raw, error)}') from None
    if reason := _other_tool(content):
        raise UserError(f"{path} is not in COCO's format: {reason}")
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not in COCO's format: expected a dictionary of images, annotations and categories; found a "
            f'{type(content).__name__}'
        )
    return _with_known_keys(path, content)


def _why_no_json(path: str, raw: bytes, error: Exception) -> str:
    if not raw.strip():
        return f'is empty ({len(raw)} bytes): export the annotations again'
    for signature, what in _SIGNATURES:
        if raw.lstrip().startswith(signature):
            return what
    if (suffix := PurePath(path).suffix.lower()) in _SUFFIXES:
        return _SUFFIXES[suffix]
    if isinstance(error, UnicodeDecodeError):
        return f'is not a JSON file: byte {error.start} is not {error.encoding.upper()}: save it as UTF-8'
    if isinstance(error, RecursionError):
        return "is not in COCO's format: it is nested too deeply"
    if isinstance(error, json.JSONDecodeError) and error.msg == 'Extra data':
        return (
            f"is not a JSON file: after its first value, line {error.lineno} has another: COCO's format is one "
            'dictionary, not a JSON document on each line'
        )
    text = error.doc if isinstance(error, json.JSONDecodeError) else ''
    if isinstance(error, json.JSONDecodeError) and error.pos < len(text.rstrip()) and 'Unterminated' not in error.msg:
        return f'is not a JSON file: {error}: JSON has texts in double quotes, and no comments or spare commas'
    return f'is not a JSON file: {error}: is it truncated?'


def _other_tool(content: Any) -> str:
    """What the file is instead, and what to do; '' for a file that may be COCO's."""
    if isinstance(content, list):
        return _other_list([entry for entry in content[:100] if isinstance(entry, dict)], len(content))
    if not isinstance(content, dict) or any(key.strip().lower() == 'images' for key in content):
        return ''
    keys = set(content)
    first = next(iter(content.values()), None)
    is_via = any(key.startswith('_via_') for key in keys) or {'project', 'config', 'metadata', 'view'} <= keys
    if is_via or isinstance(first, dict) and {'filename', 'regions'} <= set(first):
        return f'it is a project of the VGG Image Annotator (VIA): {_EXPORT}'
    if 'shapes' in keys and keys & {'imagePath', 'imageData', 'imageHeight'}:
        return "it is labelme's file of one image: convert the folder to COCO, e.g. by labelme2coco"
    if {'data', 'annotations'} <= keys and isinstance(content['data'], dict):
        return f"it is a task of Label Studio's own JSON: {_EXPORT}"
    if {'items', 'categories'} <= keys:
        return f"it is Datumaro's JSON: {_EXPORT}"
    if {'size', 'objects'} <= keys:
        return f"it is Supervisely's file of one image: {_EXPORT}"
    return ''


def _other_list(entries: list[dict], count: int) -> str:
    """What a list is, judged by its first dictionaries."""
    keys = set.intersection(*map(set, entries)) if entries else set()
    if {'image_id', 'score'} <= keys:
        return (
            f'it is a list of {count} predictions (COCO results), which have no images and categories: set the '
            'annotation file to the ground truth'
        )
    if {'image_id', 'category_id'} <= keys:
        return f"it is a bare list of {count} annotations: put it under 'annotations', beside 'images' and 'categories'"
    if 'data' in keys and keys & {'annotations', 'completions', 'predictions'} or {'annotator', 'image'} <= keys:
        return f"it is a list of {count} tasks in Label Studio's own JSON: {_EXPORT}"
    if {'image', 'annotations'} <= keys:
        return f"it is Create ML's list of {count} images: {_EXPORT}"
    if keys & {'Labeled Data', 'data_row', 'Label'}:
        return f"it is Labelbox's list of {count} images: {_EXPORT}"
    return ''


def _with_known_keys(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with its parts under their names in lower case."""
    renamed = {key: key.strip().lower() for key in content if key.strip().lower() in _PARTS and key not in _PARTS}
    renamed = {key: part for key, part in renamed.items() if part not in content}
    if len(set(renamed.values())) < len(renamed):
        raise UserError(f'{path}: {shorten(map(brief, renamed))} are the same part of the file: keep one')
    if renamed:
        key, part = next(iter(renamed.items()))
        print_log(
            f'{path}: {len(renamed)} of {len(content)} keys are written in another way, e.g. {brief(key)}: taken as '
            f"'{part}'",
            logger='current',
            level=logging.WARNING,
        )
    return {renamed.get(key, key): value for key, value in content.items()}
