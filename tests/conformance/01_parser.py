#!/usr/bin/env python3
"""BuildKit's parser: text to tree, as its dumper shows it."""

import glob
import json
import os
import re

from corpus import Count, ask, folder, lines, read, tsv, unescape

DIR = folder()
TEXT_MAX = 65535
# BuildKit's suggestion comes out of a Go map: among equally near words it is another one from run to run.
TIE = "two instructions are equally near, BuildKit names either"
KNOWN = {("oracle", "PX0214"): TIE, ("oracle", "PX1189"): TIE, ("oracle", "PX1449"): TIE}
count = Count(KNOWN)


def parse(texts):
    return ask("parse", [{"input": t} for t in texts])


def nodes(answer, key):
    return [n[key] for n in answer.get("nodes", [])]


def oracle():
    cases = [json.loads(line) for line in lines(DIR, "oracle/parser_oracle.jsonl")]
    for case, got in zip(cases, parse([c["input"] for c in cases])):
        want = {"error": case.get("error")}
        have = {"error": got["error"]}
        if case["verdict"] != "parse_error":
            want.update(dump=case["dump"], lines=case["lines"], heredocs=case["heredocs"], warnings=case["warnings"])
            have.update(dump=got["dump"], lines=got["lines"], heredocs=nodes(got, "heredocs"),
                        warnings=len(got.get("warnings", [])))
        count.check("oracle", case["id"], want, have, case["input"])


def testfiles():
    files = sorted(glob.glob(DIR + "/testfiles/*/Dockerfile"))
    for file, got in zip(files, parse([read(f) for f in files])):
        want = read(os.path.dirname(file), "result").strip()
        count.check("testfiles", os.path.basename(os.path.dirname(file)), want, (got["dump"] or "").strip())
    files = sorted(glob.glob(DIR + "/testfiles-negative/*/Dockerfile"))
    for file, got in zip(files, parse([read(f) for f in files])):
        refused = got["dump"] is None and got["error"] is not None
        count.check("testfiles-negative", os.path.basename(os.path.dirname(file)), True, refused)


def single_files():
    texts = [read(DIR, f) for f in ("testfile-line/Dockerfile", "heredoc/json_not_heredoc.Dockerfile",
                                    "warnings/empty_continuation.Dockerfile")]
    line, no_heredoc, warned, long = parse(texts + ["\n\t\tFROM image\n\t\tLABEL test=" + "a" * (TEXT_MAX + 1) + "\n"])
    count.check("lines", "testfile-line", [[5, 5], [11, 12], [17, 31]], line["lines"])
    count.check("heredoc", "json_not_heredoc", False, any(nodes(no_heredoc, "heredocs")))
    count.check("warnings", "empty_continuation",
                [2, "Empty continuation line found in: RUN something     following     more"],
                [len(warned["warnings"]), warned["warnings"][0]])
    count.check("limits", "line", "dockerfile line greater than max allowed size of 65535", long["error"])


def heredoc_tables():
    rows = tsv(DIR, "tables/heredoc_words.tsv")
    for (verdict, name, word), got in zip(rows, ask("heredoc", [{"input": r[2]} for r in rows])):
        have = "error" if got["error"] else "heredoc" if got["name"] is not None else "none"
        count.check("heredoc_words", word, [verdict, name], [have, got["name"] or ""])
    rows = [(line, json.loads(names)) for line, names in tsv(DIR, "tables/heredocs_from_line.tsv")]
    texts = [line + "\n" + "".join(n + "\n" for n in names) for line, names in rows]
    for (line, names), got in zip(rows, parse(texts)):
        count.check("heredocs_from_line", line, names, [h[0] for h in nodes(got, "heredocs")[0]])
    want = {}
    for index, number, name, fd, expand, chomp, content in tsv(DIR, "heredoc/extract.expected.tsv"):
        docs = want.setdefault(int(index), [])
        if number != "-":
            docs.append([name, int(fd), expand == "1", chomp == "1", content])
    got = nodes(parse([read(DIR, "heredoc/extract.Dockerfile")])[0], "heredocs")
    for index, docs in want.items():
        count.check("heredoc", f"extract {index}", docs, got[index])


def word_tables():
    rows = tsv(DIR, "tables/json_exec_form.tsv")
    for (verdict, text, want), got in zip(rows, parse(["CMD " + r[1] + "\n" for r in rows])):
        is_json = got["dump"] is not None and got["nodes"][0]["json"]
        # A NUL inside a word is kept in two bytes, which are no UTF-8 in an answer.
        words = [w.replace("\ufffd\ufffd", "\0") for w in got["nodes"][0]["args"]] if is_json else None
        count.check("json_exec_form", text, json.loads(want) if verdict == "valid" else None, words)
    rows = tsv(DIR, "tables/nameval.tsv")
    for (name, rest, want), got in zip(rows, parse([r[0] + " " + r[1] + "\n" for r in rows])):
        have = "ERROR " + got["error"] if got["dump"] is None else got["nodes"][0]["args"]
        count.check("nameval", rest, want if want.startswith("ERROR ") else json.loads(want), have)
    rows = tsv(DIR, "tables/parse_words.tsv")
    for (text, want), got in zip(rows, parse(["ARG " + r[0] + "\n" for r in rows])):
        count.check("parse_words", text, json.loads(want), got["nodes"][0]["args"])


def directives():
    rows = tsv(DIR, "tables/directives.tsv")
    asked = [{"name": "escape" if kind == "directives" else kind, "input": text} for _, kind, text, _ in rows]
    for (name, kind, _, want), got in zip(rows, ask("directive", asked)):
        if kind == "directives":
            count.check("directives", name, "\\", got["value"])
            continue
        if want == "none":
            count.check("directives", name, None, got["value"])
            continue
        ref, line = re.search(r"ref=(\S+)", want), re.search(r"line=(\d+)", want)
        whole = re.search(r'cmdline=(?:"([^"]*)"|(\S+))', want)
        value = got["value"] or ""
        count.check("directives", name,
                    [ref.group(1), int(line.group(1)) if line else None,
                     (whole.group(1) or whole.group(2)) if whole else None],
                    [value.split(" ")[0], got["line"] if line else None, value if whole else None])


oracle()
testfiles()
single_files()
heredoc_tables()
word_tables()
directives()
count.end()
