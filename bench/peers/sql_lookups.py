"""Looks rows up by primary key through sessions of SQLAlchemy.

``sql_lookups.py URL HOW THREADS SECONDS`` prints the rate.

HOW is ``text``, a statement as text, or ``get``, an object of the ORM.
"""

from __future__ import annotations

import sys
import threading
import time

from sql_models import Customer
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

QUERY = text('SELECT name, city, balance, created FROM customer WHERE id = :id')


def main() -> None:
    """Counts in so many threads for so long."""
    url, how, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    sessions = sessionmaker(create_engine(url, pool_size=threads))
    counts = []

    def look_up(number: int) -> None:
        with sessions() as session:
            if how == 'get':
                name = session.get(Customer, number).name
            else:
                name = session.execute(QUERY, {'id': number}).one().name
        if name != f'Customer {number}':
            raise AssertionError(name)

    def run(number: int) -> None:
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            for _ in range(20):
                number = number % 10000 + 1
                look_up(number)
            count += 20
        counts.append(count)

    running = [threading.Thread(target=run, args=(index * 300,)) for index in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if len(counts) < threads:
        sys.exit('a thread has failed')
    print(sum(counts) / seconds)


if __name__ == '__main__':
    main()
