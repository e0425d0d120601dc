"""Errors about input that does not have the declared shape: see :mod:`zato.common.marshal_.api`."""
