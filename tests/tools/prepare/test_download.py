from __future__ import annotations

import hashlib
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.errors import InputError
from tools.prepare.download import Download, OnlyHttps, fetch, open_https

CONTENT = bytes(range(256)) * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file with ranges, and can break off, ignore ranges, or redirect."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.break_after = None
        self.ranges = True
        self.redirect = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/files/scan.tar"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if "missing" in self.path:
            self.send_error(404)
            return
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if wanted and server.ranges else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end, server.break_after = server.break_after, None
        self.wfile.write(CONTENT[start:end])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def fetched(download, folder, open_url=urllib.request.urlopen):
    return fetch(download, folder, open_url, pause_seconds=0).read_bytes()


def test_a_broken_connection_is_gone_on_with_where_it_broke(server, tmp_path):
    server.break_after = 300_000
    assert fetched(Download(server.url, "scan.tar", md5=MD5), tmp_path) == CONTENT
    assert server.asked == [None, "bytes=300000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["scan.tar"]
    fetched(Download(server.url, "scan.tar", md5=MD5), tmp_path)
    assert len(server.asked) == 2  # what is there is not fetched again


@pytest.mark.parametrize("have", [1000, len(CONTENT), len(CONTENT) + 7])
@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_with_what_an_earlier_call_left(server, tmp_path, have, ranges):
    server.ranges = ranges
    (tmp_path / "scan.tar.part").write_bytes((CONTENT + b"more...")[:have])
    assert fetched(Download(server.url, "scan.tar", sha256=hashlib.sha256(CONTENT).hexdigest()), tmp_path) == CONTENT


def test_a_wrong_file_is_thrown_away(server, tmp_path):
    with pytest.raises(InputError, match=f"checksum {MD5}, not abc"):
        fetched(Download(server.url, "scan.tar", md5="abc"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_says_what_the_server_says(server, tmp_path):
    with pytest.raises(InputError, match="answers 404"):
        fetched(Download(server.url + "/missing", "scan.tar", md5=MD5), tmp_path)


def test_an_unreachable_server_keeps_what_has_come(tmp_path):
    def unreachable(request):
        raise urllib.error.URLError("no route")

    (tmp_path / "scan.tar.part").write_bytes(b"half")
    with pytest.raises(InputError, match="no route.*scan.tar.part"):
        fetched(Download("https://example.org/scan.tar", "scan.tar", md5=MD5), tmp_path, unreachable)
    assert (tmp_path / "scan.tar.part").read_bytes() == b"half"


def test_https_only_also_when_redirected(server, tmp_path):
    with pytest.raises(InputError, match="is not https"):
        fetched(Download(server.url, "scan.tar", md5=MD5), tmp_path, open_https)
    assert not server.asked
    opener = urllib.request.build_opener(OnlyHttps)
    server.redirect = server.url + "?elsewhere"
    with pytest.raises(InputError, match="redirects to http://.*not https"):
        fetched(Download(server.url, "scan.tar", md5=MD5), tmp_path, opener.open)
    assert len(server.asked) == 1


def test_zenodo_is_asked_for_the_checksum(server, tmp_path):
    published = {"files": [{"key": "scan.tar", "size": len(CONTENT), "checksum": f"md5:{MD5}"}]}
    (tmp_path / "record.json").write_text(json.dumps(published))
    addresses = []

    def zenodo(request):
        addresses.append(request.full_url)
        if "/api/" in request.full_url:
            return open(tmp_path / "record.json", "rb")
        return urllib.request.urlopen(urllib.request.Request(server.url, headers=dict(request.headers)))

    wanted = Download("https://zenodo.org/records/77/files/scan.tar", "scan.tar")
    assert fetched(wanted, tmp_path / "a", zenodo) == CONTENT
    assert addresses == ["https://zenodo.org/api/records/77", wanted.url]
    published["files"][0]["checksum"] = "md5:0"
    (tmp_path / "record.json").write_text(json.dumps(published))
    with pytest.raises(InputError, match="not 0"):
        fetched(wanted, tmp_path / "b", zenodo)
    with pytest.raises(InputError, match="no file other.tar, only scan.tar"):
        fetched(Download("https://zenodo.org/records/77/files/other.tar", "other.tar"), tmp_path, zenodo)
