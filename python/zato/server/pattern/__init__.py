"""Patterns of calling services."""
