"""What the runners share: reading a corpus, asking shale, counting.

A runner is NN_WHAT.py and takes the folder of corpus NN as its argument (SHALE: the program, default out/shale; -v:
every failure, not the first ten of a group). It ends with "N passed, N failed". KNOWN of a runner lists the cases
that are knowingly different, with one sentence each; they count as passed as long as they differ.
"""

import json
import os
import re
import subprocess
import sys

SHALE = os.path.abspath(os.environ.get("SHALE", "out/shale"))
VERBOSE = "-v" in sys.argv
SHOWN = 10
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}


def folder():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    if len(args) != 1 or not os.path.isdir(args[0]):
        sys.exit(f"usage: {sys.argv[0]} [-v] FOLDER")
    return args[0]


def read(*path):
    """A file as it is; bytes that are not UTF-8 as lone surrogates."""
    with open(os.path.join(*path), encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def lines(*path):
    text = read(*path)
    return text[:-1].split("\n") if text.endswith("\n") else text.split("\n")


def unescape(field):
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(0)), field)


def tsv(*path):
    return [[unescape(x) for x in line.split("\t")] for line in lines(*path) if line and not line.startswith("#")]


def ask(what, requests):
    """One process of `shale debug WHAT --batch` answers them all; the answers are in their order."""
    text = "".join(json.dumps(dict(r, id=i)) + "\n" for i, r in enumerate(requests))
    done = subprocess.run([SHALE, "debug", what, "--batch", "--detail"], input=text.encode(), stdout=subprocess.PIPE)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    if done.returncode != 0 or [a["id"] for a in answers] != list(range(len(requests))):
        sys.exit(f"shale debug {what}: status {done.returncode}, {len(answers)} of {len(requests)} answers")
    return answers


class Count:
    def __init__(self, known=None):
        self.known = known or {}
        self.passed = self.failed = 0
        self.groups = {}

    def check(self, group, name, want, got, about=None):
        """One case; KNOWN has it as (group, name)."""
        known = self.known.get((group, name))
        if known and want != got:
            print(f"known: {group} {name}: {known}")
        elif known:
            print(f"not ok - {group} {name}: no longer different, take it out of KNOWN")
        if (want == got) != bool(known):
            self.passed += 1
            return
        self.failed += 1
        if known:
            return
        self.groups[group] = self.groups.get(group, 0) + 1
        if VERBOSE or self.groups[group] <= SHOWN:
            print(f"not ok - {group} {name}")
            for label, value in (("of", about), ("want", want), ("got", got)):
                if value is not None:
                    print(f"    {label + ':':5} {value!r}"[:3000])

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
