"""The class of ``self.crypto``, for what needs no key: ``CryptoManager.generate_secret()``."""

from __future__ import annotations

from _busbar import Crypto as CryptoManager

__all__ = ['CryptoManager']
