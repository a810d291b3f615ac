"""What cases need besides shale: a small root file system under the names of public images, and servers on loopback."""

import http.server
import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading

DIRS = ("bin dev etc home home/user lib mnt opt proc run sbin srv sys usr usr/bin usr/lib usr/local usr/local/bin "
        "usr/sbin var var/log").split()
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                  "bin:x:2:2:bin:/bin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nwheel:x:10:root\nnobody:x:65534:\n",
    "etc/os-release": "NAME=stand-in\nID=stand-in\n",
    "etc/alpine-release": "3.99.0\n",
    "etc/hostname": "stand-in\n",
}
# busybox-static has none.
ADDUSER = """#!/bin/sh
for name; do :; done
id=1000
while grep -q "^[^:]*:[^:]*:$id:" /etc/passwd; do id=$((id + 1)); done
echo "$name:x:$id:$id::/home/$name:/bin/sh" >>/etc/passwd
echo "$name:x:$id:" >>/etc/group
mkdir -p "/home/$name"
"""


def write(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    os.chmod(path, mode)


def make_rootfs(root):
    os.makedirs(root)
    for name in DIRS:
        os.makedirs(f"{root}/{name}", 0o755, exist_ok=True)
    os.mkdir(root + "/root", 0o700)
    os.mkdir(root + "/tmp")
    os.chmod(root + "/tmp", 0o1777)
    for name, text in FILES.items():
        write(f"{root}/{name}", text)
    busybox = shutil.which("busybox")
    if not busybox:
        raise SystemExit("no busybox: install busybox-static")
    shutil.copy(busybox, root + "/bin/busybox")
    write(root + "/bin/adduser", ADDUSER, 0o755)
    for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
        if not os.path.lexists(f"{root}/bin/{applet}"):
            os.symlink("busybox", f"{root}/bin/{applet}")


def tar_of(files, mtime=0):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            data = data if isinstance(data, bytes) else data.encode()
            member = tarfile.TarInfo(name)
            member.mode, member.size, member.mtime = 0o600, len(data), mtime
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


class Git:
    def __init__(self, where):
        self.where = where
        self.commits = {}

    def run(self, *args):
        env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=self.where)
        for who in ("AUTHOR", "COMMITTER"):
            env.update({f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test"})
        done = subprocess.run(["git", "-C", self.where, *args], env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def make_git(where, commits):
    """commits: (files, name); each has a branch and a tag of its name."""
    os.mkdir(where)
    git = Git(where)
    git.run("init", "-q", "-b", "master")
    for files, name in commits:
        for path, data in files.items():
            words = path.split(" ")
            if words[0] == "fstest.CreateDir":
                os.makedirs(f"{where}/{words[1]}", exist_ok=True)
            elif words[0] == "fstest.Symlink":
                os.symlink(words[1], f"{where}/{words[2]}")
            else:
                write(f"{where}/{path}", data)
        git.run("add", "-A")
        git.run("commit", "-q", "-m", name)
        git.run("tag" if name[-1].isdigit() else "branch", name)
        git.commits[name] = git.run("rev-parse", "HEAD")
    git.run("update-server-info")
    return git


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        path = self.path.split("?")[0]
        data = self.server.files.get(path)
        if data is None and path.startswith("/.git/") and ".." not in path and os.path.isfile(self.server.root + path):
            with open(self.server.root + path, "rb") as f:
                data = f.read()
        if data is None:
            self.send_error(404)
            return
        data = data if isinstance(data, bytes) else data.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hash(data) & 0xffffffff:x}"')
        if "modified" in self.server.files:
            self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass


class CaseServer:
    """An HTTP server of files and of a repository's /.git; or a port that says a word; or an agent's socket."""

    def __init__(self, files, root, sock):
        self.closing = False
        self.listener = self.http = None
        if "says" in files:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.url = ""
            threading.Thread(target=self.say, args=(files["says"].encode(),), daemon=True).start()
        elif "agent" in files:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(sock)
            self.listener.listen()
            self.url, self.port = "", 0
        else:
            self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            self.http.files, self.http.root = files, root
            self.port = self.http.server_address[1]
            self.url = f"http://127.0.0.1:{self.port}"
            threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def say(self, word):
        while not self.closing:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                peer.sendall(word)

    def close(self):
        self.closing = True
        if self.http:
            self.http.shutdown()
            self.http.server_close()
        if self.listener:
            self.listener.close()
