"""Subscribes to what the downcase service publishes, prints it and writes it to ``subscriber.log``.

python subscriber.py --address tcp://127.0.0.1:4444
"""

from __future__ import annotations

import argparse
import logging
import sys

import zmq


def main() -> int:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(description='Prints and keeps what a ZeroMQ publisher sends.')
    parser.add_argument('--address', default='tcp://127.0.0.1:4444')
    parser.add_argument('--log', default='subscriber.log', help='file that messages are added to')
    parser.add_argument('--count', type=int, default=0, help='stop after so many messages')
    options = parser.parse_args()

    logging.basicConfig(
        level=logging.INFO,
        format='%(asctime)s - %(message)s',
        handlers=[logging.StreamHandler(sys.stdout), logging.FileHandler(options.log, encoding='utf8')],
    )

    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        # reconnects by itself when the publisher comes back
        socket.connect(options.address)
        socket.setsockopt_string(zmq.SUBSCRIBE, '')
        print(f'listening to {options.address}', flush=True)

        received = 0
        while not options.count or received < options.count:
            logging.info('%s', socket.recv().decode('utf8', 'replace'))
            received += 1
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
