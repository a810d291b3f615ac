#!/usr/bin/env python3
"""Stands between shale and a Docker engine and writes down what is asked and sent.

    engine_proxy.py TARGET.sock LISTEN.sock LOG [--die-in-load|--old-answers]

One line a request in LOG, once it is answered: METHOD PATH STATUS BYTES, the path without the version and BYTES
those of the body. After a load one line for each member of its archive: "member NAME SIZE". With --die-in-load the
connection breaks at the beginning of a load, and nobody listens any more. With --old-answers images that the engine
has no more are shown as they were, as if they had gone a moment later.
"""
import io
import os
import re
import socket
import sys
import tarfile
import threading

TARGET, LISTEN, LOG = sys.argv[1:4]
DIE_IN_LOAD = "--die-in-load" in sys.argv[4:]
OLD_ANSWERS = "--old-answers" in sys.argv[4:]
lock = threading.Lock()
shown = {}


class Gone(Exception):
    pass


class Side:
    """Reads one side of a connection; what was read goes to the other side, if any, as it is."""

    def __init__(self, sock, other):
        self.sock, self.other, self.pending, self.taken = sock, other, b"", b""

    def _fill(self):
        got = self.sock.recv(1 << 16)
        if not got:
            raise Gone
        self.pending += got

    def take(self, n):
        while len(self.pending) < n:
            self._fill()
        out, self.pending = self.pending[:n], self.pending[n:]
        if self.other:
            self.other.sendall(out)
        self.taken += out
        return out

    def until(self, end):
        while end not in self.pending:
            self._fill()
        return self.take(self.pending.index(end) + len(end))

    def body(self, head):
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        if length:
            return self.take(int(length.group(1)))
        if not re.search(rb"(?im)^transfer-encoding: *chunked", head):
            return b""
        out = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            chunk = self.take(size + 2)[:-2]
            if size == 0:
                return out
            out += chunk


def members(body):
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return [f"member {m.name} {m.size}" for m in tar if m.isfile()]


def record(method, path, status, body):
    lines = [f"{method} {path} {status} {len(body)}"]
    if path.startswith("/images/load"):
        lines += members(body)
    with lock, open(LOG, "a", encoding="utf-8") as log:
        log.write("".join(line + "\n" for line in lines))


def exchange(client, engine):
    head = client.until(b"\r\n\r\n")
    method, path = head.decode("latin-1").split(" ")[:2]
    path = re.sub(r"^/v\d+\.\d+", "", path)
    if DIE_IN_LOAD and path.startswith("/images/load"):
        os.unlink(LISTEN)
        raise Gone
    if re.search(rb"(?im)^expect: *100-continue", head):
        client.sock.sendall(engine.until(b"\r\n\r\n"))
    body = client.body(head)
    engine.taken = b""
    answer = engine.until(b"\r\n\r\n")
    engine.body(answer)
    status = answer.decode("latin-1").split(" ")[1]
    record(method, path, status, body)
    with lock:
        if OLD_ANSWERS and method == "GET" and status == "200":
            shown[path] = engine.taken
        client.sock.sendall(shown.get(path, engine.taken))


def serve(sock):
    with sock, socket.socket(socket.AF_UNIX) as upstream:
        upstream.connect(TARGET)
        client, engine = Side(sock, upstream), Side(upstream, None)
        try:
            while True:
                exchange(client, engine)
        except (Gone, OSError):
            pass


def main():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(LISTEN)
        server.listen(16)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


main()
