import importlib
import logging
import warnings

import pytest


@pytest.fixture
def logs(native):
    """``busbar.logs`` on the fake native module, with the root logger put back afterwards."""
    logs = importlib.import_module('busbar.logs')

    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield logs
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]


def test_records_reach_the_server_with_level_and_name(logs, native):
    logs.setup('info')
    logging.getLogger('my-service.first').info('Request: %s', {'a': 1})
    logging.getLogger('my-service.first').debug('not this one')
    assert native.lines == [(20, 'my-service.first', "Request: {'a': 1}")]


def test_tracebacks_are_part_of_the_message(logs, native):
    logs.setup()
    try:
        raise ValueError('broken')
    except ValueError:
        logging.getLogger('x').exception('It did not work')
    (level, _, message) = native.lines[0]
    assert level == 40
    assert message.startswith('It did not work\nTraceback')
    assert message.endswith('ValueError: broken')


def test_a_wrong_format_string_fails_nobody(logs, native):
    logs.setup()
    logging.getLogger('x').info('%d files', 'many')
    assert "cannot format the log message '%d files'" in native.lines[0][2]


def test_levels_by_name_and_the_finest_of_all(logs, native):
    logs.setup('warn,chatty=trace,busbar_connectors=debug')
    logging.getLogger('chatty').log(logs.TRACE1, 'a detail')
    logging.getLogger('other').info('not this one')
    assert native.lines == [(6, 'chatty', 'a detail')]
    assert logging.getLevelName(6) == 'TRACE1'
    logging.getLogger('chatty').setLevel(logging.NOTSET)


def test_filters_of_all_services_are_told_from_the_servers_own(logs, native):
    logs.setup('error,service=debug')
    logging.getLogger('my-service').debug('a detail')
    assert native.lines == [(10, 'my-service', 'a detail')]
    logs.setup('off')
    logging.getLogger('my-service').critical('not this one')
    assert len(native.lines) == 1


def test_an_unknown_level_is_refused(logs):
    with pytest.raises(ValueError, match='loud'):
        logs.setup('loud')


def test_warnings_are_logged(logs, native):
    logs.setup()
    warnings.warn('old', stacklevel=1)
    assert native.lines[0][:2] == (30, 'py.warnings')


def test_filters_can_drop_records(logs, native):
    logs.setup()
    handler = logging.getLogger().handlers[0]
    handler.addFilter(lambda record: 'secret' not in record.getMessage())
    logging.getLogger('x').info('a secret')
    logging.getLogger('x').info('news')
    assert [line[2] for line in native.lines] == ['news']


def test_a_service_file_imports(native):
    from zato.server import service

    class Echo(service.Service):
        class SimpleIO:
            input = 'name', service.Int('-count')

    assert issubclass(Echo, native.Service)
    assert all(hasattr(service, name) for name in service.__all__)
