"""Takes single measurements: throughput with wrk, latency with the load generator, memory from /proc."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import BODY, Failure


@dataclass
class Throughput:
    """What wrk saw."""

    #: Answers a second.
    rate: float
    #: 99th percentile of the time to an answer, in milliseconds.
    p99_ms: float
    #: Connections that broke or timed out.
    broken: int
    #: Answers with a status of 400 or more.
    refused: int
    #: Answers.
    answers: int


def wrk(address: str, path: str, connections: int, seconds: float, body: str = BODY) -> Throughput:
    """Sends the same POST over so many connections for so long."""
    with tempfile.NamedTemporaryFile('w', suffix='.lua') as script:
        script.write(f'wrk.method = "POST"\nwrk.body = {json.dumps(body)}\n')
        script.write('wrk.headers["Content-Type"] = "application/json"\n')
        script.flush()
        command = ['wrk', '-t2', f'-c{connections}', f'-d{max(1, round(seconds))}s', '--latency', '-s', script.name]
        done = subprocess.run([*command, f'http://{address}{path}'], capture_output=True, text=True, check=False)
    rate = re.search(r'Requests/sec:\s+([\d.]+)', done.stdout)
    total = re.search(r'(\d+) requests in', done.stdout)
    p99 = re.search(r'99%\s+([\d.]+)(us|ms|s)\b', done.stdout)
    if done.returncode or not rate or not total or not p99:
        message = f'wrk failed at {address}{path}: {done.stderr}{done.stdout}'
        raise Failure(message)
    errors = re.search(r'Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)', done.stdout)
    refused = re.search(r'Non-2xx or 3xx responses: (\d+)', done.stdout)
    unit = {'us': 1e-3, 'ms': 1, 's': 1e3}[p99.group(2)]
    return Throughput(
        rate=float(rate.group(1)),
        p99_ms=float(p99.group(1)) * unit,
        broken=sum(map(int, errors.groups())) if errors else 0,
        refused=int(refused.group(1)) if refused else 0,
        answers=int(total.group(1)),
    )


def load(
    programs: Path, address: str, slow_path: str, rate: float, seconds: float, seed: int, even: bool
) -> dict[str, Any]:
    """Short calls at a fixed rate, one in ten of them to ``slow_path``: the figures of both kinds."""
    command = [str(programs / 'load'), '--address', address, '--path', '/bare', '--slow-path', slow_path]
    command += ['--rate', str(rate), '--seconds', str(seconds), '--seed', str(seed), *(['--even'] if even else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f'the load generator failed at {address}: {done.stderr}'
        raise Failure(message)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of a process in megabytes: resident, and its share of it where pages are shared with others."""
    sizes = dict(re.findall(r'^(\w+):\s+(\d+) kB', Path(f'/proc/{pid}/smaps_rollup').read_text(), re.MULTILINE))
    return {'resident': int(sizes['Rss']) / 1024, 'proportional': int(sizes['Pss']) / 1024}


def children(pid: int) -> list[int]:
    """Processes that ``pid`` has started."""
    found = []
    for task in Path(f'/proc/{pid}/task').iterdir():
        found += [int(child) for child in (task / 'children').read_text().split()]
    return found


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the others lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


median = statistics.median
