#!/bin/sh
# Builds .venv from requirements/dev.txt (hash-locked) with tierwise installed in it, editable.
set -eu
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "tierwise needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1). Set PYTHON=/path/to/python3.11." >&2
    exit 1
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "This Python lacks the venv module. On Debian: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
rm -rf .venv
"$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.txt
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
# On all cores, and the sources too; what cannot be compiled is compiled, or complains, when it is imported.
.venv/bin/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib src || true
.venv/bin/tierwise --version
