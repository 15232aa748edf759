#!/bin/sh
# Fetches the clients that tests/clients runs, every version and hash pinned, and runs the tests:
#
#   tools/clients.sh [pytest arguments]
#
# aider and litellm go into .venv-clients, the npm packages into .deps/clients-node; later runs need no
# network. HEARTH_HOME names the folder with the models (qwen2.5-coder:1.5b and :0.5b for all tests).
set -eu
cd "$(dirname "$0")/.."

for command in node npm git; do
    command -v "$command" >/dev/null || {
        echo "clients: $command is missing; install it with: sudo apt-get install nodejs npm git" >&2
        exit 1
    }
done

# fetched STAMP FILE...: whether what the files name is there.
fetched() {
    stamp=$1
    shift
    [ -f "$stamp" ] && [ "$(cat "$@" | sha256sum)" = "$(cat "$stamp")" ]
}

wanted=tests/clients/requirements.txt
if ! fetched .venv-clients/stamp $wanted; then
    python=
    for name in python3 python3.12 python3.11 python3.10; do # what aider runs on
        if "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            python=$name
            break
        fi
    done
    [ -n "$python" ] || { echo "clients: aider needs Python 3.10 to 3.12" >&2; exit 1; }
    "$python" -m venv --clear .venv-clients
    .venv-clients/bin/python -m pip install --quiet --require-hashes --disable-pip-version-check -r $wanted
    sha256sum <$wanted >.venv-clients/stamp
fi

from=tests/clients/node
to=.deps/clients-node
if ! fetched $to/stamp $from/package.json $from/package-lock.json; then
    mkdir -p $to
    cp $from/package.json $from/package-lock.json $to
    # No package's own scripts run.
    npm ci --prefix $to --ignore-scripts --no-audit --no-fund --silent
    cat $from/package.json $from/package-lock.json | sha256sum >$to/stamp
fi

PYTHONDONTWRITEBYTECODE=1 exec .venv-clients/bin/python -m pytest -q -p no:cacheprovider tests/clients "$@"
