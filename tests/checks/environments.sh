# Environments beside .venv. Each function makes one, and makes it anew only if it is not there.

export UV_OVERRIDE=tests/checks/left_out.txt

# environment FOLDER PYTHON: make an environment, for "uv pip install --python FOLDER/bin/python".
environment() { uv venv --quiet --allow-existing --python "$2" "$1"; }

# into FOLDER ARGUMENTS…: install into an environment.
into() { local folder=$1; shift; uv pip install --quiet --python "$folder/bin/python" "$@"; }

# The sdist, and the wheel from it, as an index would build them. The packaging tests look at these, and smoke tests run them.
prepare_dist() { rm -rf "$BGSTREAM_DIST" && python -m build --outdir "$BGSTREAM_DIST" .; }
wheel() { echo "$BGSTREAM_DIST"/*.whl; }

# jupyter-collaboration, in a folder that a test adds: installed with the rest, its extension would be on in every server.
# Without what it needs: Jupyter and anyio are there, and a second copy of them would come first.
prepare_collab() {
  [ -d .venv/collab/jupyter_server_ydoc ] || uv pip install --quiet --python .venv/bin/python --no-deps --target .venv/collab \
    'jupyter-collaboration>=5,<6' jupyter-collaboration-ui jupyter-docprovider jupyter-server-ydoc jupyter-ydoc \
    jupyter-server-fileid pycrdt pycrdt-websocket pycrdt-store sqlite-anyio
}

# jupyter-server-documents, which takes the place of jupyter-collaboration: in a folder of its own as well.
prepare_server_documents() {
  [ -d .venv/server-documents/jupyter_server_documents ] || uv pip install --quiet --python .venv/bin/python --no-deps --target .venv/server-documents \
    'jupyter-server-documents>=0.3,<0.4' 'jupyter-collaboration-ui>=2.4,<4' 'jupyter-docprovider>=2.4,<4' \
    'jupyter-server-fileid>=0.9,<0.10' 'jupyter-ydoc>=3,<5' pycrdt
}

# Voilà, an extension that would be on in every server.
prepare_voila() {
  [ -x .venv/voila/bin/voila ] || { environment .venv/voila "$python" && into .venv/voila 'voila>=0.5.13,<0.6' -e .; }
}

# JupyterHub's proxy.
prepare_proxy() {
  [ -x .venv/proxy/node_modules/.bin/configurable-http-proxy ] ||
    npm install --silent --no-audit --no-fund --prefix .venv/proxy configurable-http-proxy@5
}

# litellm, which brings another openai than the tests need: its newest version, and the lowest that is declared.
prepare_litellm() {
  environment .venv/litellm "$python" && into .venv/litellm litellm httpx msgspec "${TEST_TOOLS[@]}"
}
prepare_litellm_lowest() {
  environment .venv/litellm-lowest "$python" &&
    into .venv/litellm-lowest --resolution lowest-direct -r pyproject.toml --extra litellm &&
    into .venv/litellm-lowest "${TEST_TOOLS[@]}"
}
TEST_TOOLS=(pytest pytest-asyncio pytest-timeout hypothesis)

# The lowest versions that pyproject.toml declares, and the wheel.
prepare_lowest() {
  environment .venv/lowest "$python" &&
    into .venv/lowest --resolution lowest-direct --upgrade -r pyproject.toml --extra lab --extra keyring &&
    into .venv/lowest --no-deps --reinstall-package jupyter_bgstream "$(wheel)" &&
    .venv/lowest/bin/python tests/checks/lowest.py
}

# prepare_python VERSION INTERPRETER: the newest versions and the wheel, on another Python.
prepare_python() {
  environment ".venv/python$1" "$2" && into ".venv/python$1" --reinstall-package jupyter_bgstream "$(wheel)[test]"
}
