#!/usr/bin/env python3
"""BuildKit's shell lexer: variables, quotes and escapes in words."""

import json

from corpus import Count, ask, folder, lines, tsv

DIR = folder()
ENV_VAR_TEST = ["PWD=/home", "SHELL=bash", "KOREAN=한국어", "NULL="]
count = Count()


def words(rows):
    """rows of (input, environment)"""
    return ask("word", [{"input": text, "env": env} for text, env in rows])


def verdict(got):
    return "error" if got["error"] is not None else got["word"]


def oracle():
    rows = tsv(DIR, "oracle/lex_oracle.tsv")
    for row, got in zip(rows, words([(r[1], json.loads(r[2])) for r in rows])):
        case, text, _, result, word, split, matched, unmatched = row
        if result == "error":
            count.check("oracle", case, "error", verdict(got), text)
            continue
        want = [word, None if split == "?" else json.loads(split), sorted(json.loads(matched)),
                sorted(json.loads(unmatched))]
        have = [got["word"], None if split == "?" else got["words"], got["matched"], got["unmatched"]]
        count.check("oracle", case, want, have, text)


def env_var_test():
    rows = []
    for line in lines(DIR, "envVarTest"):
        fields = [f.strip() for f in line.split("#")[0].split("|")]
        if len(fields) == 3 and fields[0] in ("A", "U"):
            rows.append(fields[1:])
    for (text, want), got in zip(rows, words([(r[0], ENV_VAR_TEST) for r in rows])):
        count.check("envVarTest", text, want, verdict(got))


def words_test():
    rows, env = [], []
    for line in lines(DIR, "wordsTest"):
        if line.startswith("ENV "):
            env = env + [line[4:].lstrip()]
        elif line.strip() and not line.startswith("#"):
            text, want = line.split("|", 1)
            rows.append((text.strip(), env, want.lstrip().split(",")))
    for (text, _, want), got in zip(rows, words([r[:2] for r in rows])):
        count.check("wordsTest", text, want, ["error"] if got["error"] is not None else got["words"])


def tables():
    rows = tsv(DIR, "getenv.tsv")
    for (name, _, want), got in zip(rows, words([("$" + r[0], json.loads(r[1])) for r in rows])):
        count.check("getenv", name, want, got["word"])
    rows = tsv(DIR, "process_with_matches.tsv")
    asked = [(r[0], [k + "=" + v for k, v in json.loads(r[1]).items()]) for r in rows]
    for (text, _, result, word, matched, unmatched), got in zip(rows, words(asked)):
        want = [word, sorted(json.loads(matched)), sorted(json.loads(unmatched))] if result != "error" else "error"
        have = "error" if got["error"] is not None else [got["word"], got["matched"], got["unmatched"]]
        count.check("process_with_matches", text, want, have)
    rows = tsv(DIR, "process_word_more.tsv")
    for (text, _, result, want), got in zip(rows, words([(r[0], json.loads(r[1])) for r in rows])):
        if result == "error":
            count.check("process_word_more", text, True, want in (got["error"] or ""), want)
        else:
            count.check("process_word_more", text, want, verdict(got))
    # The valid rows say what regular expression upstream makes; the words above say what it matches.
    bad = [r[1] for r in tsv(DIR, "pattern.tsv") if r[0] == "invalid"]
    for text, got in zip(bad, words([("${V#" + b + "}", ["V=x"]) for b in bad])):
        count.check("pattern", text, "error", verdict(got))


oracle()
env_var_test()
words_test()
tables()
count.end()
