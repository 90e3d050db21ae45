"""Predicted boxes, masks and classes next to the ground truth, from the files that an evaluation writes."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

#: Colours of classes without a palette.
COLOURS = (
    (230, 70, 70),
    (60, 150, 240),
    (250, 190, 50),
    (70, 190, 110),
    (190, 100, 220),
    (240, 130, 60),
    (50, 200, 200),
    (220, 90, 150),
    (140, 140, 60),
    (120, 110, 230),
)
MARGIN = 4


def detection_sheet(
    annotations: Path, images: Path, results: Path, count: int = 8, zoom: int = 3, score: float = 0.3
) -> Image.Image:
    """Draw a row for each image: the photo, the true instances, the predicted instances.

    Args:
        annotations: the COCO JSON file of the ground truth.
        images: folder of its images.
        results: the COCO results JSON file of the masks (``CocoMetric``'s ``outfile_prefix`` + ``.segm.json``).
        count: number of images, those with the lowest ids.
        zoom: enlargement of the images, so that thin outlines and small objects are visible.
        score: predictions with a lower score are not drawn.
    """
    coco = _read_coco(annotations)
    predictions = json.loads(Path(results).read_text())
    rows = []
    for image_id in sorted(coco.getImgIds())[:count]:
        photo = Image.open(images / coco.loadImgs(image_id)[0]['file_name']).convert('RGB')
        truth = [(coco.annToMask(a), a['category_id'], None) for a in coco.loadAnns(coco.getAnnIds(image_id))]
        predicted = [
            (coco.annToMask(p), p['category_id'], p['score'])
            for p in predictions
            if p['image_id'] == image_id and p['score'] >= score
        ]
        rows.append(
            [_enlarge(photo, zoom), _draw_instances(photo, truth, zoom), _draw_instances(photo, predicted, zoom)]
        )
    names = {category['id']: category['name'] for category in coco.loadCats(coco.getCatIds())}
    legend = [(names[i], _colour(i)) for i in sorted(names)]
    return _sheet(rows, ('photo', 'truth', f'predicted (score > {score})'), legend)


def segmentation_sheet(
    images: list[Path],
    truths: list[Path],
    predictions: list[Path],
    classes: tuple[str, ...],
    palette: list[list[int]],
    zoom: int = 3,
) -> Image.Image:
    """Draw a row for each image: the photo, the true classes, the predicted classes.

    Args:
        images: files of the photos.
        truths, predictions: files of their label maps; labels begin at 1, and 0 is no class, as in ADE20K.
        classes, palette: names and colours of the classes.
        zoom: enlargement of the images.
    """
    colours = np.array([[0, 0, 0], *palette], np.uint8)
    rows = []
    for image, truth, prediction in zip(images, truths, predictions):
        row = [Image.open(image).convert('RGB')]
        row += [Image.fromarray(colours[np.asarray(Image.open(labels))]) for labels in (truth, prediction)]
        rows.append([_enlarge(picture, zoom) for picture in row])
    return _sheet(rows, ('photo', 'truth', 'predicted'), list(zip(classes, map(tuple, palette))))


def _read_coco(annotations: Path) -> COCO:
    """Read a file with pycocotools, without its prints."""
    coco = COCO()
    coco.dataset = json.loads(Path(annotations).read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _colour(category: int) -> tuple[int, int, int]:
    return COLOURS[category % len(COLOURS)]


def _enlarge(picture: Image.Image, zoom: int) -> Image.Image:
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def _draw_instances(photo: Image.Image, instances: list, zoom: int) -> Image.Image:
    """Draw instances, each a mask (H, W), a category and a score or None, into a photo."""
    pixels = np.asarray(photo).astype(np.float32)
    for mask, category, _ in instances:
        pixels[mask > 0] = 0.45 * pixels[mask > 0] + 0.55 * np.array(_colour(category))
    picture = _enlarge(Image.fromarray(pixels.astype(np.uint8)), zoom)
    draw = ImageDraw.Draw(picture)
    for mask, category, score in instances:
        rows, columns = np.nonzero(mask)
        if len(rows):
            box = [columns.min() * zoom, rows.min() * zoom, (columns.max() + 1) * zoom - 1, (rows.max() + 1) * zoom - 1]
            draw.rectangle(box, outline=_colour(category), width=2)
            if score is not None:
                draw.text((box[0] + 3, box[1] + 1), f'{score:.2f}', fill=(255, 255, 255))
    return picture


def _sheet(rows: list[list[Image.Image]], titles: tuple[str, ...], legend: list[tuple[str, tuple]]) -> Image.Image:
    """Arrange pictures in rows, with a title above each column and a legend of (name, colour) below."""
    widths = [max(row[column].width for row in rows) for column in range(len(titles))]
    heights = [max(picture.height for picture in row) for row in rows]
    head, foot = 20, 18 * -(-len(legend) // 3) + MARGIN
    total_width = sum(widths) + MARGIN * (len(widths) - 1)
    total_height = head + sum(heights) + MARGIN * len(rows) + foot
    sheet = Image.new('RGB', (total_width, total_height), 'white')
    draw = ImageDraw.Draw(sheet)
    left = 0
    for title, width in zip(titles, widths):
        draw.text((left + 4, 4), title, fill='black')
        left += width + MARGIN
    top = head
    for row, height in zip(rows, heights):
        left = 0
        for picture, width in zip(row, widths):
            sheet.paste(picture, (left, top))
            left += width + MARGIN
        top += height + MARGIN
    for i, (name, colour) in enumerate(legend):
        x, y = i % 3 * (sheet.width // 3) + 4, top + i // 3 * 18
        draw.rectangle([x, y + 2, x + 12, y + 14], fill=tuple(colour))
        draw.text((x + 18, y + 2), name, fill='black')
    return sheet
