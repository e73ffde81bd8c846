#!/bin/sh
# Builds the client environments that tests/clients use: `python` (the older official SDKs), `all` (Node ones too).
# A client that cannot be installed is reported and its tests skip with that reason.
set -eu
python=${PYTHON:-python3}
name=clients-old
stamp=.venv-$name/.stamp-$(cksum <requirements/$name.txt | cut -d' ' -f1)
if [ ! -f "$stamp" ]; then
    rm -rf ".venv-$name"
    "$python" -m venv ".venv-$name"
    .venv-$name/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/$name.txt &&
        touch "$stamp" || echo "could not install requirements/$name.txt: its tests will skip" >&2
fi
