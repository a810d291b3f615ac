#!/usr/bin/env python3
"""The worked examples of docs/cache-keys.md, by a second implementation of what the document says.

    keys.py recompute DOC                the digests follow from the fields that the document shows
    keys.py build DOC SHALE DIR          shale has these fields and digests for the document's builds, and the content
                                         ids in them follow from the layers' tars
    keys.py update DOC SHALE DIR         writes what shale has into DOC: read the difference

An example is "<!-- key KIND FLAGS -->", a Dockerfile, the fields of its last KIND, and the digest. DIR is on a file system
where containers run; everything is made there.
"""
import hashlib
import http.server
import io
import json
import os
import platform
import re
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import threading

EXAMPLE = re.compile(r"<!-- key (\S+) ?(.*?)-->\n```dockerfile\n(.*?)```\n\n```\n(.*?)```\n\n`sha256:([0-9a-f]{64})`\n", re.S)
SETUP = re.compile(r"<!-- setup -->\n```sh\n(.*?)```\n", re.S)
NEEDS_CPU = ("run", "mount", "cache-mount")  # the base's program is for this machine's kind only
problems = []


def problem(text):
    problems.append(text)
    print("not so:", text, file=sys.stderr)


# What the document says.

def framed(data):
    return struct.pack("<Q", len(data)) + data


def unescape(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


def parse_fields(text):
    """An empty value may have lost the space before it."""
    return [(name, value[1:]) for name, _, value in (line.partition(":") for line in text.splitlines())]


def without_blanks(text):
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def key_of(fields):
    stream = b"".join(framed(name.encode()) + framed(unescape(value)) for name, value in fields)
    return hashlib.sha256(stream).hexdigest()


def recompute(doc):
    examples = EXAMPLE.findall(doc)
    for kind, flags, dockerfile, text, digest in examples:
        fields = parse_fields(text)
        if key_of(fields) != digest:
            problem(f"{kind}, {dockerfile!r}: the fields give sha256:{key_of(fields)}, not sha256:{digest}")
        if fields[0][0] != "version" or fields[1] != ("kind", kind):
            problem(f"{kind}: begins with {fields[:2]}")
    table = set(re.findall(r"^\| `([a-z.-]+)` \|", doc, re.M))
    return examples, table - {"bind", "cache", "tmpfs", "secret", "ssh"}


# docs/listing-format.md, "Content id", from the tar of a layer.

def path_order(path):
    return [part.encode() for part in path.split("/")] if path else []


def content_id(entries):
    h = hashlib.sha256(b"shale content id 1\0")
    text = lambda s: struct.pack("<I", len(s)) + s
    for path in sorted(entries, key=path_order):
        kind, mode, uid, gid, data, target = entries[path]
        content = hashlib.sha256(data).digest() if kind == "f" else bytes(32)
        h.update(kind.encode() + b"\0" + struct.pack("<HIIIIQ", mode, uid, gid, 0, 0, len(data)))
        h.update(content + text(path.encode()) + text(target.encode()) + struct.pack("<I", 0))
    return "sha256:" + h.hexdigest()


def entries_of_tar(data):
    """The entries, and (name, first name) for names of one file."""
    entries, links = {}, {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for m in tar:
            path = m.name.strip("/").removeprefix("./").removeprefix(".")
            if m.islnk():
                entries[path] = entries[m.linkname]
                links.setdefault(m.linkname, [m.linkname]).append(path)
                continue
            kind = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l"}.get(m.type, "f")
            entries[path] = (kind, m.mode, m.uid, m.gid, tar.extractfile(m).read() if kind == "f" else b"",
                             m.linkname if kind == "l" else "")
    pairs = []
    for names in links.values():
        names.sort(key=path_order)
        pairs += [(name, names[0]) for name in names[1:]]
    return entries, sorted(pairs, key=lambda p: path_order(p[0]))


def links_id(pairs):
    text = lambda s: struct.pack("<I", len(s)) + s.encode()
    return "sha256:" + hashlib.sha256(b"".join(text(n) + text(f) for n, f in pairs)).hexdigest()


def shown_of(top, path):
    """What a mount of a context shows: path and what is below it, and the directories above."""
    entries = {}
    for n in range(1, len(path_order(path))):
        entries["/".join(path.split("/")[:n])] = ("d", 0o755, 0, 0, b"", "")
    todo = [path]
    for name in todo:
        st = os.lstat(os.path.join(top, name))
        data = b""
        if stat.S_ISDIR(st.st_mode):
            todo += [f"{name}/{child}" for child in os.listdir(os.path.join(top, name))]
        else:
            with open(os.path.join(top, name), "rb") as f:
                data = f.read()
        entries[name] = ("d" if stat.S_ISDIR(st.st_mode) else "f", st.st_mode & 0o7777, 0, 0, data, "")
    return entries


# What shale has.

class Build:
    def __init__(self, shale, place, dockerfile, flags):
        self.place, self.root = place, os.path.join(place, "store")
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(os.path.join(place, "base"), self.root, symlinks=True)
        with open(os.path.join(place, "Dockerfile"), "w") as f:
            f.write(dockerfile)
        command = [shale, "build", "--progress=plain", "--load=false", "-f", "Dockerfile", "-o",
                   "type=oci,dest=image.tar,compression=uncompressed,force-compression=true", *flags.split(), "ctx"]
        done = subprocess.run(command, cwd=place, env={**os.environ, "SHALE_ROOT": self.root}, text=True,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"{done.stderr}\nthis does not build:\n{dockerfile}")
        self.db = sqlite3.connect(os.path.join(self.root, "shale.db"))

    def record(self, kind):
        """(fields, digest) of the last step of that kind."""
        for key, fields in self.db.execute("SELECT key, fields FROM records WHERE fields IS NOT NULL ORDER BY seq DESC"):
            name = fields.hex()
            with open(os.path.join(self.root, "blobs/sha256", name[:2], name)) as f:
                text = f.read()
            if f"kind: {kind}\n" in text:
                return text, key.hex()
        sys.exit(f"no record is a '{kind}'")

    def knows(self, kind, digest):
        if kind == "cache-mount":
            return os.path.isdir(os.path.join(self.root, "cache-mounts", digest))
        return self.db.execute("SELECT 1 FROM records WHERE key = ?", (bytes.fromhex(digest),)).fetchone() is not None

    def layers(self):
        with tarfile.open(os.path.join(self.place, "image.tar")) as tar:
            blob = lambda d: tar.extractfile("blobs/sha256/" + d.removeprefix("sha256:")).read()
            index = json.load(tar.extractfile("index.json"))
            manifest = json.loads(blob(index["manifests"][0]["digest"]))
            return [entries_of_tar(blob(layer["digest"])) for layer in manifest["layers"]]

    def check_ids(self, kind, fields):
        """The content ids of fields, from the tars."""
        have = [f for f in fields if f[0] in ("below", "below.links")]
        layers, want = self.layers(), []
        for entries, links in layers[:-1] if have else []:
            want.append(("below", content_id(entries)))
            if links:
                want.append(("below.links", links_id(links)))
        if have != want:
            problem(f"{kind}: below are {want}, the key has {have}")
        values = dict(fields)
        if "content" in values and "archive" not in values:
            if values["content"] != content_id(layers[-1][0]):
                problem(f"{kind}: the layer is {content_id(layers[-1][0])}, the key has {values['content']}")
        for (name, path), (_, content) in zip(fields, fields[1:]):
            if name == "mount.path" and path in os.listdir(os.path.join(self.place, "ctx")):
                shown = content_id(shown_of(os.path.join(self.place, "ctx"), path))
                if content != shown:
                    problem(f"{kind}: the mount shows {shown}, the key has {content}")
        if "archive" in values:
            with open(os.path.join(self.place, "ctx/src.tar"), "rb") as f:
                digest = "sha256:" + hashlib.sha256(f.read()).hexdigest()
            if values["archive"] != digest:
                problem(f"{kind}: the archive is {digest}, the key has {values['archive']}")


class Files(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory="ctx", **kwargs)

    def log_message(self, *args):
        pass


def set_up(doc, shale, place):
    os.makedirs(place)
    script = "set -eu\nshale() { \"$SHALE\" \"$@\" >/dev/null; }\n" + SETUP.search(doc)[1]
    env = {**os.environ, "SHALE": shale, "SHALE_ROOT": os.path.join(place, "base")}
    subprocess.run(["bash", "-c", script], cwd=place, env=env, check=True)
    os.chdir(place)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def build(doc, shale, place, update):
    examples = EXAMPLE.findall(doc)
    port = set_up(doc, shale, place)
    for kind, flags, dockerfile, text, digest in examples:
        if kind in NEEDS_CPU and platform.machine() != "x86_64":
            print(f"not here: the example of '{kind}' is for x86-64")
            continue
        b = Build(shale, place, dockerfile.replace("$PORT", str(port)), flags)
        if kind in ("cache-mount", "fetch.file"):
            if update: # these have no text in the store: the document's fields are what is checked
                doc = doc.replace(digest, key_of(parse_fields(text)))
                digest = key_of(parse_fields(text))
            if not b.knows(kind, digest):
                problem(f"{kind}: the store does not have {digest}")
            continue
        have, key = b.record(kind)
        if key != key_of(parse_fields(have)):
            problem(f"{kind}: shale's own fields give {key_of(parse_fields(have))}, its key is {key}")
        if update:
            doc = doc.replace(text, without_blanks(have)).replace(digest, key)
        elif (without_blanks(have), key) != (text, digest):
            problem(f"{kind}: shale has\n{have}sha256:{key}\nfor\n{dockerfile}")
        b.check_ids(kind, parse_fields(have))
        b.db.close()
    return doc


def main():
    what, path = sys.argv[1], os.path.abspath(sys.argv[2])
    with open(path) as f:
        doc = f.read()
    if what == "recompute":
        examples, table = recompute(doc)
        missing = {"run", "copy", "workdir"} - {e[0] for e in examples} | {e[0] for e in examples} - table
        if missing:
            problem(f"no example, or not in the tables: {missing}")
        print(len(examples), "examples")
    else:
        doc = build(doc, *sys.argv[3:5], what == "update")
        if what == "update":
            with open(path, "w") as f:
                f.write(doc)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
