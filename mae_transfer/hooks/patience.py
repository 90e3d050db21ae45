"""Stop a training that no longer improves."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import UserError, is_whole
from ..registry import HOOKS

#: The name of the state in the message hub, which checkpoints hold.
_STATE = 'patience'


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop the training when a metric has not become better for ``patience`` evaluations in a row.

    MMEngine's ``EarlyStoppingHook`` takes an equal value for a better one, so that it would wait for ever where the
    metric stays, and forgets its count when a run is resumed. Here the count is kept in checkpoints, and an evaluation
    that is made again after resuming counts once.

    Args:
        patience: evaluations without a better value, 1 or more.
        metric: the name of the metric, of which more is better, such as 'mIoU'.

    Raises:
        UserError: no such number of evaluations.
    """

    # After the hooks that write the metrics, before the checkpoint of the best one, which then holds the count.
    priority = 'LOW'

    def __init__(self, patience: int, metric: str):
        if not is_whole(patience, 1):
            raise UserError(f'patience is a number of evaluations, 1 or more, or None for no limit; found {patience!r}')
        self.patience, self.metric = patience, metric

    def before_train(self, runner: Runner) -> None:
        """Stop at once where a resumed run had no patience left."""
        self._stop_if_due(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Count the evaluation, and stop after it if it is the last that is waited for.

        Raises:
            UserError: the evaluation has no such metric.
        """
        if self.metric not in (metrics or {}):
            raise UserError(
                f"patience waits for '{self.metric}', which the evaluation has not: it has "
                f'{", ".join(metrics or ()) or "nothing"}: set default_hooks.patience.metric'
            )
        value, state = float(metrics[self.metric]), self._state(runner)  # type: ignore[index]
        if state.get('at') == runner.iter:
            return  # made again after resuming
        is_better = state.get('best') is None or value > state['best']
        waited = 0 if is_better else state['waited'] + 1
        best = value if is_better else state['best']
        runner.message_hub.update_info(_STATE, dict(best=best, waited=waited, at=runner.iter))
        self._stop_if_due(runner)

    def _state(self, runner: Runner) -> dict[str, Any]:
        return runner.message_hub.runtime_info.get(_STATE) or {}

    def _stop_if_due(self, runner: Runner) -> None:
        state = self._state(runner)
        if state.get('waited', 0) >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(
                f'stopped: {self.metric} has not become better than {state["best"]:.4g} for {state["waited"]} '
                f'evaluations (patience={self.patience})'
            )
