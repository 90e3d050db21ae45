"""Check that the training data, the validation data and the model have the same classes."""

from __future__ import annotations

from ...errors import UserError, shorten
from ...paths import shown
from ..files.image_files import warn_once
from .classes import naming_classes
from .labelled import LabelSpace
from .source import check_several_classes


def check_same_classes(train: LabelSpace, val: LabelSpace, num_classes: int) -> None:
    """Compare the label spaces of two data sets and the number of classes of a model.

    Args:
        num_classes: of the model; 0 for a model without a head, which fits any data.

    Raises:
        UserError: the classes of the data sets differ; a data set has but one; their number differs from
            ``num_classes``.
    """
    count = len(train.classes)
    if train.numbered or val.numbered:
        # Bare numbers cannot be compared with names, and the last classes may be missing.
        if len(val.classes) > count:
            raise UserError(f'val has labels up to {len(val.classes) - 1}, but train has {count} classes')
        if train.numbered != val.numbered:
            numbers, names = ('val', train) if val.numbered else ('train', val)
            warn_once(
                f'the labels of {numbers} are numbers, the classes of the other data have names: label 0 is taken as '
                f"'{names.classes[0]}', {len(names.classes) - 1} as '{names.classes[-1]}'"
            )
    elif train.classes != val.classes:
        in_train, in_val = set(train.classes), set(val.classes)
        differences = []
        for split, only in (('train', sorted(in_train - in_val)), ('val', sorted(in_val - in_train))):
            if only:
                differences.append(f'{len(only)} only in {split} ({shorten(only, 3)})')
        advice = ''
        if count == len(val.classes) == 1:
            advice = ': each has a single folder; the class folders belong directly into those of train and val'
        if in_train < in_val or in_val < in_train:  # otherwise one of them may be misspelt
            missing, whole = ('val', train) if in_val < in_train else ('train', val)
            advice = f': if {missing} has no images of the others, {naming_classes(whole.classes)}'
        raise UserError(
            f'the classes of train ({count}) and val ({len(val.classes)}) differ: '
            f'{" and ".join(differences) or "in their order"}{advice}'
        )
    for space in (train, val):
        if space.root is not None:
            check_several_classes(space.root, space.used)
    _tell_shared_images(train, val)
    if num_classes not in (0, count):
        raise UserError(
            f'the data has {count} classes, the model has num_classes={num_classes}: choose --cfg-options '
            f'model.num_classes={count}{"".join(f" ({note})" for note in train.notes)}'
        )


def _tell_shared_images(train: LabelSpace, val: LabelSpace) -> None:
    """Tell in the log of listed images that are in both data sets."""
    if not train.labels or not val.labels:
        return
    shared = [path for path in val.labels if path in train.labels]
    if shared:
        other = sum(train.labels[path] != val.labels[path] for path in shared) if train.classes == val.classes else 0
        warn_once(
            f'{len(shared)} of {len(val.labels)} listed images of val are in train, too, e.g. {shown(shared[0])}: '
            'their accuracy says nothing about new images' + (f'; {other} have another label there' if other else '')
        )
