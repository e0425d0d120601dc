"""The key/value database: see :mod:`busbar.kvdb.exceptions`."""
