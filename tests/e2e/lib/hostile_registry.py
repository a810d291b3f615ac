#!/usr/bin/env python3
"""hostile_registry.py LAYOUT LOG: a registry on loopback that misbehaves as the repository's name says.

LAYOUT is an OCI layout with one image. Prints "PORT OTHER": its own port and that of another server, to which it sends
people; both serve until they are killed. What comes to the other server is in LOG, a line a request:
"METHOD PATH authorization=... cookie=...". The image is tag 1 of every repository; BEHAVIOURS below says what is wrong there.
"""
import collections
import hashlib
import http.server
import json
import os
import socket
import struct
import sys
import threading

LAYOUT, LOG = sys.argv[1], sys.argv[2]
TOKEN = "let-me-in"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def blob(digest):
    try:
        with open(os.path.join(LAYOUT, "blobs", "sha256", digest.split(":")[1]), "rb") as f:
            return f.read()
    except (OSError, IndexError):
        return None


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


INDEX = json.load(open(os.path.join(LAYOUT, "index.json")))
MANIFEST = blob(INDEX["manifests"][0]["digest"])
DOC = json.loads(MANIFEST)
CONFIG, LAYER = DOC["config"]["digest"], DOC["layers"][-1]["digest"]


class Repository:
    """How one name behaves; the methods are what a good registry does. is_...: which request it is about."""
    made = {}  # blobs that are not in the layout, by digest

    def __init__(self):
        self.asked = collections.Counter()

    def manifest(self, h):
        h.answer(200, MANIFEST, {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": digest_of(MANIFEST)})

    def config(self, h, data):
        h.answer(200, data)

    def layer(self, h, data):  # the last one; the others are always good
        h.answer(200, data)

    def token(self, h):
        h.answer(404)

    def other(self, h):
        h.answer(404)

    # Of pushing: everything is taken.
    def begin(self, h):
        h.answer(202, headers={"Location": "/v2/%s/blobs/uploads/1?state=a%%2Fb==" % h.repository, "Range": "0-0"})

    def chunk(self, h, data):
        h.answer(202, headers={"Location": h.path, "Range": "0-%d" % (len(data) - 1)})

    def complete(self, h, data):
        h.answer(201, headers={"Docker-Content-Digest": digest_of(data)})

    def put_manifest(self, h, data):
        h.answer(201, headers={"Docker-Content-Digest": digest_of(data)})


def with_manifest(change, config=None):
    """A repository with another manifest; config: other bytes of the configuration."""
    class Changed(Repository):
        def __init__(self):
            super().__init__()
            doc = json.loads(MANIFEST)
            if config:
                data = config(blob(CONFIG))
                self.made = {digest_of(data): data}
                doc["config"].update(digest=digest_of(data), size=len(data))
            self.text = change(doc)
            self.text = self.text if isinstance(self.text, bytes) else json.dumps(self.text).encode()

        def manifest(self, h):
            h.answer(200, self.text, {"Content-Type": MANIFEST_TYPE})
    return Changed


def with_layer(**descriptor):
    def change(doc):
        doc["layers"][-1].update(descriptor)
        return doc
    return with_manifest(change)


def status(code, headers=None, body=b"", times=1 << 30):
    """Manifests are answered so, the first times."""
    class Busy(Repository):
        def manifest(self, h):
            self.asked["manifest"] += 1
            if self.asked["manifest"] <= times:
                return h.answer(code, body, headers or {})
            return super().manifest(h)
    return Busy


def layer_is(send):
    class Changed(Repository):
        def layer(self, h, data):
            send(h, data)
    return Changed


def flip(data, at):
    return data[:at] + bytes((data[at] ^ 255,)) + data[at + 1:]


def cut(h, data):
    h.answer(200, data[:len(data) // 2], length=len(data))


def endless(h, length):
    h.answer(200, b"", length=length)
    while True:
        h.wfile.write(b"0123456789abcdef" * 1024)


class EndlessHeaders(Repository):
    def manifest(self, h):
        h.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            h.wfile.write(b"X-More: " + b"and more, " * 100 + b"\r\n")


class CutHeaders(Repository):
    def manifest(self, h):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n" % MANIFEST_TYPE.encode())
        h.close_connection = True


class WithToken(Repository):
    """Everything wants a token; with_it says what comes then."""
    answer = json.dumps({"token": TOKEN}).encode()
    right = "Bearer " + TOKEN

    def token(self, h):
        self.asked["token"] += 1
        h.answer(200 if self.asked["token"] < 50 else 500, self.answer)

    def is_denied(self, h):
        if h.headers.get("Authorization") == self.right:
            return False
        h.answer(401, b"{}", {"WWW-Authenticate": 'Bearer realm="http://localhost:%d/token/%s",service="s"' % (
            h.server.server_port, h.repository), "Set-Cookie": "session=secret; Path=/"})
        return True

    def manifest(self, h):
        return self.is_denied(h) or super().manifest(h)

    def config(self, h, data):
        return self.is_denied(h) or super().config(h, data)

    def layer(self, h, data):
        return self.is_denied(h) or self.with_it(h, data)

    def with_it(self, h, data):
        h.answer(200, data)


class TokenLoop(WithToken):
    right = "never"


class TokenTwice(WithToken):
    answer = b'{"token":"%s","token":"other"}' % TOKEN.encode()


class ToOther(WithToken):
    def with_it(self, h, data):
        h.answer(307, headers={"Location": "http://127.0.0.1:%d/blob/%s" % (OTHER.server_port, digest_of(data)),
                               "Set-Cookie": "session=secret; Path=/"})


class ToDenied(WithToken):
    def with_it(self, h, data):
        h.answer(307, headers={"Location": "http://127.0.0.1:%d/denied" % OTHER.server_port})


class RedirectLoop(Repository):
    def layer(self, h, data):
        h.answer(302, headers={"Location": h.path})


class Foreign(Repository):
    """The layer is nowhere but at the URL that the manifest names, which nobody may be sent to."""
    def manifest(self, h):
        doc = json.loads(MANIFEST)
        doc["layers"][-1]["urls"] = ["http://127.0.0.1:%d/blob/%s" % (OTHER.server_port, LAYER)]
        h.answer(200, json.dumps(doc).encode(), {"Content-Type": MANIFEST_TYPE})

    def layer(self, h, data):
        h.answer(404)


class Taking(Repository):
    """One to push to: nothing is there."""
    def manifest(self, h):
        h.answer(404)


class TakesOther(Taking):
    def complete(self, h, data):
        h.answer(201, headers={"Docker-Content-Digest": digest_of(data + b"more")})


class TakesLater(Taking):
    def complete(self, h, data):
        h.answer(202)


class SendsElsewhere(WithToken, Taking):
    def begin(self, h):
        return self.is_denied(h) or h.answer(202, headers={
            "Location": "http://127.0.0.1:%d/upload" % OTHER.server_port, "Set-Cookie": "session=secret; Path=/"})

    def put_manifest(self, h, data):
        return self.is_denied(h) or super().put_manifest(h, data)

    manifest = Taking.manifest


class Resets(Taking):
    """The body is not read to its end."""
    def is_reset(self, h):
        if h.command != "PUT" or "/uploads/" not in h.path:
            return False
        h.rfile.read(1)
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        h.close_connection = True
        h.connection.close()
        return True


class TooLarge(Taking):
    def complete(self, h, data):
        h.answer(413)

    def chunk(self, h, data):
        h.answer(413)


class Immutable(Taking):
    def put_manifest(self, h, data):
        h.answer(409)


class ManifestOther(Taking):
    def put_manifest(self, h, data):
        h.answer(201, headers={"Docker-Content-Digest": digest_of(data + b"more")})


def both(doc):
    doc["manifests"] = INDEX["manifests"]
    return doc


def config_layers(data):
    doc = json.loads(data)
    doc["rootfs"]["diff_ids"].append(doc["rootfs"]["diff_ids"][0])
    return json.dumps(doc).encode()


BEHAVIOURS = {
    "good": Repository,
    # The ninth byte of gzip names a system and means nothing: what is unpacked is the same.
    "layer-digest": layer_is(lambda h, data: h.answer(200, flip(data, 9))),
    "layer-damaged": layer_is(lambda h, data: h.answer(200, flip(data, 20))),
    "layer-longer": layer_is(lambda h, data: h.answer(200, data + b"more")),
    "layer-shorter": layer_is(lambda h, data: h.answer(200, data[:-10])),
    "layer-truncated": layer_is(cut),
    "layer-endless": layer_is(lambda h, data: endless(h, None)),
    "layer-endless-length": layer_is(lambda h, data: endless(h, 1 << 40)),
    "size-more": with_layer(size=DOC["layers"][-1]["size"] + 1),
    "size-less": with_layer(size=DOC["layers"][-1]["size"] - 1),
    "size-negative": with_layer(size=-1),
    "headers-endless": EndlessHeaders,
    "headers-cut": CutHeaders,
    "token-loop": TokenLoop,
    "token-twice": TokenTwice,
    "to-denied": ToDenied,
    "to-other": ToOther,
    "redirect-loop": RedirectLoop,
    "busy": status(429),
    "busy-twice": status(429, {"Retry-After": "1"}, times=2),
    "failing": status(500, body=b"<html>secret</html>"),
    "failing-twice": status(503, times=2),
    "error-twice": status(400, body=b'{"errors":[{"message":"a","message":"b"}]}'),
    "manifest-twice": with_manifest(lambda doc: json.dumps(doc).encode()[:-1] + b', "layers": []}'),
    "manifest-both": with_manifest(both),
    "manifest-type": status(200, {"Content-Type": "text/html"}, b"<html></html>"),
    "manifest-huge": with_manifest(lambda doc: json.dumps(doc).encode() + b" " * (5 << 20)),
    "manifest-deep": with_manifest(lambda doc: b'{"schemaVersion":2,"layers":' + b"[" * 100000),
    "config-twice": with_manifest(lambda doc: doc, lambda data: data[:-1] + b',"config":{},"config":{}}'),
    "config-layers": with_manifest(lambda doc: doc, config_layers),
    "foreign": Foreign,
    "push-good": Taking,
    "push-digest": TakesOther,
    "push-later": TakesLater,
    "push-elsewhere": SendsElsewhere,
    "push-reset": Resets,
    "push-413": TooLarge,
    "push-immutable": Immutable,
    "push-manifest": ManifestOther,
}
REPOSITORIES = {name: make() for name, make in BEHAVIOURS.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", headers=None, length=-1):
        """length: what is said of the body; None: nothing is. The connection ends when it is not true."""
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.close_connection = length is None or length >= 0
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except OSError:  # it went away, as it may
            pass

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        self.repository = parts[1] if len(parts) > 1 else ""
        r = REPOSITORIES.get(self.repository)
        what, name = (parts[2], parts[3]) if len(parts) == 4 else (parts[0], "")
        if r is None:
            self.answer(404)
        elif what == "token":
            r.token(self)
        elif what == "manifests":
            r.manifest(self)
        elif what == "blobs":
            data = r.made.get(name) or blob(name)
            if data is None or isinstance(r, Taking):
                self.answer(404)
            elif name == LAYER:
                r.layer(self, data)
            else:
                r.config(self, data)
        else:
            r.other(self)

    do_HEAD = do_GET

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while True:
            n = int(self.rfile.readline(), 16)
            data += self.rfile.read(n)
            self.rfile.readline()
            if n == 0:
                return data

    def do_PUT(self):
        self.repository = self.path.split("/")[2]
        r = REPOSITORIES.get(self.repository)
        if isinstance(r, Resets) and r.is_reset(self):
            return
        data = self.body()
        if r is None or self.command == "DELETE":
            self.answer(204 if r else 404)
        elif "/manifests/" in self.path:
            r.put_manifest(self, data)
        elif self.command == "POST":
            r.begin(self)
        else:
            (r.chunk if self.command == "PATCH" else r.complete)(self, data)

    do_POST = do_PATCH = do_DELETE = do_PUT


class Other(Handler):
    def do_GET(self):
        with open(LOG, "a") as f:
            f.write("%s %s authorization=%s cookie=%s\n" % (
                self.command, self.path, self.headers.get("Authorization", "-"), self.headers.get("Cookie", "-")))
        if self.path == "/denied":
            return self.answer(401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:%d/token"' % (
                self.server.server_port)})
        if self.command == "PUT":
            return self.answer(201, headers={"Docker-Content-Digest": digest_of(self.body())})
        data = blob(self.path.split("/")[-1])
        self.answer(404) if data is None else self.answer(200, data)

    do_HEAD = do_PUT = do_GET


OTHER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
REGISTRY = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
for server in (OTHER, REGISTRY):
    server.daemon_threads = True
threading.Thread(target=OTHER.serve_forever, daemon=True).start()
print(REGISTRY.server_port, OTHER.server_port, flush=True)
REGISTRY.serve_forever()
