"""What the databases can do: everything that SQLAlchemy's tests ask about, save for what ``cannot.toml`` lists."""

import inspect
import tomllib
from pathlib import Path

from sqlalchemy.testing import config, exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

CANNOT = tomllib.loads((Path(__file__).parent / 'cannot.toml').read_text())
#: Begins the reason for which a test is skipped that needs something listed.
LISTED = 'listed in cannot.toml'

#: What is listed and is named by a test, or by a requirement that a test names. Whether it is looked at is another
#: matter: SQLAlchemy looks at several of one test in the order of a set, up to the first that is missing.
ASKED: set[str] = set()


def cannot(database: str) -> dict[str, dict[str, str]]:
    """What is listed for a database: reasons, by the names of requirements and of tests."""
    listed = CANNOT.get(database, {})
    return {'requirements': listed.get('requirements', {}), 'tests': listed.get('tests', {})}


def _is_closed(rule: exclusions.compound) -> bool:
    return any(isinstance(skip, exclusions.BooleanPredicate) and skip.value for skip in rule.skips)


def _asked(name: str, base: property) -> property:
    def get(self: object) -> exclusions.compound:
        if name in cannot(config.db.name)['requirements']:
            ASKED.add(name)
            return exclusions.skip_if(lambda: True, f'{LISTED}: {name}')
        rule = base.fget(self)
        return exclusions.open() if _is_closed(rule) else rule

    return property(get)


class Requirements(SuiteRequirements):
    """All of them; what SQLAlchemy takes for missing unless told otherwise is there."""

    def get_order_by_collation(self, config: object) -> str:
        return {'postgresql': 'POSIX', 'sqlite': 'nocase'}.get(config.db.name, 'utf8mb4_bin')

    def get_isolation_levels(self, config: object) -> dict[str, object]:
        levels = list(config.db.dialect.get_isolation_level_values(None))
        default = {'sqlite': 'SERIALIZABLE', 'postgresql': 'READ COMMITTED'}.get(config.db.name, 'REPEATABLE READ')
        return {'default': default, 'supported': levels}

    @property
    def computed_columns(self) -> exclusions.compound:
        warning = '.*does not support VIRTUAL columns.*'
        return exclusions.warns_if('postgresql < 18', warning, assert_=False)


for _name, _member in inspect.getmembers(Requirements):
    if isinstance(_member, property):
        setattr(Requirements, _name, _asked(_name, _member))
