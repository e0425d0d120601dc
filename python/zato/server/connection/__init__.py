"""Connections, as far as services import names from here."""
