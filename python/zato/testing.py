"""What tests of services import; see docs/testing.md."""

from zato.common.test import ServiceTestCase

__all__ = ['ServiceTestCase']
