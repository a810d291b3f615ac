#!/usr/bin/env python3
"""BuildKit's build checks: every row of cases/*/*/lint.tsv. A case is the build that stands at one line of the Go
source: all its warnings with rule, line and text, and its error.

What the Go code computes is not in the corpus and is given here: the values of "%s" and "@{...}", the ignore rules,
and which Dockerfile is meant where the rows cannot say."""

import glob
import json
import os

from corpus import Count, ask, folder, read, tsv

DIR = folder()
PLATFORM = "linux/amd64"
IMAGE = "busybox:latest"
BASE = {"env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}

# (line in the Go source) -> number of the Dockerfile, where the row's own number is that of a text before it.
DOCKERFILES = {
    "484": 6, "748": 8, "1038": 9, "1061": 11, "1130": 1, "1138": 2, "1148": 3, "1171": 4, "1193": 5, "1403": 0,
    "1480": 3, "1943": 1, "1962": 1,
}
# Values for "%s" and "%q" in the Dockerfile, then in the text of the warning.
VALUES = {
    "748": (["scratch", "echo hello"], []), "1038": (["linux", "linux", IMAGE], []), "1061": (["busybox"], []),
    "1130": ([IMAGE], []), "1138": ([IMAGE], []), "1148": ([IMAGE], []), "1171": ([IMAGE], []),
    "1193": ([IMAGE], [" (did you mean $PATH?)"]), "1403": (["busybox"], ["busybox"]), "1454": ([], ["busy"]),
    "1480": (["busybox"], []), "1943": ([IMAGE], [IMAGE, '"linux/arm64"', '"linux/amd64"']), "1962": ([IMAGE], []),
}
ERRORS = {"1038": ["linux", "linux"]}
IGNORES = {
    "137": "Dockerfile\n", "168": "Dockerfile\n", "199": "Dockerfile\n", "217": "foobar\n",
    "230": "*\n!Dockerfile\n", "240": "*\n!Dockerfile\n", "253": ".*\n", "262": "*\n",
}
BASES = {"1943": dict(BASE, platform="linux/arm64")}
# (function, line in the Go source) -> why it is different.
KNOWN = {}

count = Count({("lint", f"{f} {line}"): why for (f, line), why in KNOWN.items()})


def filled(text, values):
    """"%s", "%q" and "%v" replaced in order."""
    for value in values:
        at = min(i for i in (text.find(verb) for verb in ("%s", "%q")) if i >= 0)
        text = text[:at] + value + text[at + 2:]
    return text


def cases():
    """function, line, its rows."""
    for path in sorted(glob.glob(os.path.join(DIR, "cases", "*", "*", "lint.tsv"))):
        groups = {}
        for row in tsv(path):
            row += [""] * (7 - len(row))
            groups.setdefault(row[0], []).append(row[1:])
        for line, rows in groups.items():
            yield os.path.dirname(path), line, rows


def request(where, line, rows):
    number = DOCKERFILES.get(line, rows[0][0])
    text = filled(read(where, f"{int(number):02}.Dockerfile"), VALUES.get(line, ([], []))[0])
    attrs = json.loads(rows[0][5] or "{}")
    args = [f"{k[len('build-arg:'):]}={v}" for k, v in attrs.items() if k.startswith("build-arg:")]
    asked = {"input": text, "build_args": args, "platform": PLATFORM, "base": BASES.get(line, BASE)}
    if line in IGNORES:
        asked["ignore"] = IGNORES[line]
    return asked


def wanted(line, rows):
    found = [[r[1], int(r[2]), filled(r[3], VALUES.get(line, ([], []))[1])] for r in rows if r[1] != "(no warning)"]
    return sorted(found), filled(rows[0][4], ERRORS.get(line, [])) or None


todo = list(cases())
answers = ask("lint", [request(*case) for case in todo])
for (where, line, rows), got in zip(todo, answers):
    have = sorted([w["rule"], w["line"], w["detail"]] for w in got["warnings"]), got["error"]
    count.check("lint", f"{os.path.basename(where)} {line}", wanted(line, rows), have)
    for w in got["warnings"]:
        count.check("url", w["rule"], True, w["url"].startswith("https://docs.docker.com/go/dockerfile/rule/"))
count.end()
