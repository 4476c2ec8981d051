# The tools that everything needs: Python, Node, Chromium and openssl, and .venv with the rest.

fail() { printf 'tests/check.sh: %s\n' "$*" >&2; exit 1; }
may_install() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }
apt_install() {
  printf 'Installing %s with apt-get.\n' "$*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# find_tools: check what is on this machine, install what is missing if that is allowed, and make an empty .venv.
find_tools() {
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python >= 3.11 is needed; set PYTHON to one."
  node -e 'process.exitCode = Number(process.versions.node.split(".")[0] < 20)' || fail "Node >= 20 is needed."
  if [ ! -x .venv/bin/pip ]; then
    "$python" -m venv .venv || { may_install && apt_install python3-venv && "$python" -m venv .venv; } || fail "python -m venv does not work."
  fi
  BGSTREAM_CHROMIUM=${BGSTREAM_CHROMIUM:-$(find_chromium || true)}
  if [ -z "$BGSTREAM_CHROMIUM" ]; then
    may_install || fail "Chromium is needed for the browser tests: install it, or set BGSTREAM_CHROMIUM to its path."
    apt_install chromium fonts-noto-color-emoji
    BGSTREAM_CHROMIUM=$(find_chromium) || fail "Chromium could not be installed."
  fi
  export BGSTREAM_CHROMIUM
  command -v openssl >/dev/null || { may_install && apt_install openssl; } || fail "openssl is needed for a test's certificate: install it."
  export PATH="$PWD/.venv/bin:$PATH"
}

# install_package: install the package with all tools of its tests, which builds the labextension.
install_package() {
  python -m pip install --quiet --disable-pip-version-check 'uv>=0.5' &&
    uv pip install --quiet --python .venv/bin/python --reinstall-package jupyter_bgstream -e '.[test]'
}

# find_python VERSION: print the path of an interpreter of this version that is on this machine. None is downloaded.
find_python() {
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1."*/bin/python \
    "$(uv python find --quiet --managed-python --no-python-downloads "$1" 2>/dev/null || true)"; do
    if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}
