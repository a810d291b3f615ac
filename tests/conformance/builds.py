"""What the runners that build share: a store with stand-ins for public images, contexts from rows, running shale."""

import os
import re
import socket
import subprocess
import tarfile

from corpus import SHALE
from stand_in import make_rootfs

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERB = re.compile(r"%(?:\[(\d+)\])?([sdqv%])")
TIMEOUT = 120


def make_store(work, names):
    """WORK/store: busybox under each name."""
    make_rootfs(work + "/rootfs")
    with tarfile.open(work + "/rootfs.tar", "w") as tar:
        for name in sorted(os.listdir(work + "/rootfs")):
            tar.add(f"{work}/rootfs/{name}", name)
    env = dict(os.environ, SHALE_ROOT=work + "/store")
    for name in names:
        subprocess.run([SHALE, "import", "-c", "ENV PATH=" + PATH, "-c", 'CMD ["sh"]', work + "/rootfs.tar", name],
                       env=env, check=True, stdout=subprocess.DEVNULL)


def shale(work, case, *args, stdin=None, **more):
    """Runs it in the folder CASE on the store CASE/store, with no engine and nothing of the user's.
    Returns status, output, errors."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "BUILDKIT_", "BUILDX_", "SHALE_LOG"))
           and not k.lower().endswith("_proxy") and k != "SOURCE_DATE_EPOCH"}
    env.update(more, SHALE_ROOT=case + "/store", DOCKER_HOST="unix://" + work + "/no-engine", LC_ALL="C")
    done = subprocess.run([SHALE, *args], env=env, input=stdin or b"", capture_output=True, timeout=TIMEOUT, cwd=case)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def substituted(text, values):
    """A format's verbs replaced; those without a value are left empty."""
    if not values and "%" not in text:
        return text
    at = iter(values)

    def one(match):
        if match.group(2) == "%":
            return "%"
        return values[int(match.group(1)) - 1] if match.group(1) else next(at, "")
    return VERB.sub(one, text)


def put(where, rows, modes):
    """Files, and the rows that are calls: directories, links, sockets."""
    for name, data in rows.items():
        words = name.split(" ")
        if words[0] == "fstest.CreateDir":
            os.makedirs(f"{where}/{words[1]}", exist_ok=True)
            os.chmod(f"{where}/{words[1]}", int(words[2], 8) if len(words) > 2 and words[2] else 0o777)
        elif words[0] == "fstest.Symlink":
            os.symlink(words[1], f"{where}/{words[2]}")
        elif words[0] == "fstest.CreateSocket":
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(f"{where}/{words[1]}")
            sock.close()
        else:
            path = f"{where}/{name}"
            if not isinstance(data, bytes):
                data = data.encode(errors="surrogateescape")
            with open(path, "wb") as f:
                f.write(data)
            os.chmod(path, modes.get(name, 0o600))


def slurp(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def leaves(value):
    if isinstance(value, dict):
        return [text for k, v in value.items() for text in [k] + leaves(v)]
    if isinstance(value, list):
        return [text for v in value for text in leaves(v)]
    return [str(value)]


def last_lines(text):
    errors = [line for line in text.split("\n") if "ERROR" in line or "shale:" in line or "failed" in line]
    return " | ".join(errors[-3:] or text.strip().split("\n")[-3:])[:600]
