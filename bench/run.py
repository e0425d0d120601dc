#!/usr/bin/env python3
"""Measures busbar against hyper alone and against other Python servers: what `make bench` runs.

    python bench/run.py                       everything, about six minutes
    python bench/run.py --part bare           one part; may be given several times
    python bench/run.py --seconds 2 --rounds 1    a quick look
    python bench/run.py --part objects        very many objects, which is not part of everything

Prints a table, and the same as one line of JSON. Exits with 1 if a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import many
import parts
import servers

#: What can be asked for.
PARTS = {**parts.ALL, 'objects': many.objects}


def main() -> int:
    """Runs the parts that were asked for."""
    parser = argparse.ArgumentParser(description='Measures busbar against its peers.')
    parser.add_argument(
        '--part', action='append', choices=list(PARTS), help='what to measure; everything but `objects` if left out'
    )
    parser.add_argument('--seconds', type=float, default=5, help='length of one run of the load generator')
    parser.add_argument('--rounds', type=int, default=3, help='runs of each server; the median counts')
    parser.add_argument('--connections', type=int, action='append', help='for the bare service; 64 and 8 if left out')
    parser.add_argument(
        '--json', type=Path, default=servers.ROOT / 'target' / 'bench.json', help='where the report goes'
    )
    parser.add_argument('--busbar', type=Path, default=servers.ROOT / 'target' / 'release' / 'busbar')
    parser.add_argument('--even', action='store_true', help='mixed load: calls at even distances, not at random ones')
    parser.add_argument('--objects', type=int, default=10_000, help='part `objects`: how many of each type')
    arguments = parser.parse_args()

    servers.require(arguments.busbar)
    programs = servers.ROOT / 'target' / 'release'
    # that part has no peers, and measures any executable
    if arguments.part != ['objects']:
        build()
        servers.require('wrk', servers.PEERS / 'granian')
    options = parts.Options(
        busbar=arguments.busbar.resolve(),
        programs=programs,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        connections=arguments.connections or [64, 8],
        even=arguments.even,
        objects=arguments.objects,
    )

    rows: list[parts.Row] = []
    broken = False
    for name in arguments.part or list(parts.ALL):
        print(f'measuring: {name}', file=sys.stderr, flush=True)
        try:
            found = PARTS[name](options)
        except servers.Failure as failure:
            print(f'error: {name}: {failure}', file=sys.stderr)
            broken = True
            continue
        show(found)
        rows += found

    report = {'cores': os.cpu_count(), 'rows': [row.record() for row in rows]}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + '\n')
    print(json.dumps(report))

    missed = [row for row in rows if row.missed]
    for row in missed:
        text = f'missed: {row.part}, {row.case}, {row.server}: {row.value:.2f} {row.unit}, target {row.target}'
        print(text, file=sys.stderr)
    return 1 if missed or broken else 0


def build() -> None:
    """Builds the baseline and the load generator."""
    done = subprocess.run(
        ['cargo', 'build', '--release', '--locked', '-q', '-p', 'busbar-bench'],
        cwd=servers.ROOT,
        check=False,
    )
    if done.returncode:
        sys.exit('the baseline does not build')


def show(rows: list[parts.Row]) -> None:
    """Prints rows as a table."""
    header = ('case', 'server', 'figure', 'target', '')
    lines = [
        (
            row.case,
            row.server,
            f'{row.value:,.2f} {row.unit}',
            row.target + (' MISSED' if row.missed else ''),
            row.detail,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    for line in [header, tuple('-' * width for width in widths), *lines]:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(flush=True)


if __name__ == '__main__':
    sys.exit(main())
