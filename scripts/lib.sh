# What the scripts share. Sourced, not run: `set -euo pipefail` is theirs.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
# shellcheck disable=SC2034 # for whoever sources this
BUSBAR=${BUSBAR:-$ROOT/target/release/busbar}

# rustup puts cargo here, and a shell opened before that does not know yet
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
fail() {
    warn "error: $*"
    exit 1
}

# Prints the real path of a Python that busbar can be built with, given a command for it. Fails with 3 if it is too old, with 4 if it
# has no shared library to link with.
python_base() {
    "$1" - 2>/dev/null <<'PYTHON'
import os
import sys
import sysconfig

if sys.version_info < (3, 11):
    sys.exit(3)
library = sysconfig.get_config_var('LDLIBRARY') or ''
places = [sysconfig.get_config_var(name) or '' for name in ('LIBDIR', 'LIBPL')]
if not library.endswith('.so') or not any(os.path.exists(os.path.join(place, library)) for place in places):
    sys.exit(4)
print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))
PYTHON
}

# Prints the Python to use: the one of the virtual environment if there is one, $PYTHON if it is set, else the first that fits.
find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        python_base "$PYTHON" || return 1
        return
    fi
    for candidate in "$VENV/bin/python" python3.11 python3.12 python3.13 python3 /usr/bin/python3.11 /usr/bin/python3; do
        python_base "$candidate" && return
    done
    return 1
}

# Tells pyo3 which Python to build against. Always the same one: another value would build everything that uses it anew.
use_python() {
    PYO3_PYTHON=$(find_python) || fail "no Python to build with; \`scripts/setup\` finds or installs one"
    export PYO3_PYTHON
    export VIRTUAL_ENV=$VENV
    export PATH=$VENV/bin:$PATH
}

# Succeeds if somebody listens on a TCP port of this machine: port_taken HOST PORT
port_taken() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}
