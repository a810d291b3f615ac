#!/usr/bin/env python3
"""fileserver.py DIR LOG: files of DIR over HTTP on loopback; prints its port, then serves until it is killed.

Each request is a line of LOG: "METHOD PATH STATUS auth=... inm=... ims=... agent=...".
/                  index.html; so is /x/..
/x                 the file (of a directory DIR/x.page), with Last-Modified and, when there is DIR/x.etag, its ETag; 304 when that is asked for
/status/N          that status
/to/N?URL          a redirect with status N to URL
/loop              a redirect to itself
/moving/x          a redirect to where the file DIR/x says
/auth/x            the file DIR/x for "Authorization: Bearer let-me-in" alone
/basic/x           the same for user "me", password "let-me-in"; git repositories too
/short             says that it has 100 bytes and has 10
/lies/x            always 304
/smart/x.git       git repositories of DIR through git http-backend; /x.git through plain files
"""
import base64
import email.utils
import http.server
import os
import subprocess
import sys

ROOT, LOG = os.path.abspath(sys.argv[1]), sys.argv[2]
BASIC = "basic " + base64.b64encode(b"me:let-me-in").decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status):
        h = self.headers
        with open(LOG, "a") as f:
            f.write("%s %s %s auth=%s inm=%s ims=%s agent=%s\n" % (
                self.command, self.path, status, h.get("Authorization", "-"), h.get("If-None-Match", "-"),
                h.get("If-Modified-Since", "-"), h.get("User-Agent", "-")))

    def answer(self, status, headers=(), body=b"", length=None):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def file(self, name):
        name = "index.html" if name.rstrip("/.") in ("", "/x", "/x/%2e%2e") else name
        path = os.path.normpath(os.path.join(ROOT, name.lstrip("/")))
        path = path + ".page" if os.path.isdir(path) else path
        if not path.startswith(ROOT) or not os.path.isfile(path):
            return self.answer(404, body=b"no such file\n")
        etag = None
        if os.path.exists(path + ".etag"):
            with open(path + ".etag") as f:
                etag = f.read().strip()
        modified = email.utils.formatdate(os.stat(path).st_mtime, usegmt=True)
        headers = [("Last-Modified", modified)] + ([("ETag", etag)] if etag else [])
        asked, since = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
        if (asked is not None and asked == etag) or (asked is None and since == modified):
            return self.answer(304, headers)
        with open(path, "rb") as f:
            self.answer(200, headers, f.read())

    def backend(self, path, query):
        env = dict(os.environ, GIT_PROJECT_ROOT=ROOT, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""), REMOTE_ADDR="127.0.0.1",
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""))
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                size = int(self.rfile.readline().strip(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = subprocess.run(["git", "http-backend"], env=env, input=body, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = int(dict(lines).get("Status", "200").split()[0])
        self.answer(status, [(n, v) for n, v in lines if n != "Status"], rest)

    def serve(self):
        path, _, query = self.path.partition("?")
        first, _, rest = path.lstrip("/").partition("/")
        if first == "status":
            return self.answer(int(rest), body=b"no\n")
        if first == "to":
            return self.answer(int(rest), [("Location", query)])
        if first == "loop":
            return self.answer(302, [("Location", "/loop")])
        if first == "moving":
            with open(os.path.join(ROOT, os.path.basename(rest))) as f:
                return self.answer(302, [("Location", f.read().strip())])
        if first == "auth":
            if self.headers.get("Authorization") != "Bearer let-me-in":
                return self.answer(401, body=b"who are you?\n")
            return self.file(rest)
        if first == "basic":
            if self.headers.get("Authorization", "").replace("Basic", "basic") != BASIC:
                return self.answer(401, [("WWW-Authenticate", 'Basic realm="x"')], b"who are you?\n")
            return self.backend("/" + rest, query) if ".git/" in rest else self.file(rest)
        if first == "short":
            return self.answer(200, body=b"0123456789", length=100)
        if first == "lies":
            return self.answer(304)
        if first == "smart":
            return self.backend("/" + rest, query)
        return self.file(path)

    do_GET = do_POST = do_HEAD = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
