"""Look at a page as a reader does: in headless Chromium, in a frame as wide as a desktop's or a phone's window."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FRAME = """<!DOCTYPE html><body style="margin:0"><pre id="audit" hidden></pre>
<iframe id="page" style="border:0;width:WIDTHpx;height:HEIGHTpx"></iframe>
<script>
document.getElementById("page").onload = async (event) => {
  if (event.target.contentWindow.location.href === "about:blank") return;
  const view = event.target.contentWindow, page = view.document;
  const images = [...page.images], links = [...page.links].map((link) => link.getAttribute("href"));
  images.forEach((image) => { image.loading = "eager"; });
  await Promise.all(images.filter((image) => !image.complete).map((image) => image.decode().catch(() => null)));
  document.getElementById("audit").textContent = JSON.stringify({
    width: view.innerWidth, content: page.documentElement.scrollWidth, height: page.documentElement.scrollHeight,
    images: images.length, text: page.body.innerText.length, links: links,
    broken: images.filter((image) => !image.naturalWidth).map((image) => image.src.slice(0, 80)),
    nameless: images.filter((image) => !image.alt).map((image) => image.src.slice(0, 80)),
    dangling: links.filter((link) => link.startsWith("#") && !page.getElementById(decodeURIComponent(link.slice(1)))),
    loaded: view.performance.getEntriesByType("resource").map((entry) => entry.name),
  });
};
document.getElementById("page").src = "PAGE";
</script>"""


def find_browser() -> str | None:
    """Return the program named by the variable CHROMIUM or found on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def look(browser: str, page: Path, width: int, picture: Path) -> dict[str, Any]:
    """Serve the folder of a page, open it, take a picture of its whole length.

    Returns:
        What the page holds and lacks, and the requests that its server refused (`refused`).
    """
    refused: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def send_error(self, code: int, *_: Any) -> None:
            refused.append(f"{code} {self.path}")
            super().send_error(code)

    frame = page.parent / "frame.html"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(page.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{frame.name}"
    try:
        frame.write_text(filled(page.name, width, 900))
        dump = run(browser, "--dump-dom", "--virtual-time-budget=10000", url)
        found = re.search(r'<pre id="audit"[^>]*>(.+?)</pre>', dump, re.DOTALL)
        assert found, f"{page.name} did not load: {dump[:300]}"
        audit: dict[str, Any] = json.loads(html.unescape(found[1]))
        frame.write_text(filled(page.name, width, audit["height"]))
        size = f"--window-size={max(width, 500)},{audit['height']}"
        run(browser, f"--screenshot={picture}", size, "--virtual-time-budget=5000", url)
    finally:
        server.shutdown()
        server.server_close()
        frame.unlink()
    return audit | {"refused": [request for request in refused if "favicon" not in request]}


def filled(page: str, width: int, height: int) -> str:
    return FRAME.replace("PAGE", page).replace("WIDTH", str(width)).replace("HEIGHT", str(height))


def run(browser: str, *arguments: str) -> str:
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    done = subprocess.run(
        [browser, *flags, offline, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout
