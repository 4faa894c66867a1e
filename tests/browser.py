"""A real headless Chromium, spoken to in the DevTools protocol through a pipe: no port, and no package for it."""

import fcntl
import json
import os
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Browser:
    """One page of a browser whose profile lies in a folder; ``events`` has what it told since the last ``open``."""

    def __init__(self, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.numbers = 0
        ours, theirs = _pipes()
        # Chromium reads commands from file descriptor 3 and answers into 4.
        command = [
            "sh",
            "-c",
            f'exec "$0" "$@" 3</dev/fd/{theirs[0]} 4>/dev/fd/{theirs[1]}',
            str(CHROMIUM),
            "--remote-debugging-pipe",
        ]
        command += [*FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with (profile.parent / "chromium.log").open("w") as log:
            self.process = subprocess.Popen(command, pass_fds=theirs, stdout=log, stderr=log)
        for descriptor in theirs:
            os.close(descriptor)
        self.answers, self.commands = os.fdopen(ours[0], "rb"), os.fdopen(ours[1], "wb")
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; what the browser tells before it is kept."""
        self.numbers += 1
        message = {"id": self.numbers, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (answer := self._next()).get("id") != self.numbers:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(
        self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True
    ) -> None:
        """Load a page from disk and wait until all of it is there."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.send("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Until an expression is true, at most some seconds."""
        end = time.monotonic() + 20
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def press(self, key: str, code: int) -> None:
        """A key of the keyboard, pressed and let go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and all that the page wrote to the console since it was opened."""
        return [event for event in self.events if event["method"] in COMPLAINTS]

    def fetched(self) -> list[str]:
        """Addresses of all that the page asked for since it was opened."""
        sent = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A picture (PNG) of the page, or of the part in view."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser and wait for it."""
        self.session = None
        self.send("Browser.close")
        self.process.wait(timeout=20)
        for end in (self.answers, self.commands):
            end.close()

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        return json.loads(text)


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Ends to read and write for us and for the browser; its own are above 9, out of the way of 3 and 4."""
    (answers, answer), (command, commands) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (command, answer)]
    for descriptor in (command, answer):
        os.close(descriptor)
    return (answers, commands), (theirs[0], theirs[1])
