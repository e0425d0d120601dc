"""The names that services import, as they know them from Zato: ``from zato.server.service import Service``."""
