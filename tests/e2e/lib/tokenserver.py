#!/usr/bin/env python3
"""tokenserver.py KEY CERT LOG: tokens for a docker-registry that trusts CERT, over HTTP on loopback; prints its port, then
serves until it is killed.

GET /token asks as the distribution's token specification has it, POST /token as its OAuth2 one. The user "user" with the
password "hunter2 is long" or the identity token "an-identity" gets what they ask for, nobody else anything. Each
request is a line of LOG: "METHOD who SCOPE...".
"""
import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse

KEY, CERT, LOG = sys.argv[1:4]
BASIC = "Basic " + base64.b64encode(b"user:hunter2 is long").decode()


def letters(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def certificate():
    with open(CERT) as f:
        return "".join(line.strip() for line in f if "-----" not in line)


def token(service, scopes, known):
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":", 2)
        access.append({"type": kind, "name": name, "actions": actions.split(",") if known else []})
    now = int(time.time())
    claims = {"iss": "e2e", "sub": "user", "aud": service, "exp": now + 300, "nbf": now - 60, "iat": now,
              "jti": str(time.time_ns()), "access": access}
    head = {"typ": "JWT", "alg": "RS256", "x5c": [certificate()]}
    text = letters(json.dumps(head).encode()) + "." + letters(json.dumps(claims).encode())
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", KEY], input=text.encode(), capture_output=True,
                            check=True)
    return text + "." + letters(signed.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log(self, who, scopes):
        with open(LOG, "a") as f:
            f.write(" ".join([self.command, who] + scopes) + "\n")

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        given = self.headers.get("Authorization")
        scopes = query.get("scope", [])
        if given not in (None, BASIC):
            self.log("stranger", scopes)
            return self.answer(401, {"details": "incorrect username or password"})
        self.log("user" if given else "nobody", scopes)
        self.answer(200, {"token": token(query["service"][0], scopes, given is not None), "expires_in": 300})

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        scopes = form.get("scope", [""])[0].split()
        good = form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == ["an-identity"]
        self.log("user" if good and form.get("client_id") == ["shale"] else "stranger", scopes)
        if not good:
            return self.answer(401, {"details": "unknown identity"})
        self.answer(200, {"access_token": token(form["service"][0], scopes, True), "expires_in": 300})

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
