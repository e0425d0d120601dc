"""``self.crypto`` for callers from outside: behind ``/zato/crypto/``."""

from __future__ import annotations

from zato.common.exception import BadRequest
from zato.server.service import AsIs, Bool, Int, Service


class Encrypt(Service):
    """Encrypts text with the server's key."""

    name = 'zato.crypto.encrypt'

    class SimpleIO:
        """Text, and the token."""

        input = 'clear_text'
        output = 'encrypted'
        response_elem = None

    def handle(self) -> None:
        """Encrypts."""
        self.response.payload.encrypted = self.crypto.encrypt(_text(self, 'clear_text'))


class Decrypt(Service):
    """Decrypts what was encrypted with the server's key."""

    name = 'zato.crypto.decrypt'

    class SimpleIO:
        """The token, and its text."""

        input = 'encrypted'
        output = 'clear_text'
        response_elem = None

    def handle(self) -> None:
        """Decrypts."""
        try:
            self.response.payload.clear_text = self.crypto.decrypt(_text(self, 'encrypted'))
        except ValueError as e:
            raise BadRequest(self.cid, str(e)) from None


class HashSecret(Service):
    """Hashes a password."""

    name = 'zato.crypto.hash-secret'

    class SimpleIO:
        """The password, and its hash."""

        input = 'clear_text'
        output = 'hashed'
        response_elem = None

    def handle(self) -> None:
        """Hashes."""
        self.response.payload.hashed = self.crypto.hash_secret(_text(self, 'clear_text'))


class VerifyHash(Service):
    """Tells whether a hash is of a password."""

    name = 'zato.crypto.verify-hash'

    class SimpleIO:
        """The password and the hash, and whether they belong together."""

        input = AsIs('given'), AsIs('expected')
        output = Bool('is_valid')
        response_elem = None

    def handle(self) -> None:
        """Compares."""
        given, expected = self.request.input.given, self.request.input.expected
        try:
            self.response.payload.is_valid = self.crypto.verify_hash(str(given), str(expected))
        except ValueError as e:
            raise BadRequest(self.cid, str(e)) from None


class GenerateSecret(Service):
    """Makes a random secret."""

    name = 'zato.crypto.generate-secret'

    class SimpleIO:
        """How many bits, and the secret."""

        input = Int('-bits')
        output = 'secret'
        response_elem = None

    def handle(self) -> None:
        """Makes one."""
        self.response.payload.secret = _random(self, 256)


class GeneratePassword(Service):
    """Makes a random password."""

    name = 'zato.crypto.generate-password'

    class SimpleIO:
        """How many bits, and the password."""

        input = Int('-bits')
        output = 'password'
        response_elem = None

    def handle(self) -> None:
        """Makes one."""
        self.response.payload.password = _random(self, 192)


def _text(service: Service, name: str) -> str:
    """A declared value, which is there but may be ``null``."""
    value = service.request.input[name]
    if value is None:
        raise BadRequest(service.cid, f'field `{name}`: must be text', True)
    return str(value)


def _random(service: Service, default: int) -> str:
    """Random text of as many bits as the caller asks for."""
    bits = service.request.input.get('bits')
    if bits in ('', None):
        bits = default
    if bits < 0:
        raise BadRequest(service.cid, f'field `bits`: must not be negative, is {bits}', True)
    try:
        return service.crypto.generate_password(bits, to_str=True)
    except (ValueError, OverflowError) as e:
        raise BadRequest(service.cid, f'field `bits`: {e}', True) from None
