#!/usr/bin/env python3
"""moby's tests of `docker build` as builds. The corpus has Dockerfiles and literals alone; what else a case needs is in
moby_inputs.py. Checked: that the build passes or fails, which for most is its own RUN [ ... ], the literals that speak
of the result, what the configuration must say by the Dockerfile's own text, and whether two builds share an image.

Cases without builds there are counted by reason: they speak of the classic builder's containers and words, of the
engine or of Windows, or hold nothing that can be built. Needs root and a runtime. SHALE_TEST_DIR, CASE: as for 04.
"""

import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

from builds import last_lines, leaves, make_store, put, shale, slurp, substituted
from corpus import Count, folder, read, tsv
from moby_inputs import BUILDS
from stand_in import tar_of

DIR = folder()
ONLY = os.environ.get("CASE", "")
BASES = ("busybox",)
# Case -> why shale's answer is another one.
KNOWN = {}

work = None


class Fault(Exception):
    pass


def literals(name):
    """Line -> texts."""
    path = f"{DIR}/cases/{name}/expect.tsv"
    rows = tsv(path) if os.path.exists(path) else []
    return {int(r[0]): json.loads(r[2]) for r in rows if r[0].isdigit()}


def dockerfile(case, given, where):
    text = read(f"{DIR}/cases/{case}/{given['number']:02}.Dockerfile")
    values = given.get("values")
    if isinstance(values, dict):
        for key, value in values.items():
            text = text.replace(key, value)
    elif values is not None:
        text = substituted(text, [value.replace("{dir}", where) for value in values])
    return text


def make_context(given, text, context, where):
    os.makedirs(context)
    for name, data in given["files"].items():
        path = f"{context}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(data, tuple):
            os.symlink(data[0], path)
            continue
        put(context, {name: data(where) if callable(data) else data}, {name: 0o644})
        if name in given.get("owners", {}):
            os.chown(path, given["owners"][name], given["owners"][name])
    put(context, {given.get("filename", "Dockerfile"): text}, {})


def run_build(case, number, given, where):
    text, context = dockerfile(case, given, where), f"{where}/{number}/context"
    make_context(given, text, context, where)
    args = [*given.get("args", []), "--load=false"]
    args += ["-t", given["tag"]] if "tag" in given else ["-o", f"type=local,dest={where}/{number}/out"]
    args += ["--iidfile", f"{where}/{number}/iid"] if "tag" in given else []
    stdin, last = None, [context]
    if "filename" in given:
        last = ["-f", f"{context}/{given['filename']}", context]
    if given.get("stdin"):
        stdin, last = tar_of(dict(given["files"], Dockerfile=text)), ["-"]
    elif "context" in given:
        stdin, last = text.encode(), [given["context"]]
    args += [] if "-q" in args else ["--progress=plain"]
    status, out, log = shale(work, where, "build", "--offline", "--no-durable", *args, *last,
                             stdin=stdin, **given.get("env", {}))
    if "-q" in args and status == 0 and (log or not re.fullmatch(r"(?:sha256:[0-9a-f]{64}\n)?", out)):
        raise Fault(f"quiet, it says {out!r} and {log!r}")
    check(case, number, given, where, status, log)


def check_config(given, where):
    config = json.loads(shale(work, where, "debug", "tree", given["tag"])[1])["config"]
    for field, want in given.get("config", {}).items():
        got = config.get(field)
        if field in ("Env", "Labels"):
            got = got or type(want)()
            lacks = [x for x in want if x not in got or (field == "Labels" and got[x] != want[x])]
            if lacks:
                raise Fault(f"{field} is {got!r}, lacks {lacks!r}")
        elif got != want:
            raise Fault(f"{field} is {got!r}, not {want!r}")


def check(case, number, given, where, status, log):
    if status not in (0, 1) or "Sanitizer" in log:
        raise Fault(f"status {status}: " + last_lines(log))
    if (status != 0) != given.get("fails", False):
        raise Fault(("it failed: " if status else "it did not fail: ") + last_lines(log))
    texts, out = literals(case), f"{where}/{number}/out"
    if "says" in given:
        said = log
        if status == 0 and "tag" in given:
            said += "\n".join(leaves(json.loads(shale(work, where, "debug", "tree", given["tag"])[1])))
        for line in given["says"]:
            if texts[line][0] not in said:
                raise Fault(f"line {line}: does not say {texts[line][0]!r}: {last_lines(said)}")
    for key, there in (("has", True), ("lacks", False)):
        for path, line in given.get(key, {}).items():
            if (texts[line][0] in slurp(f"{out}/{path}")) != there:
                raise Fault(f"line {line}: {path} {'lacks' if there else 'has'} {texts[line][0]!r}")
    for path, want in given.get("content", {}).items():
        if slurp(f"{out}/{path}") != want:
            raise Fault(f"{path} is {slurp(f'{out}/{path}')!r}, not {want!r}")
    if "config" in given:
        check_config(given, where)
    if "outside" in given and os.path.lexists(f"{where}/{given['outside']}"):
        raise Fault(f"it made {given['outside']} outside of the image")
    for key, same in (("like", True), ("unlike", False)):
        if key in given and (slurp(f"{where}/{number}/iid") == slurp(f"{where}/{given[key]}/iid")) != same:
            raise Fault("another image" if same else "the same image" + f" as build {given[key]}")


def run_case(case):
    """None, or what is wrong with it."""
    where = f"{work}/{case}"
    shutil.copytree(work + "/store", where + "/store")
    os.mkdir(where + "/out")  # where builds must not write
    try:
        for number, given in enumerate(BUILDS[case]):
            os.mkdir(f"{where}/{number}")
            try:
                run_build(case, number, given, where)
            except Fault as fault:
                return f"build {number}: {fault}"
        return None
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as e:
        return f"the runner: {type(e).__name__}: {e}"
    finally:
        shutil.rmtree(where, ignore_errors=True)


def why_not(row):
    """Why a case has no builds here."""
    name, scope = row[2], (row + [""] * 8)[7]
    paths = glob.glob(f"{DIR}/cases/{name}/??.Dockerfile")
    if scope != "in":
        return scope
    if not paths:
        return "no Dockerfile in the corpus"
    if any(re.search(r"@\{|\{\{|%s", read(path)) for path in paths):
        return "computed value"
    return "speaks of the classic builder, the engine or the network alone"


def main(count):
    rows = [row for row in tsv(DIR, "behaviours.tsv") if ONLY in row[2]]
    names = [row[2] for row in rows if row[2] in BUILDS]
    reasons = {}
    for row in rows:
        if row[2] not in BUILDS:
            reasons.setdefault(why_not(row), []).append(row[2])
    for reason, without in sorted(reasons.items()):
        print(f"no build: {reason}: {len(without)}: " + " ".join(without))
    make_store(work, BASES)
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for name, wrong in zip(names, pool.map(run_case, names)):
            count.check("case", name, None, wrong)
    print(f"{len(rows)} cases: {len(names)} built, {len(rows) - len(names)} without a build")


os.umask(0o022)
counted = Count({("case", name): reason for name, reason in KNOWN.items()})
if os.geteuid() != 0:
    print("not here: root, which these builds need")
    counted.end()
work = tempfile.mkdtemp(prefix="shale-moby.", dir=os.environ.get("SHALE_TEST_DIR", "/var/tmp"))
try:
    main(counted)
finally:
    shutil.rmtree(work, ignore_errors=True)
counted.end()
