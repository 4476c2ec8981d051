"""Layer 3: Jupyter server extension with REST, the WebSocket and the log over HTTP."""
