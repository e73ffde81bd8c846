#!/bin/sh
# Builds the client environments that tests/clients use: `python` (the Python ones), `all` (Node and command-line ones too).
# A client that cannot be installed is reported, and its tests skip with that reason. Needs .venv, whose pip installs them.
set -eu
python=${PYTHON:-python3}
what=${1:-python}

pip_for() { # NAME ARGUMENTS: .venv's pip, at work in .venv-NAME, which has none of its own
    there=.venv-$1/bin/python
    shift
    .venv/bin/python -m pip --python "$there" "$@"
}

environment() { # NAME: .venv-NAME from requirements/NAME.txt
    stamp=.venv-$1/.stamp-$(cksum <"requirements/$1.txt" | cut -d' ' -f1)
    [ -f "$stamp" ] && return
    rm -rf ".venv-$1"
    "$python" -m venv --without-pip ".venv-$1" &&
        pip_for "$1" install -qq --disable-pip-version-check --no-deps --no-compile --require-hashes \
            -r "requirements/$1.txt" && touch "$stamp" && return
    echo "could not install requirements/$1.txt: its tests will skip" >&2
    rm -rf ".venv-$1"
}

sources() { # The SDKs' source distributions, unpacked into .venv-clients-new/sources: they hold their own API tests
    [ -f .venv-clients-new/sources/.stamp ] || [ ! -d .venv-clients-new ] && return
    into=.venv-clients-new/sources
    rm -rf $into && mkdir $into
    awk '/^[a-z]/ { take = /^(openai|anthropic)(\[|=)/ } take { sub(/\[.*\]/, ""); print }' requirements/clients-new.txt >$into/wanted.txt
    pip_for clients-new download -qq --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
        --require-hashes -r $into/wanted.txt -d $into &&
        cat $into/*.tar.gz | tar xzif - -C $into && touch $into/.stamp && return
    echo "could not unpack the SDKs' sources: their own API tests will skip" >&2
    rm -rf $into
}

packages() { # tests/clients/node/node_modules, by the Node.js of .venv-clients-node
    there=tests/clients/node
    stamp=$there/node_modules/.stamp-$(cksum <$there/package-lock.json | cut -d' ' -f1)
    [ -f "$stamp" ] || [ ! -d .venv-clients-node ] && return
    PATH="$PWD/.venv-clients-node/bin:$PATH" npm ci --prefix $there --ignore-scripts --no-audit --no-fund --loglevel=error &&
        touch "$stamp" && return
    echo "could not install $there/package-lock.json: its tests will skip" >&2
    rm -rf $there/node_modules
}

for name in clients-old clients-litellm clients-llm; do
    environment $name &
done
(environment clients-new && sources) &
[ "$what" != all ] || (environment clients-node && packages) &
wait
