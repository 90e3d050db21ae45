#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Before a training: which splits of its batch fit into the GPUs' memory, how long it takes, and the command line.

    tools/plan.py configs/mae_pretrain_vitb.py --gpus 4 --gpu-memory 24 --images 1281167 --tflops 165
    tools/plan.py configs/mae_pretrain_vitl.py --gpus 8 --gpu-memory 80 --images 1281167 --tflops 989 --share .4
    tools/plan.py configs/ade20k_upernet_vitb.py --gpus 2 --gpu-memory 24 --images-per-second 30

Needs no GPU and no data. Nothing is measured: the memory is that of all tensors of a training step, which is run on
fake tensors (mae_transfer/planning/expected_memory.py says what is not counted; the margin is for that); the time is
the step's FLOPs at a share of a matrix rate that you state, or follows from images per second that you measured. Of
detectors the activations of backbone and pyramid count, and not those of the heads.
"""

import argparse

from mae_transfer import launch
from mae_transfer.command import plan


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    plan.add_options(parser)
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='settings')
    args = parser.parse_args()
    plan.request_of(args)
    return args


def main() -> None:
    """Print the plan."""
    plan.run(parse_args())


if __name__ == '__main__':
    launch.run_main(main)
