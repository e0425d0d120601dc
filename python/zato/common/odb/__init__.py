"""The database of the server's objects, as far as services import from it."""
