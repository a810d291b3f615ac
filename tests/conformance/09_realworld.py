#!/usr/bin/env python3
"""Dockerfiles of public repositories: each parses to the tree that BuildKit makes of it."""

import json
import os

from corpus import Count, ask, folder, lines, read, tsv

DIR = folder()
count = Count()


def nodes_wanted(case):
    return [{"lines": n["lines"], "value": n["value"], "original": n["original"], "args": n.get("args", []),
             "flags": n.get("flags", []), "prev_comment": n.get("prev_comment", []),
             "heredocs": [[h["Name"], h["FD"], h["Expand"], h["Chomp"], h["Content"]]
                          for h in n.get("heredocs", [])]} for n in case["nodes"]]


def nodes_had(got):
    return [{k: v for k, v in n.items() if k != "json"} for n in got.get("nodes", [])]


def check(case, verdict, got, nodes):
    file = os.path.join(DIR, "files", case)
    if os.path.exists(file + ".error"):
        said = got["dump"] is None and got["error"] in read(file + ".error")
        count.check("errors", case, True, said, got["error"])
        return
    count.check("dumps", case, read(file + ".result").strip(), (got["dump"] or "").strip())
    count.check("verdicts", case, verdict == "ok", "stages" in got, got["error"])
    if case not in nodes:
        return
    count.check("nodes", case, nodes_wanted(nodes[case]), nodes_had(got))
    if "stages" in got and "stages" in nodes[case]:
        count.check("stages", case, len(nodes[case]["stages"]), len(got["stages"]))


nodes = {d["id"]: d for d in map(json.loads, lines(DIR, "nodes.jsonl"))}
rows = tsv(DIR, "index.tsv")
answers = ask("parse", [{"input": read(DIR, "files", r[0] + ".Dockerfile")} for r in rows])
for row, answer in zip(rows, answers):
    check(row[0], row[6], answer, nodes)
count.end()
