"""Parts of ``self.server``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from bunch import Bunch, bunchify


def settings(directory: Path | None) -> Bunch:
    """What ``server.toml`` in ``directory`` says; what it does not say is not there."""
    if directory is None:
        return Bunch()
    try:
        text = (directory / 'server.toml').read_text()
    except FileNotFoundError:
        return Bunch()
    found: Bunch = bunchify(tomllib.loads(text))
    return found


class ServiceStore:
    """``self.server.service_store``: names of the services that were deployed when it was asked for."""

    def __init__(self, names: dict[str, str]) -> None:
        #: ``module.Class`` by name.
        self.name_to_impl_name = names
        #: The other way.
        self.impl_name_to_name = {impl_name: name for name, impl_name in names.items()}

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """By ``module.Class``, what is known of each."""
        return {
            impl_name: {'name': name, 'impl_name': impl_name, 'is_active': True}
            for impl_name, name in self.impl_name_to_name.items()
        }
