#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""The same as tools/benchmark.py cost: see mae_transfer/benchmarks/measure_cost.py."""

from mae_transfer import launch
from mae_transfer.benchmarks.measure_cost import main, parse_args

__all__ = ['main', 'parse_args']

if __name__ == '__main__':
    launch.run_main(main)
