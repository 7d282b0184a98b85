"""A headless Chromium for tests, out of the locked packages, spoken to by the DevTools protocol over a pipe.

Protocol: https://chromedevtools.github.io/devtools-protocol/; with --remote-debugging-pipe messages are JSON with a final NUL, read by the
browser from file 3 and written to file 4.
"""

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

from runfiles import Runfiles

_TREE = "debian12_chromium"
# Debian puts PulseAudio's own library, which Chromium is linked with, into a folder that no linker looks into.
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio")
_FLAGS = (
    "--remote-debugging-pipe",
    # Tests are often root, and in a sandbox of Bazel; what the browser sees is ours.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)
_SECONDS = 60


class Page:
    """A page of the browser.

    Attributes:
        messages: what the console showed: errors, warnings, violations of the Content-Security-Policy, exceptions, dialogs.
        requests: the URLs that were asked for.
    """

    def __init__(self, browser: "_Browser", session: str) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        self._session = session
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a method of the protocol."""
        return self._browser.call(method, parameters, self._session)

    def open(self, url: str) -> None:
        """Opens URL, and waits until all is loaded."""
        self._browser.loaded.discard(self._session)
        self.call("Page.navigate", url=url)
        while self._session not in self._browser.loaded:
            self._browser.receive()

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 (any JSON)
        """The value of a JavaScript expression; it runs beside the page, whatever policy that has."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Sets the size of the window, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Sets what the user prefers: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str, code: int, text: str) -> None:
        """Presses a key on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text if kind == "keyDown" else ""
            )

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def handle(self, method: str, event: dict[str, Any]) -> None:
        """Notes an event."""
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Log.entryAdded":
            self.messages.append(event["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.messages.append(event["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(str([argument.get("value") for argument in event["args"]]))
        elif method == "Page.javascriptDialogOpening":
            self.messages.append(event["message"])
            self._browser.send("Page.handleJavaScriptDialog", {"accept": False}, self._session)


class _Browser:
    def __init__(self, reader: int, writer: int, log: pathlib.Path) -> None:
        self.pages: dict[str, Page] = {}
        self.loaded: set[str] = set()
        self._answers: dict[int, dict[str, Any]] = {}
        self._reader, self._writer, self._log = reader, writer, log
        self._rest = b""
        self._number = 0

    def send(self, method: str, parameters: dict[str, Any], session: str = "") -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        return self._number

    def call(self, method: str, parameters: dict[str, Any], session: str = "") -> dict[str, Any]:
        number = self.send(method, parameters, session)
        while number not in self._answers:
            self.receive()
        answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def receive(self) -> None:
        """Waits for messages and handles them."""
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reader], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._reader, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError(f"the browser says nothing; its log: {self._log.read_text(errors='replace')[-4000:]}")
            self._rest += data
        *messages, self._rest = self._rest.split(b"\0")
        for data in messages:
            message = json.loads(data)
            if "id" in message:
                self._answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                if message["method"] == "Page.loadEventFired":
                    self.loaded.add(message["sessionId"])
                self.pages[message["sessionId"]].handle(message["method"], message["params"])

    def page(self) -> Page:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        return Page(self, self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])


def _tree() -> pathlib.Path:
    runfiles = Runfiles.Create()
    program = runfiles and runfiles.Rlocation(f"{_TREE}/usr/lib/chromium/chromium-headless-shell")
    if not program:
        raise FileNotFoundError(f"@{_TREE}//:browser is not in the runfiles")
    return pathlib.Path(program).parents[3]


@contextlib.contextmanager
def page(folder: pathlib.Path) -> Iterator[Page]:
    """Runs a browser with one page.

    Args:
        folder: empty; for the browser's own files.
    """
    tree = _tree()
    fonts = folder / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">'
        f"<fontconfig><dir>{tree}/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir></fontconfig>\n"
    )
    environment = {
        "FONTCONFIG_FILE": str(fonts),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": ":".join(str(tree / libraries) for libraries in _LIBRARIES),
        "TMPDIR": str(folder),
        "TZ": "UTC",
    }
    log = folder / "log"
    program = str(tree / "usr/lib/chromium/chromium-headless-shell")
    child_reads, writer = os.pipe()
    reader, child_writes = os.pipe()
    # Files above 4, so that neither is overwritten before it is duplicated.
    high = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10) for file in (child_reads, child_writes)]
    os.close(child_reads)
    os.close(child_writes)
    process = os.posix_spawn(
        program,
        [program, *_FLAGS, f"--user-data-dir={folder}/profile"],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ],
        setpgroup=0,
    )
    for file in high:
        os.close(file)
    try:
        yield _Browser(reader, writer, log).page()
    finally:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(reader)
        os.close(writer)
