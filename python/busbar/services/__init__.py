"""Built-in services: deployed when the server starts, before those of users.

A module in this package is one line in ``BUILTIN_SERVICES`` (``server/app/registry.rs``). Each of its classes has a
``name``; classes that users derive from are elsewhere, because a ``name`` is inherited.
"""
