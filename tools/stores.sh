#!/bin/sh
# Tests the vector stores (docs/index.md) against Chroma's real server, installed into build-check/chroma, and
# against Qdrant's own description of its API, fetched into build-check. Without the network what is there
# already is used, and the rest is skipped by the tests.
set -eu
cd "$(dirname "$0")/.."

description=build-check/qdrant-openapi.json
mkdir -p build-check
if [ ! -e build-check/chroma/bin/chroma ]; then
    python3 -m venv build-check/chroma
    build-check/chroma/bin/pip install --quiet chromadb==1.5.9 || echo "stores: Chroma could not be installed" >&2
fi
if [ ! -e $description ]; then
    curl -fsSL --max-time 60 -o $description.part \
        https://raw.githubusercontent.com/qdrant/qdrant/v1.19.0/docs/redoc/master/openapi.json &&
        mv $description.part $description || echo "stores: Qdrant's description could not be fetched" >&2
fi
HEARTH_QDRANT_OPENAPI=${HEARTH_QDRANT_OPENAPI:-$PWD/$description} exec python3 -m pytest -q -rs tests/e2e/test_vector_store.py
