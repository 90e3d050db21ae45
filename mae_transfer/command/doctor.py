"""What of this installation and machine works: packages and their versions, GPUs and their driver, native operators,
decoders of images, a compiler, room on the disk. A line each, ok, missing or wrong, with what to do. The exit code is 0
unless something that is needed is missing or broken."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

EXAMPLES = ('mae-transfer doctor', 'mae-transfer doctor --json')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to print it."""
    parser.add_argument('--json', action='store_true', help='print one list in JSON instead of lines')


def run(args: argparse.Namespace) -> int:
    """Print what is found; returns the exit code."""
    from ..doctor.examination import examine

    found, topic = [], ''
    for finding in examine():
        found.append(finding)
        if args.json:
            continue
        if finding.topic != topic:
            topic = finding.topic
            print(f'{topic}:')
        print(f'  {finding}', flush=True)
    failures = [finding.name for finding in found if finding.is_failure]
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        print(f'{", ".join(failures)}: needed, and missing or wrong' if failures else 'all that is needed works')
    return 1 if failures else 0
