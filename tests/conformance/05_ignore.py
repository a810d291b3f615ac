#!/usr/bin/env python3
"""moby/patternmatcher and ignore files: verdicts for paths, alone and as a walk comes to them."""

import json

from corpus import Count, ask, folder, tsv

DIR = folder()
KNOWN = {
    ("oracle, walked", "PO3295"):
        "a '!' pattern names a directory that nothing ignored: Docker's walk keeps what earlier patterns ignore in it",
}
count = Count(KNOWN)


def verdict(got, key="match"):
    return "error" if got["error"] is not None else "match" if got[key] else "no"


def wanted(word):
    return word if word in ("error", "match") else "no"


def ask_paths(rows):
    """rows of (patterns as JSON, path)"""
    return ask("ignore", [{"patterns": json.loads(p), "path": path} for p, path in rows])


def table():
    rows = tsv(DIR, "patternmatcher.tsv")
    asked = [(r[3], "x" if r[2] == "New" else r[4]) for r in rows]
    for (case, test, api, patterns, path, want, current), got in zip(rows, ask_paths(asked)):
        about = [test, api, patterns, path]
        if api == "New":
            count.check("patternmatcher", case, "error" in want, got["error"] is not None, about)
            continue
        want = wanted(want if current == "same" else current)
        count.check("patternmatcher", case, want, verdict(got), about)
        # A walk never comes to a name with a slash behind it.
        if api == "all" and want != "error" and not path.endswith("/"):
            count.check("patternmatcher, walked", case, want, verdict(got, "walk"), about)


def oracle():
    rows = tsv(DIR, "oracle/patternmatcher_oracle.tsv")
    answers = ask_paths([(r[1], r[2]) for r in rows])
    for (case, patterns, path, want, _), got in zip(rows, answers):
        count.check("oracle", case, wanted(want), verdict(got), [patterns, path])
        if want != "error":
            count.check("oracle, walked", case, wanted(want), verdict(got, "walk"), [patterns, path])
    never_hidden([(r[0], r[1], r[2]) for r, got in zip(rows, answers) if verdict(got, "walk") == "no"])


def never_hidden(rows):
    """What is not ignored is below no directory that a walk would not read."""
    asked, about = [], []
    for case, patterns, path in rows:
        parts = path.split("/")
        for k in range(1, len(parts)):
            about.append([case, patterns, path, "/".join(parts[:k])])
            asked += [(patterns, about[-1][3]), (patterns, about[-1][3] + "/x")]
    answers = ask_paths(asked)
    for i, what in enumerate(about):
        if verdict(answers[2 * i], "walk") == "match":
            count.check("oracle, not hidden", what[0], True, answers[2 * i + 1]["below"], what)


def ignore_files():
    # The error text of the first file holds no oracle's word: only its patterns are given.
    rows = [(case, text, patterns, None) for case, text, patterns in tsv(DIR, "ignorefile.tsv")]
    rows += [tuple(r) for r in tsv(DIR, "oracle/ignorefile_oracle.tsv")]
    for (case, text, patterns, error), got in zip(rows, ask("ignore", [{"file": r[1]} for r in rows])):
        want, have = [json.loads(patterns) or []], [got["patterns"]]
        if error is not None:
            want.append(error != "")
            have.append(got["error"] is not None)
        count.check("ignorefile", case, want, have, text)
    rows = tsv(DIR, "compile.tsv")
    for row, got in zip(rows, ask_paths([(json.dumps([r[0]]), "x") for r in rows])):
        count.check("compile", row[0], None, got["error"], row)


table()
oracle()
ignore_files()
count.end()
