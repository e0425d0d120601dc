"""Runs SQLAlchemy's own tests of dialects, on databases that are made for the run and dropped afterwards.

    scripts/dialects postgresql

What a dialect or its database cannot is listed in ``cannot.toml``, with the reason. The list is compared with what is
the case both ways: a listed test that passes fails the run, and so does a requirement that no test asks for, and a
test that is skipped for a reason that is not listed.
"""

import importlib
import os
import re
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
pytest.register_assert_rewrite('sqlalchemy.testing.assertions')

from requirements import ASKED, LISTED, cannot  # noqa: E402
from sqlalchemy.testing.plugin import plugin_base, pytestplugin  # noqa: E402
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403

from busbar.sql import dialects  # noqa: E402

dialects.register()


class Databases:
    """The databases of one run. Their names are its own, so that runs do not meet."""

    def __init__(self, given):
        self.given = make_url(given)
        self.backend = self.given.get_backend_name()
        self.ident = f'busbar_dialects_{os.getpid()}_{uuid.uuid4().hex[:6]}'
        # what SQLAlchemy's tests need of a database goes with its own dialects
        folder = {'mariadb': 'mysql'}.get(self.backend, self.backend)
        importlib.import_module(f'sqlalchemy.dialects.{folder}.provision')
        plugin_base.configure_follower(self.ident)
        self.names = [self.ident]
        if self.backend == 'mariadb':
            self.names += [f'{self.ident}_test_schema', f'{self.ident}_test_schema_2']

    def create(self):
        if self.backend == 'sqlite':
            return self.given
        for name in self.names:
            self._run(f'CREATE DATABASE {name}')
        url = self.given.set(database=self.ident)
        if self.backend == 'postgresql':
            engine = create_engine(url)
            with engine.begin() as connection:
                for schema in ('test_schema', 'test_schema_2'):
                    connection.exec_driver_sql(f'CREATE SCHEMA {schema}')
                for extension in ('citext', 'hstore'):
                    connection.exec_driver_sql(f'CREATE EXTENSION {extension}')
            engine.dispose()
        return url

    def drop(self):
        if self.backend == 'sqlite':
            return
        for name in self.names:
            self._run(f'DROP DATABASE IF EXISTS {name}' + (' WITH (FORCE)' if self.backend == 'postgresql' else ''))

    def _run(self, statement):
        engine = create_engine(self.given, isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


class Comparison:
    """Compares what is listed with what is the case."""

    def __init__(self, backend, is_whole):
        self.listed = cannot(backend)
        self.is_whole = is_whole
        self.names = {}
        self.problems = []

    @staticmethod
    def name_of(item):
        # the name of a class ends with that of the database
        return re.sub(r'_\w+\+busbar_[\d_]+::', '::', item.nodeid.split('::', 1)[1])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        for item in items:
            name = self.names[item.nodeid] = self.name_of(item)
            if reason := self.listed['tests'].get(name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

    def pytest_runtest_logreport(self, report):
        if not report.skipped or hasattr(report, 'wasxfail'):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if LISTED not in reason and self.names.get(report.nodeid) not in self.listed['tests']:
            self.problems.append(f'{report.nodeid} was skipped for a reason that is not listed: {reason}')

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if not self.is_whole:
            return
        for name in sorted(set(self.listed['requirements']) - ASKED):
            self.problems.append(f'the requirement {name} is listed, and no test asks for it')
        for name in sorted(set(self.listed['tests']) - set(self.names.values())):
            self.problems.append(f'the test {name} is listed, and there is none of that name')
        if self.problems and session.exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter):
        for problem in self.problems:
            terminalreporter.write_line(f'cannot.toml: {problem}', red=True)


databases = None


def pytest_configure(config):
    global databases
    databases = Databases(config.option.dburi[0])
    config.option.dburi = [databases.create().render_as_string(hide_password=False)]
    pytestplugin.pytest_configure(config)
    is_whole = not config.option.keyword and not any('::' in argument for argument in config.args)
    config.pluginmanager.register(Comparison(databases.backend, is_whole))


def pytest_unconfigure(config):
    if databases is not None:
        databases.drop()
