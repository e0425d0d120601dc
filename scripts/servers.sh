# The servers that tests talk to: Redis, PostgreSQL and MariaDB. Sourced, not run.
#
# Whose address is in the environment is taken from there. Of the others, one that listens on its usual port and lets the tests in is
# used as it is; for the rest private ones are started, with nothing but the tests' data, and stopped when the script ends.
# BUSBAR_TEST_SERVERS=private starts private ones in any case.
# shellcheck shell=bash

SERVERS_AT=
SERVERS_RUNNING=()

# free_port: prints a port that nobody listens on
free_port() {
    python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# lets_in COMMAND...: succeeds if a client gets in, unless private servers are asked for
lets_in() {
    [ "${BUSBAR_TEST_SERVERS:-}" != private ] && command -v "$1" >/dev/null && timeout 10 "$@" >/dev/null 2>&1
}

# start_server NAME PORT COMMAND...: starts a server, and waits until it listens
start_server() {
    local name=$1 port=$2
    shift 2
    say "starting a private $name on port $port"
    "$@" >"$SERVERS_AT/$name.log" 2>&1 &
    SERVERS_RUNNING+=($!)
    for _ in $(seq 300); do
        port_taken 127.0.0.1 "$port" && return
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    cat "$SERVERS_AT/$name.log" >&2
    fail "the private $name does not start"
}

stop_servers() {
    [ ${#SERVERS_RUNNING[@]} -eq 0 ] || kill "${SERVERS_RUNNING[@]}" 2>/dev/null || true
    wait || true
    [ -z "$SERVERS_AT" ] || rm -rf "$SERVERS_AT"
}


# Sees to it that all three are there, and exports BUSBAR_TEST_REDIS, BUSBAR_TEST_POSTGRESQL and BUSBAR_TEST_MYSQL.
test_servers() {
    local port bin as_other=()
    SERVERS_AT=$(mktemp -d)
    trap stop_servers EXIT
    # databases do not run as root; the user whom the package of one makes will do for both
    if [ "$(id -u)" = 0 ] && id postgres >/dev/null 2>&1; then
        as_other=(setpriv --reuid=postgres --regid=postgres --clear-groups)
        chown postgres "$SERVERS_AT"
    fi

    if [ -z "${BUSBAR_TEST_REDIS:-}" ]; then
        port=6379
        if ! lets_in redis-cli -h 127.0.0.1 -p "$port" set busbar:test:is-there 1 ex 1; then
            port=$(free_port)
            start_server redis "$port" redis-server --bind 127.0.0.1 --port "$port" --save '' --dir "$SERVERS_AT"
        fi
        export BUSBAR_TEST_REDIS=redis://127.0.0.1:$port/0
    fi

    if [ -z "${BUSBAR_TEST_POSTGRESQL:-}" ]; then
        port=5432
        if ! lets_in psql -w -h 127.0.0.1 -p "$port" -U postgres -d test -c 'SELECT 1'; then
            bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
            [ -x "$bin/initdb" ] || fail "PostgreSQL is missing; \`scripts/setup test\` installs it"
            port=$(free_port)
            "${as_other[@]}" "$bin/initdb" -A trust -U postgres -E UTF8 --locale=C.UTF-8 -N -D "$SERVERS_AT/postgresql" >/dev/null
            start_server PostgreSQL "$port" "${as_other[@]}" "$bin/postgres" -D "$SERVERS_AT/postgresql" -p "$port" -h 127.0.0.1 \
                -k "$SERVERS_AT" -c fsync=off -c max_connections=200
            for _ in $(seq 100); do
                "$bin/createdb" -h 127.0.0.1 -p "$port" -U postgres test 2>/dev/null && break
                sleep 0.1
            done
        fi
        export BUSBAR_TEST_POSTGRESQL=postgresql://postgres@127.0.0.1:$port/test
    fi

    if [ -z "${BUSBAR_TEST_MYSQL:-}" ]; then
        port=3306
        if ! lets_in mariadb --no-defaults -h 127.0.0.1 -P "$port" -u root -e 'SELECT 1' test; then
            command -v mariadb-install-db >/dev/null || fail "MariaDB is missing; \`scripts/setup test\` installs it"
            port=$(free_port)
            "${as_other[@]}" mariadb-install-db --no-defaults --datadir="$SERVERS_AT/mariadb" --auth-root-authentication-method=normal \
                --skip-test-db >/dev/null
            start_server MariaDB "$port" "${as_other[@]}" "$(command -v mariadbd || echo /usr/sbin/mariadbd)" --no-defaults \
                --datadir="$SERVERS_AT/mariadb" --bind-address=127.0.0.1 --port="$port" --socket="$SERVERS_AT/mariadb.sock" \
                --max-connections=200 --innodb-flush-log-at-trx-commit=0
            mariadb --no-defaults -h 127.0.0.1 -P "$port" -u root -e 'CREATE DATABASE test'
        fi
        export BUSBAR_TEST_MYSQL=mysql://root@127.0.0.1:$port/test
    fi
}
