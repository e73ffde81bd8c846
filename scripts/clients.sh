#!/bin/sh
# Builds the client environments that tests/clients use: `python` (the Python ones), `all` (Node and command-line ones too).
# A client that cannot be installed is reported, and its tests skip with that reason.
set -eu
python=${PYTHON:-python3}

environment() { # NAME: .venv-NAME from requirements/NAME.txt
    stamp=.venv-$1/.stamp-$(cksum <"requirements/$1.txt" | cut -d' ' -f1)
    [ -f "$stamp" ] && return
    rm -rf ".venv-$1"
    "$python" -m venv ".venv-$1"
    .venv-"$1"/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-compile --require-hashes \
        -r "requirements/$1.txt" && touch "$stamp" && return
    echo "could not install requirements/$1.txt: its tests will skip" >&2
    rm -rf ".venv-$1"
}

for name in clients-old clients-new clients-litellm clients-llm; do
    environment $name
done
