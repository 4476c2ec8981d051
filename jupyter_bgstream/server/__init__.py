"""Floor 3: Jupyter's face. REST, the WebSocket and the log over HTTP; wiring in app.py."""
