#!/usr/bin/env python3
"""buildah's conformance cases: builds that run, against what BuildKit made of the same contexts.

Base images are stand-ins, as those that BuildKit had: busybox and bash under each name. What a result has unchanged
from its base is not compared, nor are times that were the build's own. Needs root and a runtime; SHALE_TEST_DIR: where
the store and the contexts go (default: /var/tmp).
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from corpus import SHALE, Count, folder, read, tsv

DIR = folder()
BASES = {"busybox": ["mirror.gcr.io/busybox", "mirror.gcr.io/alpine"],
         "bash": ["quay.io/libpod/centos:7", "quay.io/fedora/python-311"]}
BASE_TIME = 1485449953
BASE_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_DIRS = ("bin dev etc home lib mnt opt proc run sbin srv sys usr usr/bin usr/lib usr/local usr/local/bin usr/sbin "
             "var var/log").split()
BASE_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                  "bin:x:2:2:bin:/bin:/bin/false\nadm:x:3:4:adm:/var/adm:/bin/false\n"
                  "lp:x:7:7:lp:/var/spool/lpd:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nadm:x:4:\nlp:x:7:\nmail:x:8:\nnogroup:x:65534:\n",
    "etc/os-release": "NAME=stand-in\nID=stand-in\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
}
NOT_YET = "not supported by this version"
# Golden trees of images that are the base and nothing else show what of it they kept.
BASE_CASE = "BC030"
DROPPED = ("/bin/bash.real",)  # of another stand-in
NEEDS_OTHERS = {
    "BC031": "needs the network", "BC036": "buildah's own mounts", "BC037": "buildah's own mounts",
    "BC042": "the digest of a public image", "BC173": "the digest of a public image",
}
KNOWN = {
    ("result", "BC108"): "the golden result was made with another ignore file than the case has",
    ("result", "BC171"): "BuildKit's diff drops a directory of which only the time changed, here it is in the layer",
}
count = Count(KNOWN)
work = None


def run(args, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "BUILDKIT_", "BUILDX_", "SHALE_LOG"))}
    env.update(SHALE_ROOT=work + "/store", DOCKER_HOST="unix://" + work + "/no-engine", LC_ALL="C", **more)
    env.pop("SOURCE_DATE_EPOCH", None)
    done = subprocess.run(args, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


def must(args, **more):
    status, out, err = run(args, **more)
    if status != 0:
        sys.exit(f"{' '.join(args)}: status {status}: {err}")
    return out


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as f:
        f.write(text)
    os.chmod(path, mode)


def make_rootfs(root, shell):
    os.makedirs(root)
    for name in BASE_DIRS:
        os.mkdir(f"{root}/{name}", 0o755)
    os.mkdir(root + "/root", 0o700)
    os.mkdir(root + "/tmp")
    os.chmod(root + "/tmp", 0o1777)
    for name, text in BASE_FILES.items():
        write(f"{root}/{name}", text)
    busybox = shutil.which("busybox") or sys.exit("no busybox: install busybox-static")
    bash = shutil.which("bash-static") or sys.exit("no bash-static: install it")
    write(root + "/usr/bin/script", "#!/bin/sh\n", 0o755)
    os.symlink(shell, root + "/bin/sh")
    shutil.copy(busybox, root + "/bin/busybox")
    shutil.copy(bash, root + "/bin/bash")
    for applet in must([busybox, "--list"]).split():
        if not os.path.lexists(f"{root}/bin/{applet}"):
            os.symlink("busybox", f"{root}/bin/{applet}")


def plain_member(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = BASE_TIME
    return member


def make_base(shell, names):
    """Under all of the names. Returns its tree."""
    context = f"{work}/base-{shell}"
    make_rootfs(context + "/root", shell)
    with tarfile.open(context + "/rootfs.tar", "w") as tar:
        for name in sorted(os.listdir(context + "/root")):
            tar.add(f"{context}/root/{name}", name, filter=plain_member)
    write(context + "/Dockerfile", f'FROM scratch\nADD rootfs.tar /\nENV {BASE_PATH}\nCMD ["sh"]\n')
    must([SHALE, "build", "-q", "--load=false"] + [f"--tag={name}" for name in names] + [context])
    return json.loads(must([SHALE, "debug", "tree", names[0]]))["tree"]


def read_cases():
    head = [line for line in read(DIR, "cases.tsv").split("\n") if line.startswith("#id\t")][0][1:].split("\t")
    return [dict(zip(head, row)) for row in tsv(DIR, "cases.tsv")]


def without_syntax(text):
    return re.sub(r"(?im)^#\s*syntax\s*=.*\n?", "", text)


def restore_link(path):
    """Links that the corpus lost are files that hold another name in their place, without a line feed."""
    if os.path.islink(path) or os.path.getsize(path) > 100:
        return
    text = read(path)
    if "\n" not in text and text not in ("", os.path.basename(path)) and \
            os.path.lexists(os.path.join(os.path.dirname(path), text)):
        os.unlink(path)
        os.symlink(text, path)


def copy_context(name, to):
    """With modes that no umask decided."""
    shutil.copytree(f"{DIR}/testdata/{name}", to, symlinks=True, copy_function=shutil.copyfile)
    for path, _, files in os.walk(to):
        os.chmod(path, 0o775)
        for file in files:
            restore_link(f"{path}/{file}")
            if not os.path.islink(f"{path}/{file}"):
                os.chmod(f"{path}/{file}", 0o664)
    if name == "mount-targets":
        # A static program that the corpus leaves out.
        shutil.copy(shutil.which("busybox"), to + "/true")


def make_context(case, to):
    """Returns the Dockerfile's path; no frontend image is asked for."""
    if case["context_dir"]:
        copy_context(case["context_dir"], to)
    else:
        os.mkdir(to)
    if case["inline_dockerfile"]:
        dockerfile, text = to + "/Dockerfile", read(DIR, case["inline_dockerfile"])
    elif case["context_dir"]:
        dockerfile = f"{to}/{case['dockerfile'] or 'Dockerfile'}"
        text = read(dockerfile)
    else:
        dockerfile, text = to + "/Dockerfile", read(DIR, "testdata", case["dockerfile"])
    if not os.path.exists(dockerfile):
        write(dockerfile, text)
    elif read(dockerfile) != text:
        dockerfile = to + ".Dockerfile"
        write(dockerfile, text)
    if without_syntax(text) != text:
        dockerfile = to + ".Dockerfile"
        write(dockerfile, without_syntax(text))
    return dockerfile


def build(case):
    """What shale makes of the case: its tree, or the error."""
    context, name = f"{work}/{case['id']}", "case-" + case["id"].lower()
    dockerfile = make_context(case, context)
    if case["tweak"]:
        must(["sh", "-e", f"{DIR}/{case['tweak']}"], CTX=context)
    args = [f"--build-arg={k}={v}" for k, v in json.loads(case["build_args_json"] or "{}").items()]
    status, _, err = run([SHALE, "build", "--load=false", "--offline", "--no-durable", "--progress=plain", "-t", name,
                          "-f", dockerfile] + args + [context])
    if status != 0:
        return None, err
    return json.loads(must([SHALE, "debug", "tree", name])), None


def beyond(tree, base):
    """What a base does not have just so."""
    return {path: entry for path, entry in tree.items() if base.get(path) != entry}


def differences(want, got, base_want, base_got):
    found = []
    for key in ("config", "history", "layers", "os"):
        if want[key] != got[key]:
            found.append((key, want[key], got[key]))
    skip = 1 if want["base_entries_dropped"] else 0
    if want["entries_per_layer"][skip:] != got["entries_per_layer"][skip:]:
        found.append(("entries_per_layer", want["entries_per_layer"], got["entries_per_layer"]))
    if not skip:
        base_want, base_got = {}, {}
    a, b = beyond(want["tree"], base_want), beyond(got["tree"], base_got)
    for path in sorted(set(a) | set(b)):
        x, y = want["tree"].get(path), got["tree"].get(path)
        if x and y and x["mtime"] == "now":
            y = dict(y, mtime="now")
        if x != y and path not in DROPPED and not (x is None and is_stand_in(path, y)):
            found.append((path, x, y))
    found += [(path, "of the base", path in got["tree"]) for path in base_want
              if path in base_got and (path in want["tree"]) != (path in got["tree"])]
    return found


def is_stand_in(path, entry):
    """The goldens dropped the base's applets wherever a case copied them to."""
    return entry["t"] == "l" and entry.get("to") in BASES and path.startswith("/bin/")


def check(case, verdict, built, base):
    golden = f"{DIR}/golden-buildkit/{case['id']}.json"
    tree, error = built
    if error is not None and NOT_YET in error:
        print(f"not yet: {case['id']} {case['name']}: " + error.rsplit("failed to solve: ")[-1].strip())
        return
    count.check("verdict", case["id"], verdict, "ok" if tree is not None else "fail", [case["name"], (error or "")[-1500:]])
    if tree is None or not os.path.exists(golden):
        return
    want = json.loads(read(golden))
    base_want = json.loads(read(DIR, f"golden-buildkit/{BASE_CASE}.json"))["tree"]
    count.check("result", case["id"], [], differences(want, tree, base_want, base), case["name"])


def main():
    cases = [c for c in read_cases() if c["id"] not in NEEDS_OTHERS]
    verdicts = {row[0]: row[4] for row in tsv(DIR, "golden-buildkit/results.tsv")}
    bases = {}
    for shell, names in BASES.items():
        bases.update(make_base(shell, names))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, built in zip(cases, pool.map(build, cases)):
            check(case, verdicts[case["id"]], built, bases)


os.umask(0o022)
if os.geteuid() != 0:
    print("not here: root, which these builds need")
    count.end()
work = tempfile.mkdtemp(prefix="shale-buildah.", dir=os.environ.get("SHALE_TEST_DIR", "/var/tmp"))
try:
    main()
finally:
    shutil.rmtree(work, ignore_errors=True)
count.end()
