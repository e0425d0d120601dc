"""Locks that servers share: ``self.lock``."""

from __future__ import annotations

from busbar.facilities.lock import Lock, LockManager, LockTimeout

__all__ = ['Lock', 'LockManager', 'LockTimeout']
