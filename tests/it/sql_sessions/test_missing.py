"""Where SQLAlchemy is not installed."""

import sys

from zato.server.service import Service


class Asks(Service):
    def handle(self):
        self.response.payload = ''
        try:
            self.outgoing.sql['CRM'].session()
        except ImportError as error:
            self.response.payload = str(error)


def test_what_to_install_is_said(bus, monkeypatch):
    bus.sql('CRM')
    bus.deploy(Asks)
    for name in list(sys.modules):
        if name.split('.')[0] == 'sqlalchemy' or name in {'busbar.sql.engines', 'busbar.sql.session'}:
            monkeypatch.delitem(sys.modules, name)
    # an import of what is None fails as that of what is not there
    monkeypatch.setitem(sys.modules, 'sqlalchemy', None)
    answer = bus.call(Asks, data_format='')
    assert answer.text == 'outgoing SQL connections need the package SQLAlchemy: pip install SQLAlchemy'
