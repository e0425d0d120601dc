"""Reads 10,000 rows of eight columns with psycopg2.

``sql_rows.py URL TIMES`` prints the median time in milliseconds.
"""

from __future__ import annotations

import statistics
import sys
import time

import psycopg2


def main() -> None:
    """Reads the table so many times."""
    url, times = sys.argv[1], int(sys.argv[2])
    connection = psycopg2.connect(url)
    taken = []
    for _ in range(times):
        cursor = connection.cursor()
        began = time.perf_counter()
        cursor.execute('SELECT id, name, city, balance, score, is_active, born, created FROM customer')
        rows = cursor.fetchall()
        taken.append((time.perf_counter() - began) * 1e3)
        if len(rows) != 10000 or not isinstance(rows[0], tuple):
            raise AssertionError(rows[:1])
        cursor.close()
    print(statistics.median(taken))


if __name__ == '__main__':
    main()
