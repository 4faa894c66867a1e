"""A real server on this machine, for tests of what answers as the hub does."""

import contextlib
import http.server
import threading


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers without a line of log."""

    def log_message(self, *_):
        """Keep the output of the tests clean."""


@contextlib.contextmanager
def serving(handler):
    """Within the block a server whose requests ``handler`` answers; ``asked`` is a list for it to note them in."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
