#!/usr/bin/env bash
# Set up and run the checks: "bash tests/check.sh" runs all of them, "bash tests/check.sh quick" the quick part,
# "bash tests/check.sh lowest" those with the lower bounds of the dependencies.
# Other arguments go to pytest, after the set-up. Needs Python >= 3.11 and Node >= 20; what else is missing is installed.
# Every step keeps its log in test-results/checks; the logs of failed steps are printed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE # hundreds of processes would compile all modules that they import
. tests/checks/steps.sh
. tests/checks/tools.sh
. tests/checks/environments.sh

UNIT=(tests/core tests/providers tests/engine tests/batch)
HUB=(tests/hub tests/exports tests/executed)
CLIENT=(tests/client tests/cli)
STORE=(tests/store) # it waits for processes and locks, so it runs beside the others
# Of these, several servers that wait for each other.
SERVERS=(tests/store/test_{frozen,lease,lost_files,lost_locks,two_servers,writer_faults}.py)
# Algorithms of our own on much data: fuzz, bombs, recorded streams, killed migrations.
LONG=(tests/providers/test_{bodies,fuzz,hostile_fields,recordings{,_gemini,_messages,_responses},responses_fuzz}.py
  tests/store/test_{images,migrations,segments,side_by_side}.py)
# The quick part and each further Python run all others.
QUICK=("${SERVERS[@]/#/--ignore=}" "${LONG[@]/#/--ignore=}")
LOAD=(tests/abuse tests/crash tests/server/test_stop.py) # measure the server, put it under load, or kill it
COSTLY=(tests/browser/test_{costly,long}_*.py) # of the browser tests, those that measure how long a page is busy
PARTS=3 # of the other browser tests, each with a browser and a server of its own
LANES=$(($(nproc) + 2)) # most steps wait for other processes half of the time
DIST=$PWD/test-results/dist
ENVIRONMENTS=(prepare_collab prepare_server_documents prepare_voila prepare_proxy) # of environments.sh: what tests look for below .venv

# tests_of INTERPRETER ARGUMENTS…: run pytest. litellm has environments of its own.
tests_of() { local of=$1; shift; "$of" -m pytest --deselect tests/providers/test_litellm.py::TestWithLitellm "$@"; }
# litellm's own code is warned of much that is deprecated.
litellm_of() { "$1/bin/python" -m pytest -W ignore tests/providers/test_litellm.py -k TestWithLitellm; }
smoke_of() { BGSTREAM_SMOKE_PYTHON=$PWD/$1/bin/python python -m pytest tests/smoke; }
typescript() { (cd labextension && npm run --silent lint:check && npm test --silent); }
package() { run "Install, which builds the labextension" install_package || true; }
packages() { run "Packages" prepare_dist || true; }
environments() { run "Environments" prepare_environments || true; }
prepare_environments() { local each; for each in "${ENVIRONMENTS[@]}"; do "$each" || return; done; }

lint() {
  run "Lint" ruff check . || true
  run "Format" ruff format --check . || true
  run "Types" mypy || true
  run "Layers" lint-imports || true
  run "Workflows" zizmor --offline --no-progress --strict-collection . || true
  run "TypeScript: lint and tests" typescript || true
  run "Documentation" sphinx-build -q -W -n docs docs/build || true
}

unit() { run "Unit and contract tests" tests_of python "${UNIT[@]}" || true; }
store() { run "Tests of the store" tests_of python "${STORE[@]}" || true; }
quick_unit() { run "Unit and contract tests, without the longest" tests_of python "${UNIT[@]}" "${QUICK[@]}" || true; }
quick_store() { run "Tests of the store, without the longest" tests_of python "${STORE[@]}" "${QUICK[@]}" || true; }
smoke() { run "Smoke test with a browser" tests_of python tests/smoke || true; }
costly() { run "Browser tests of costly content" tests_of python "${COSTLY[@]}" || true; }
load() { run "Load and crash tests" tests_of python "${LOAD[@]}" || true; }
hub() { run "Tests with JupyterHub and nbconvert" tests_of python "${HUB[@]}" || true; }
client() { run "Tests of the client and of commands" tests_of python "${CLIENT[@]}" || true; }

# pages PART: every third module of the other browser tests, from the first, the second or the third on.
pages() {
  local module number=0 modules=()
  for module in tests/browser/test_*.py; do
    [[ " ${COSTLY[*]} " != *" $module "* ]] || continue
    [ $((number++ % PARTS + 1)) != "$1" ] || modules+=("$module")
  done
  run "Browser tests, part $1 of $PARTS" tests_of python "${modules[@]}" || true
}

# All folders of tests that no other step runs.
others() {
  local each ignored=()
  for each in "${UNIT[@]}" "${STORE[@]}" "${LOAD[@]}" "${HUB[@]}" "${CLIENT[@]}" tests/smoke tests/browser; do
    ignored+=("--ignore=$each")
  done
  run "Other Python tests" tests_of python "${ignored[@]}" || true
}

# Every Python of the classifiers but the one that runs all tests.
other_pythons() {
  local version path
  for version in $(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml); do
    [ "$version" != "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ] || continue
    if ! path=$(find_python "$version"); then
      printf 'absent         Python %s is not on this machine: not tested\n' "$version"
      continue
    fi
    run "Python $version: install" prepare_python "$version" "$path" || continue
    run "Python $version: unit and contract tests" tests_of ".venv/python$version/bin/python" --hypothesis-profile=few \
      "${UNIT[@]}" "${STORE[@]}" "${QUICK[@]}" || true
    run "Python $version: smoke test" smoke_of ".venv/python$version" || true
  done
}

lowest_versions() {
  run "Lowest versions: install" prepare_lowest && run "Lowest versions: smoke test" smoke_of .venv/lowest || true
  run "litellm, lowest version: install" prepare_litellm_lowest && run "litellm, lowest version" litellm_of .venv/litellm-lowest || true
  run "litellm, newest version: install" prepare_litellm && run "litellm, newest version" litellm_of .venv/litellm || true
}

find_tools
need package
case ${1-} in
  quick)
    lanes_of 3 lint quick_unit quick_store smoke
    ;;
  lowest)
    export BGSTREAM_DIST=$DIST
    need packages
    lanes_of 1 lowest_versions
    ;;
  "")
    export BGSTREAM_DIST=$DIST
    need environments
    need packages # like the environment of Voilà, they build the labextension
    lanes_of "$LANES" costly "pages 1" "pages 2" "pages 3" other_pythons others client hub load unit lint store lowest_versions smoke
    ;;
  *)
    need environments
    trap - EXIT INT TERM
    exec python -m pytest --deselect tests/providers/test_litellm.py::TestWithLitellm "$@"
    ;;
esac
report
