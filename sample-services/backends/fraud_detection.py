"""Stands in for a fraud detection system: prints each report that arrives on a ZeroMQ PULL socket.

python fraud_detection.py --address tcp://127.0.0.1:35101
"""

from __future__ import annotations

import argparse
import json
import logging
import sys

import zmq


def main() -> int:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(description='Prints what arrives on a ZeroMQ PULL socket.')
    parser.add_argument(
        '--address', default='tcp://127.0.0.1:35101', help='port * picks a free one, which the log names'
    )
    parser.add_argument('--count', type=int, default=0, help='stop after so many messages')
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format='%(levelname)s - %(message)s')

    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        try:
            socket.bind(options.address)
        except zmq.ZMQError as error:
            logging.error('Cannot listen on %s: %s', options.address, error)
            return 1
        logging.info('Fraud detection runs on %s', socket.getsockopt_string(zmq.LAST_ENDPOINT))

        received = 0
        while not options.count or received < options.count:
            message = socket.recv()
            received += 1
            try:
                logging.info('%s', json.loads(message))
            except ValueError:
                logging.warning('Not JSON: %r', message)
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
