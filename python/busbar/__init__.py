"""What busbar itself needs in Python: names that its Rust side looks up, and nothing that services have to import.

* :mod:`busbar.client` - calls services from outside; for programs that run without a server too
* :mod:`busbar.sio` - SimpleIO declaration elements
* :mod:`busbar.errors` - exceptions that only busbar raises
* :mod:`busbar.logs` - Python's logging, handed over to the server's log
* :mod:`busbar.http.exceptions`, :mod:`busbar.kvdb.exceptions` - errors of connections under the names their users know
"""
