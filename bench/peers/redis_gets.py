"""Gets a value of Redis over and over with redis-py: ``redis_gets.py SOCKET THREADS SECONDS`` prints the rate."""

from __future__ import annotations

import sys
import threading
import time

import redis


def main() -> None:
    """Counts in so many threads for so long."""
    path, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    conn = redis.Redis(unix_socket_path=path, decode_responses=True)
    conn.set('bench', 'x' * 64)
    counts = []

    def run() -> None:
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            for _ in range(20):
                conn.get('bench')
            count += 20
        counts.append(count)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print(sum(counts) / seconds)


if __name__ == '__main__':
    main()
