"""What the course of a pre-training's evaluations says: go on, stop, or look closer.

The limits are rules of thumb, ours, and not from a paper. docs/is_it_learning.md says what they were tried on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: Evaluations that a verdict looks back over; it needs the one before them too.
WINDOW = 5
#: Per cent that the held-out loss has to change by over the window, for the change to count.
LEAST_FALL = 1.0
#: Points of accuracy, likewise; or the standard error of the accuracy, where the images are few and that is more.
LEAST_POINTS = 0.5
#: Features have collapsed below this share of the rank that they can have, or of the greatest that they had.
COLLAPSED_SHARE, COLLAPSED_FALL = 0.02, 0.25
#: Below this share of its peak the learning rate is at the end of its schedule, where every curve is flat.
END_OF_SCHEDULE = 0.1


class Watched(NamedTuple):
    """What the entries of a history are called, and what bounds them.

    Args:
        loss: metric of the held-out loss.
        loss_title: what the advice calls it.
        most_rank: the greatest rank that the features can have: the lesser of their number and their width.
        accuracies: {metric in per cent: what the advice calls it}.
        images: number of images that the accuracies are of.
    """

    loss: str
    loss_title: str
    most_rank: int
    accuracies: Mapping[str, str] = {}
    images: int = 0


class Advice(NamedTuple):
    """A line for the log, and whether it warns."""

    text: str
    is_warning: bool = False


def advice(history: Sequence[Mapping[str, float]], watched: Watched) -> list[Advice]:
    """What to make of the evaluations so far; nothing while they are too few.

    Args:
        history: an entry for each evaluation, oldest first: the loss, 'learning/rank_me', the accuracies, and 'lr', the
            learning rate at that time. Entries may lack values.
    """
    found = [collapse(history, watched), verdict(history, watched)]
    return [part for part in found if part is not None]


def collapse(history: Sequence[Mapping[str, float]], watched: Watched) -> Advice | None:
    """A warning if the features of the last evaluation have collapsed; random weights, before any step, cannot have."""
    ranks = [entry['learning/rank_me'] for entry in history if 'learning/rank_me' in entry and entry.get('iter') != 0]
    if not ranks:
        return None
    last, most = ranks[-1], watched.most_rank
    if last < max(COLLAPSED_SHARE * most, 1 + COLLAPSED_SHARE):
        return Advice(f'features collapse: RankMe {last:.3g} of {most}, nearly one direction for all photos', True)
    if last < COLLAPSED_FALL * max(ranks):
        return Advice(f'features collapse: RankMe {last:.3g} of {most}, and was {max(ranks):.3g}', True)
    return None


def verdict(history: Sequence[Mapping[str, float]], watched: Watched) -> Advice | None:
    """Whether longer training helps, by the last :data:`WINDOW` evaluations; None while there are fewer."""
    entries = [entry for entry in history if watched.loss in entry][-WINDOW - 1 :]
    if len(entries) <= WINDOW or entries[0][watched.loss] == 0:
        return None
    first, last = entries[0], entries[-1]
    fall = 100 * (first[watched.loss] - last[watched.loss]) / abs(first[watched.loss])
    points = {
        title: last[metric] - first[metric]
        for metric, title in watched.accuracies.items()
        if metric in first and metric in last
    }
    gains = any(
        points[title] >= least_points(last[metric], watched.images)
        for metric, title in watched.accuracies.items()
        if title in points
    )
    over = f'over the last {WINDOW} evaluations'
    loss = f'{watched.loss_title} {"fell" if fall >= 0 else "rose"} by {abs(fall):.2g} % {over}'
    also = ''.join(f', {title} {value:+.1f} points' for title, value in points.items())
    if fall <= -LEAST_FALL and not gains:
        return Advice(f'{loss}{also}: the model fits the training photos alone: stop, or give more photos', True)
    if fall >= LEAST_FALL and (gains or not points):
        return Advice(
            f'{watched.loss_title} is still falling by {fall / WINDOW:.2g} % an evaluation{also}: longer training helps'
        )
    if fall >= LEAST_FALL:
        return Advice(f'{loss}{also}: the loss falls, but the features get no better for these classes')
    if gains:
        return Advice(f'{loss}{also}: the features still get better: longer training helps')
    peak = max(entry.get('lr', 0.0) for entry in history)
    if 'lr' in last and last['lr'] < END_OF_SCHEDULE * peak:
        return Advice(
            f'{loss}{also}: little moves, at {100 * last["lr"] / peak:.2g} % of the highest learning rate: every '
            'schedule ends flat, so this does not say whether a longer one would help'
        )
    return Advice(f'{loss}{also}: longer training changes little')


def least_points(top1: float, images: int) -> float:
    """How many points an accuracy has to gain to count: :data:`LEAST_POINTS`, or its standard error if that is more.

    Args:
        top1: in per cent.
        images: that it is of.
    """
    share = min(max(top1 / 100, 0.0), 1.0)
    return max(LEAST_POINTS, 100 * math.sqrt(share * (1 - share) / images) if images else 0.0)
