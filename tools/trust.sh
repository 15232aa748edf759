#!/bin/sh
# Checks that signatures agree with the Python package model-signing, on 50 models both ways. Fetches the package into
# build-check/model-signing on the first run.
set -eu
cd "$(dirname "$0")/.."

venv=build-check/model-signing
if [ ! -x $venv/bin/model_signing ]; then
    mkdir -p build-check
    python3 -m venv --clear $venv
    $venv/bin/python -m pip install --quiet --disable-pip-version-check model-signing==1.1.1 pyOpenSSL
fi
python=.venv/bin/python
[ -x $python ] || python=python3
HEARTH_MODEL_SIGNING=$PWD/$venv/bin/python $python -m pytest -q -p no:cacheprovider tests/e2e/test_sign.py
