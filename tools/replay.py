#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Run a step again that was left out because its gradients were not finite, and say where that began.

    tools/replay.py work_dirs/mae_pretrain_vitl/steps_not_finite/iter_1200.pth

The file holds the run as it was before the step, its config too. The same items are read with the same seeds, and the
same forward and backward passes are made; nothing is trained. Printed are the losses and the norm of the gradients,
then and now, the files of the step, and the first layer whose output is not finite. --cfg-options changes the run's
settings, such as optim_wrapper.dtype=float32, or data_root if the data were moved. A step of several processes is run
again by as many: torchrun --nproc_per_node N tools/replay.py FILE --launcher pytorch.
"""

import argparse
import tempfile

from mae_transfer import launch
from mae_transfer.compat import distributed
from mae_transfer.experiments.replay import replay
from mae_transfer.vit.weights.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', help='a file of steps_not_finite/ in the work_dir of a run')
    launch.run_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Run the step again."""
    args = parse_args()
    distributed.start_group(args.launcher)
    with launch.console(args.verbose), tempfile.TemporaryDirectory() as folder:
        for line in replay(find_checkpoint(args.file), args.cfg_options, args.launcher, folder):
            print(line, flush=True)


if __name__ == '__main__':
    launch.run_main(main)
