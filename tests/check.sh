#!/usr/bin/env bash
# Sets up and runs every check: packaging, lint, types, layer contracts, Python tests, TypeScript tests, browser tests.
# Needs Python >= 3.11 and Node >= 20; installs the rest, Chromium with the system's package manager if it may.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/check.sh: %s\n' "$*" >&2; exit 1; }
may_install() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }
install() { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

step "Tools"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python >= 3.11 is needed; set PYTHON to one."
node -e 'process.exitCode = Number(process.versions.node.split(".")[0] < 20)' || fail "Node >= 20 is needed."
if [ ! -x .venv/bin/pip ]; then
  "$python" -m venv .venv || { may_install && install python3-venv && "$python" -m venv .venv; } || fail "python -m venv does not work."
fi
find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
BGSTREAM_CHROMIUM=${BGSTREAM_CHROMIUM:-$(find_chromium || true)}
if [ -z "$BGSTREAM_CHROMIUM" ]; then
  may_install || fail "Chromium is needed for the browser tests: install it, or set BGSTREAM_CHROMIUM to its path."
  install chromium fonts-noto-color-emoji
  BGSTREAM_CHROMIUM=$(find_chromium) || fail "Chromium could not be installed."
fi
export BGSTREAM_CHROMIUM
command -v openssl >/dev/null || { may_install && install openssl; } || fail "openssl is needed for a test's certificate: install it."
export PATH="$PWD/.venv/bin:$PATH"

step "Install, which builds the labextension"
python -m pip install --quiet --disable-pip-version-check -e '.[test]'

step "Lint, types and layers"
ruff check .
ruff format --check .
mypy
lint-imports
(cd labextension && npm run --silent lint:check)

step "TypeScript tests"
(cd labextension && npm test --silent)

step "The litellm plug-in, beside the package it is for: in an environment of its own, for it brings another openai"
[ -x .venv/litellm/bin/python ] || "$python" -m venv .venv/litellm
.venv/litellm/bin/python -m pip install --quiet --disable-pip-version-check litellm httpx msgspec pytest pytest-asyncio pytest-timeout
.venv/litellm/bin/python -m pytest -q tests/providers/test_litellm.py -k TestWithLitellm

step "jupyter-collaboration, in a folder of its own: installed with the rest, its extension would be on in every server"
# Without what they need: Jupyter and anyio are there, and a second copy of them would come first.
[ -d .venv/collab/jupyter_server_ydoc ] || python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/collab \
  'jupyter-collaboration>=5,<6' jupyter-collaboration-ui jupyter-docprovider jupyter-server-ydoc jupyter-ydoc jupyter-server-fileid \
  pycrdt pycrdt-websocket pycrdt-store sqlite-anyio

step "Python tests, packaging and browser tests among them"
pytest() { python -m pytest --deselect tests/providers/test_litellm.py::TestWithLitellm "$@"; }
if [ $# -gt 0 ]; then
  pytest "$@"
else
  # Beside each other, for either waits a lot. What measures the server under load, or kills it, has the machine for itself.
  said=$(mktemp)
  pytest tests/browser >"$said" 2>&1 & browser=$!
  others=0
  pytest --ignore tests/browser --ignore tests/abuse --ignore tests/crash || others=$?
  wait "$browser" && cat "$said" || { cat "$said"; fail "The browser tests failed."; }
  [ "$others" = 0 ] || fail "Tests failed: see above the browser tests."
  pytest tests/abuse tests/crash
fi
