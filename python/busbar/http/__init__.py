"""Outgoing HTTP: see :mod:`busbar.http.exceptions`."""
