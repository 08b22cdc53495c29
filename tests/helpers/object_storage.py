"""Object storage on this machine, as far as reading goes: what S3 answers to HEAD, GET and lists."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

DATE = "Mon, 05 Jan 2026 10:00:00 GMT"


@dataclass
class Storage:
    """Files by BUCKET/KEY. requests: what was asked. answer: if set, it answers a request and returns True."""

    files: dict[str, bytes]
    address: str = ""
    requests: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    answer: Callable[[BaseHTTPRequestHandler], bool] | None = None

    def list_keys(self, bucket: str, asked: dict[str, list[str]]) -> bytes:
        prefix, delimiter = (asked.get(name, [""])[0] for name in ("prefix", "delimiter"))
        found, folders = [], set()
        for name, content in sorted(self.files.items()):
            key = name.removeprefix(f"{bucket}/")
            if key == name or not key.startswith(prefix):
                continue
            head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if mark:
                folders.add(prefix + head + mark)
                continue
            found.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-05T10:00:00.000Z</LastModified>"
                f"<ETag>&quot;{make_etag(content)}&quot;</ETag><Size>{len(content)}</Size></Contents>"
            )
        found += [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders)]
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(found)}</ListBucketResult>".encode()


def make_etag(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def serve_objects(files: dict[str, bytes]) -> Iterator[Storage]:
    storage = Storage(dict(files))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            about = urlsplit(self.path)
            name = unquote(about.path).strip("/")
            storage.requests.append(f"{self.command} {name}{'?' + about.query if about.query else ''}")
            if storage.answer is not None and storage.answer(self):
                return
            if "list-type=2" in about.query:
                self.reply(200, storage.list_keys(name.partition("/")[0], parse_qs(about.query)))
            elif name not in storage.files:
                self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                self.send_part(storage.files[name])

        do_HEAD = do_GET

        def send_part(self, content: bytes) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            more = {"ETag": f'"{make_etag(content)}"', "Last-Modified": DATE, "Accept-Ranges": "bytes"}
            if found is None:
                return self.reply(200, content, more)
            first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            more["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self.reply(206, content[first : last + 1], more)

        def reply(self, code: int, body: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for key, value in {"Content-Length": str(len(body)), **(more or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                storage.sent_bytes += len(body)
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    storage.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield storage
    finally:
        server.shutdown()
        server.server_close()
