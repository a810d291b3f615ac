#!/usr/bin/env python3
"""BuildKit's instruction parser: what each instruction takes, and its words for what it does not."""

import json
import re

from corpus import Count, ask, folder, read, tsv

DIR = folder()
count = Count()


def parse(fragments):
    """Each as the only stage's text."""
    return ask("parse", [{"input": "FROM x\n" + f} for f in fragments])


def instrs(answer):
    return answer["stages"][0]["instrs"]


def errors():
    rows = tsv(DIR, "errors.tsv")
    for (name, fragment, want, how), got in zip(rows, parse([r[1] for r in rows])):
        have = re.sub(r"^dockerfile parse error on line \d+: ", "", got["error"] or "")
        count.check("errors", name, want, have if how == "equal" or want not in have else want, fragment)
    more = (("HEALTHCHECK --interval=50ns CMD x", "cannot be less than 1ms"),
            ("ENV =arg2", "ENV names can not be blank"), ("LABEL =arg2", "LABEL names can not be blank"))
    for (fragment, want), got in zip(more, parse([m[0] for m in more])):
        count.check("errors", fragment, True, want in (got["error"] or ""), got["error"])


def heredocs():
    rows = tsv(DIR, "copy_heredoc.tsv")
    for (fragment, sources, dest, files), got in zip(rows, parse([r[0] for r in rows])):
        copy = instrs(got)[0]
        count.check("copy_heredoc", fragment, [json.loads(sources), dest, json.loads(files)],
                    [copy["sources"], copy["dest"], [f[:3] for f in copy["files"]]])
    rows = tsv(DIR, "run_heredoc.tsv")
    for (fragment, shell, args, files), got in zip(rows, parse([r[0] for r in rows])):
        run = instrs(got)[0]
        count.check("run_heredoc", fragment, [shell == "1", json.loads(args), json.loads(files)],
                    [run["shell"], run["args"], [[f[0], f[1], f[3]] for f in run["files"]]])


def devices():
    rows = tsv(DIR, "run_device.tsv")
    for (spec, verdict, name, required), got in zip(rows, ask("device", [{"input": r[0]} for r in rows])):
        if verdict == "error":
            count.check("run_device", spec, True, name in (got["error"] or ""), got["error"])
        else:
            count.check("run_device", spec, [name, required == "1"], [got["name"], got["required"]])


def comments():
    got = ask("parse", [{"input": read(DIR, "comments.Dockerfile")}])[0]
    count.check("comments", "stage", "defines first stage", got["stages"][0]["comment"])
    count.check("comments", "global ARG", [{"key": "foo", "value": "bar", "comment": "sets foo"}],
                got["args"][0]["pairs"])
    count.check("comments", "ARGs", [None, "defines bar", "is something else"],
                [p["comment"] for i in instrs(got) for p in i["pairs"]])


def flags():
    texts = ["RUN --mount=type=tmpfs,target=/foo/ echo hello", "HEALTHCHECK CMD hello world",
             "HEALTHCHECK --interval=0ms CMD x", "HEALTHCHECK --interval=1ms CMD x"]
    run, health, zero, one = parse(texts)
    count.check("flags", texts[0], ["mount"], instrs(run)[0]["flags_used"])
    count.check("flags", texts[1], ["CMD-SHELL", "hello world"], instrs(health)[0]["test"])
    count.check("flags", texts[2], None, zero["error"])
    count.check("flags", texts[3], None, one["error"])


errors()
heredocs()
devices()
comments()
flags()
count.end()
