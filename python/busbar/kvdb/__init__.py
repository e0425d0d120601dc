"""The key/value database, what of it is Python.

* :mod:`busbar.kvdb.exceptions` - what services catch
* :mod:`busbar.kvdb.pubsub`, :mod:`busbar.kvdb.lock`, :mod:`busbar.kvdb.bitfield` - what these methods give
* :mod:`busbar.kvdb.pool` - what libraries ask about the connection
* :mod:`busbar.kvdb.replies` - what replies become that Redis writes as text of its own
"""
