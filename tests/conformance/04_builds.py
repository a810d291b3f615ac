#!/usr/bin/env python3
"""BuildKit's frontend cases as builds: every case whose data is complete is built from its Dockerfiles and context
rows, and the facts of outputs.tsv are looked for in the results.

A case is complete as it stands when its scope is "in", it has a Dockerfile and nothing of it is computed by the Go
source: no "@{...}" or "{{...}}" and no verb in a Dockerfile or an option, no "(computed: ...)" file but the Dockerfile.
Where inputs alone are missing, frontend_inputs.py gives them (STEPS, SERVERS) and the case counts as completed. All
others are named with the reason. At least 90 % of the complete and completed cases must be right; those that are not
stand in KNOWN.

Base images are stand-ins: busybox under each name. Every case has a store and servers of its own. Needs root, a
runtime and git. SHALE_TEST_DIR: where stores and contexts go (default: /var/tmp). CASE: only cases whose name has it.
"""

import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from builds import last_lines, leaves, make_store, put, shale, slurp, substituted
from corpus import Count, folder, read, tsv
from frontend_inputs import EPOCH, INCOMPLETE, NOT_FACTS, SERVERS, STEPS, TRIMMED, UNUSED
from stand_in import CaseServer, make_git, tar_of

DIR = folder()
ONLY = os.environ.get("CASE", "")
NEEDED = 0.9
BASES = ("busybox", "alpine", "amd64/debian:bullseye-20230109-slim")
COMPUTED = re.compile(r"@\{|\{\{\.|%(?:\[\d+\])?[sdqv]")
READS = ("os.ReadFile", "os.Stat", "os.Lstat", "os.ReadDir")
ERRORS = ("Error", "ErrorContains", "ErrorIs")
# Case -> why shale's answer is another one.
CACHES = "--cache-to and --cache-from are warned about: nothing is exported or imported"
KNOWN = {
    "cache/testCacheImportExport": CACHES,
    "cache/testExportCacheLoop": CACHES,
    "cache/testImageManifestCacheImportExport": CACHES,
    "cache/testImportExportReproducibleIDs": CACHES,
    "copy/testCopyChmod": "directories that COPY --chmod creates have 0755 of its mode, as where Docker's engine "
                          "builds, whose umask counts; BuildKit's own daemon has none",
    "resources/testLinuxResources": "--resource is warned about: no limit is set",
}

work = None


# --- what the corpus says

class Case:
    def __init__(self, row):
        self.id, self.area, self.function, _, self.dockerfiles = row[:5]
        self.scope = row[8] if len(row) > 8 else ""
        self.name = f"{self.area}/{self.function}"
        self.folder = os.path.join(DIR, "cases", self.name)
        self.texts = [read(path) for path in sorted(glob.glob(self.folder + "/??.Dockerfile"))]
        self.context = [(int(r[0]), r[1], (r + [""])[2]) for r in self.rows("context")]
        self.options = [(int(r[0]), r[1], (r + [""])[2]) for r in self.rows("options")]
        self.expected = [(int(r[0]), r[1], json.loads(r[2])) for r in self.rows("expect")]
        self.facts = []

    def rows(self, name):
        path = f"{self.folder}/{name}.tsv"
        return [r for r in tsv(path) if r[0] != "src_line"] if os.path.exists(path) else []

    def computed(self):
        """What of it the Go source computes, or None."""
        literal = any(step.get("literal") for step in STEPS.get(self.name, []))
        for number, text in enumerate(self.texts):
            if COMPUTED.search(text) and not literal:
                return f"computed value in {number:02}.Dockerfile"
        for _, name, data in self.context:
            if COMPUTED.search(name) or (data.startswith("(computed:") and name != "Dockerfile"):
                return "computed file in the context"
        for _, name, value in self.options:
            if COMPUTED.search(value):
                return f"computed value of option {name}"
        return None

    def why_not(self):
        """Why it cannot be built from what is known, or None."""
        if not self.scope.startswith("in"):
            return f"not a build: {self.scope}"
        if os.path.exists(self.folder + "/lint.tsv"):
            return "lint table, which 04_lint.py runs"
        if "/sys/fs/cgroup/cgroup.subtree_control" in str(self.expected) and not \
                os.path.exists("/sys/fs/cgroup/cgroup.subtree_control"):
            return "needs control groups of version 2, which this machine does not have"
        if any("all_capabilities" in step for step in STEPS.get(self.name, [])) and not has_all_capabilities():
            return "needs all capabilities, which this machine does not have"
        if self.name in INCOMPLETE:
            return INCOMPLETE[self.name]
        if not self.texts:
            return "no Dockerfile: the function calls another"
        if self.name in STEPS:
            return None
        return self.computed() or (None if self.steps() else "rows do not say which build has which Dockerfile")

    def derived_lines(self):
        """Lines at which builds begin: a build is context rows, then option rows, then expectations."""
        rows = [(line, "c", name) for line, name, _ in self.context]
        rows += [(line, "o", name) for line, name, _ in self.options]
        rows += [(line, "e", kind) for line, kind, _ in self.expected]
        found, seen, last = [], set(), 0
        for line, kind, name in sorted(rows):
            again = kind == "o" and (name in seen or (seen and line - last > 3) or "e" in seen)
            if found and ((kind == "c" and seen) or again):
                found.append([None])
                seen = set()
            if not found:
                found.append([None])
            if kind != "c":
                found[-1][0] = found[-1][0] or line
                seen.add("e" if kind == "e" else name)
            last = line
        return [line[0] or last + 1 for line in found] or [0]

    def steps(self):
        given = STEPS.get(self.name)
        if given is None:
            lines = self.derived_lines()
            if len(self.texts) not in (1, len(lines)):
                return None
            given = [{"line": line, "dockerfile": n if len(self.texts) > 1 else 0} for n, line in enumerate(lines)]
        steps, last, before = [], 0, 0
        for number, step in enumerate(given):
            step = dict(step)
            later = [s["line"] for s in given[number:] if s["line"] > step["line"]]
            step["end"] = min(later) if later else 1 << 30
            again = number == 0 or step["line"] == given[number - 1]["line"]
            step["begin"] = before if again else given[number - 1]["line"]
            if step.get("dockerfile") is None:
                step["dockerfile"] = last
            last = step["dockerfile"]
            before = step["begin"]
            steps.append(step)
        return steps


def read_cases():
    cases = [Case(row) for row in tsv(DIR, "behaviours.tsv")]
    by_name = {case.name: case for case in cases}
    for row in tsv(DIR, "outputs.tsv"):
        by_name[row[0]].facts.append((int(row[1]), row[2], row[3], (row + [""])[4]))
    return [case for case in cases if ONLY in case.name]


# --- one case's builds

class Fault(Exception):
    pass


class Run:
    """One case: its folder, store and servers."""

    def __init__(self, case):
        self.case = case
        self.dir = f"{work}/{case.id}"
        self.server = None
        self.git = None
        self.outputs = []
        self.oci = []
        self.checked = set()  # lines of facts
        os.mkdir(self.dir)
        shutil.copytree(work + "/store", self.dir + "/store")
        with open(self.dir + "/pw", "w", encoding="utf-8") as f:
            f.write("pw")

    def shale(self, *args, stdin=None):
        return shale(work, self.dir, *args, stdin=stdin)

    def filled(self, text):
        """What the runner made in place of its "{...}"."""
        text = text.replace("{dir}", self.dir)
        if self.server:
            text = text.replace("{url}", self.server.url).replace("{port}", str(self.server.port))
        if self.oci:
            text = text.replace("{oci}", self.oci[-1]).replace("{digest}", oci_digest(self.oci[-1]).split(":")[1])
        return re.sub(r"\{commit:([^}]*)\}", lambda m: self.git.commits[m.group(1)], text)

    def text(self, step):
        """The build's Dockerfile."""
        numbers = step["dockerfile"] if isinstance(step["dockerfile"], list) else [step["dockerfile"]]
        text = "".join(self.case.texts[n] for n in numbers)
        values = step.get("values")
        if isinstance(values, dict):
            for key, value in values.items():
                text = text.replace(key, self.filled(value))
        elif values is not None:
            text = substituted(text, [self.filled(v) for v in values])
        return text

    def start_servers(self):
        wanted = SERVERS.get(self.case.name)
        if not wanted:
            return
        first = self.case.steps()[0]
        files = {}
        for path, what in wanted.items():
            if isinstance(what, tuple) and what[0] == "tar":
                what = tar_of(dict(what[2], **{what[1]: self.text(first)}), int(EPOCH))
            elif isinstance(what, tuple):
                what = self.text(first)
            files[path] = what
        if "git" in wanted:
            self.git = make_git(self.dir + "/git", [self.commit(*given) for given in files.pop("git")])
        self.server = CaseServer(files, self.dir + "/git", self.dir + "/agent.sock")

    def commit(self, files, name, more=""):
        if files == "context":
            files = self.rows_of({"begin": 0, "line": 1 << 30})
        elif files == "dockerfile":
            files = {"Dockerfile": self.case.texts[0] + more}
        return files, name

    def rows_of(self, step):
        return {name: data for line, name, data in self.case.context if step["begin"] < line <= step["line"]
                and not data.startswith("(computed:")}

    def close(self):
        if self.server:
            self.server.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def context_dir(self, number, step):
        """The build's context: made of rows, changed, or that of the build before. Returns it and the named ones."""
        where = f"{self.dir}/context{number}"
        rows = self.rows_of(step)
        rows.update(step.get("files", {}))
        before = f"{self.dir}/context{number - 1}"
        if not rows and number and os.path.isdir(before):
            shutil.copytree(before, where, symlinks=True)
        else:
            os.mkdir(where)
        named = {}
        for name, members in step.get("named", {}).items():
            named[name] = f"{where}-{name}"
            os.mkdir(named[name])
            put(named[name], {member: rows.pop(member) for member in members}, {})
        put(where, rows, step.get("modes", {}))
        for name, data in step.get("change", {}).items():
            os.unlink(f"{where}/{name}") if data is None else put(where, {name: data}, {})
        return where, named

    def options(self, step, named):
        if "only_args" in step:
            return [self.filled(a) for a in step["only_args"]], None
        args, filename = [], None
        for line, name, value in self.case.options:
            if not step["line"] <= line < step["end"] or (step.get("computed_options") and COMPUTED.search(value)):
                continue
            if "%d" in value and "EPOCH" in name:
                value = value.replace("%d", EPOCH)
            if isinstance(step.get("values"), dict):
                for key, is_ in step["values"].items():
                    value = value.replace(key, self.filled(is_))
            kind, _, key = name.partition(":")
            if kind == "filename":
                filename = value
            elif kind == "no-cache":
                args.append("--no-cache-filter=" + value if value else "--no-cache")
            elif kind == "context":
                args.append(f"--build-context={key}=" + (named.get(key, "") if value.startswith("local:") else value))
            elif kind in ("target", "platform"):
                args.append(f"--{kind}={value}")
            else:
                args.append(f"--{kind}={key}={value}")
        return args + [self.filled(a) for a in step.get("args", [])], filename

    def build(self, number, step):
        """Runs one build and looks for its facts. Raises Fault."""
        text = self.text(step)
        if step.get("fresh"):
            shutil.rmtree(self.dir + "/store")
            shutil.copytree(work + "/store", self.dir + "/store")
            time.sleep(1.1)  # "created" counts in seconds: two builds within one would make one image by chance
        context, named = self.context_dir(number, step)
        args, filename = self.options(step, named)
        stdin = None
        if "context" in step:
            where = [self.filled(step["context"])] + (["-f", filename] if filename else [])
            if step.get("dockerfile_stdin"):
                stdin, where = text.encode(), ["-f", "-", *where]
        elif "stdin" in step:
            stdin, where = tar_of(dict(step["stdin"], Dockerfile=text)), ["-"]
        else:
            file = f"{context}/{filename or 'Dockerfile'}"
            for name, other in step.get("others", {}).items():
                put(context, {name: self.case.texts[other]}, {})
            if os.path.islink(file):
                file = os.path.join(os.path.dirname(file), os.readlink(file))
            put(os.path.dirname(file), {os.path.basename(file): text}, {})
            where = [context] + (["-f", f"{context}/{filename}"] if filename else [])
        output = f"{self.dir}/out{number}"
        if "tag" in step:
            args += ["--load=false", "-t", step["tag"], "--iidfile", f"{self.dir}/iid{number}"]
        elif step.get("oci"):
            args += ["-o", f"type=oci,tar=false,dest={output}"]
            self.oci.append(output)
        else:
            args += ["-o", f"type=local,dest={output}"]
        self.outputs.append(output)
        if not self.server:
            args.append("--offline")
        status, _, log = self.shale("build", "--no-durable", "--progress=plain", *args, *where, stdin=stdin)
        Check(self, step, status, log, output).all()


class Check:
    """What the corpus expects of one build."""

    def __init__(self, run, step, status, log, output):
        self.run, self.step, self.status, self.log, self.output = run, step, status, log, output
        low, high = step.get("facts", (step["line"], step["end"] - 1))
        rows = run.case.expected
        self.expected = [(i, *row) for i, row in enumerate(rows) if low <= row[0] <= high]
        self.facts = [f for f in run.case.facts if low <= f[0] <= high and (run.case.name, str(f[0])) not in NOT_FACTS]

    def must_fail(self):
        """An Error that is not about a file of the output is the build's."""
        if "fails" in self.step:
            return self.step["fails"]
        rows = self.run.case.expected
        return any(kind in ERRORS and (i == 0 or rows[i - 1][1] not in READS) for i, _, kind, _ in self.expected)

    def all(self):
        if self.status not in (0, 1) or "Sanitizer" in self.log:
            raise Fault(f"status {self.status}: " + last_lines(self.log))
        if (self.status != 0) != self.must_fail():
            raise Fault(("the build failed: " if self.status else "the build did not fail: ") + last_lines(self.log))
        for fact in self.facts:
            self.fact(*fact)
        if self.status == 0 and "tag" not in self.step:
            self.reads()
        if "made" in self.step and not os.path.lexists(self.run.filled(self.step["made"])):
            raise Fault("it did not make " + self.step["made"])
        if "epoch" in self.step and self.content("epoch") != self.step["epoch"]:
            raise Fault(f"epoch is {self.content('epoch')!r}, not {self.step['epoch']!r}")
        for path, number in self.step.get("same", {}).items():
            if self.content(path) != slurp(f"{self.run.outputs[number]}/{path}"):
                raise Fault(f"{path} is not what build {number} made")
        for path, number in self.step.get("differ", {}).items():
            if self.content(path) == slurp(f"{self.run.outputs[number]}/{path}"):
                raise Fault(f"{path} is what build {number} made")
        for key, name in (("same_id", "iid"), ("same_index", "out")):
            if key in self.step:
                files = [f"{self.run.dir}/{name}{n}" + ("/index.json" if key == "same_index" else "")
                         for n in (self.step[key], len(self.run.outputs) - 1)]
                if slurp(files[0]) != slurp(files[1]):
                    raise Fault("another image than that of the build before")

    def content(self, path):
        path = f"{self.output}/{self.step.get('below', '')}/{path.lstrip('/')}"
        try:
            return slurp(path)
        except OSError as e:
            raise Fault(f"cannot read the output's {os.path.relpath(path, self.output)}: {e.strerror}") from e

    def fact(self, line, path, kind, value):
        self.run.checked.add(line)
        value = substituted(value, self.step.get("fact_values", []))
        if kind == "content":
            got = self.content(path)
            if (self.run.case.name, str(line)) in TRIMMED:
                got = got.strip()
            if got != value:
                raise Fault(f"line {line}: {path} is {got[:300]!r}, not {value!r}")
        elif kind == "absent":
            if os.path.lexists(f"{self.output}/{path}"):
                raise Fault(f"line {line}: {path} is there")
        elif kind == "link":
            got = os.readlink(f"{self.output}/{path}")
            if got != value:
                raise Fault(f"line {line}: {path} leads to {got!r}, not {value!r}")
        elif kind.startswith("says("):
            self.says(line, value)
        else:
            raise Fault(f"line {line}: unknown kind of fact '{kind}'")

    def says(self, line, value):
        """In the file that was read before; else in the error; else in the image's configuration or the log."""
        text = None
        for _, at, kind, literals in self.expected:
            if at < line and kind in READS:
                text = self.content(literals[0]) if literals else None
            elif at < line and kind in ERRORS:
                text = None
        if text is None:
            text = self.log
            if self.status == 0 and "tag" in self.step:
                _, out, _ = self.run.shale("debug", "tree", self.step["tag"])
                text += "\n".join(leaves(json.loads(out)))
        for part in value.split(" | "):
            if not part.isdigit() and part not in text:
                raise Fault(f"line {line}: does not say {part!r}: " + last_lines(text))

    def reads(self):
        """Files that the case reads must be there; Greater and NotContains after them speak of their content."""
        rows, path = self.run.case.expected, None
        for i, line, kind, literals in self.expected:
            if kind in READS:
                path = literals[0] if len(literals) == 1 and not literals[0].startswith("/sys") else None
                if (self.run.case.name, str(line + 1)) in NOT_FACTS or path in (None, "out.tar"):
                    path = None
                    continue
                gone = i + 1 < len(rows) and rows[i + 1][1] in ERRORS
                path = None if gone else path
                if path and not os.path.lexists(f"{self.output}/{self.step.get('below', '')}/{path.lstrip('/')}"):
                    raise Fault(f"line {line}: no {path} in the output")
            elif path and kind == "Greater" and len(self.content(path)) <= int(literals[0]):
                raise Fault(f"line {line}: {path} is too short")
            elif path and kind == "NotContains" and literals and literals[0] in self.content(path):
                raise Fault(f"line {line}: {path} has {literals[0]!r}")


# --- small things

def has_all_capabilities():
    """The first 38."""
    found = re.search(r"(?m)^CapBnd:\s*([0-9a-f]+)$", slurp("/proc/self/status"))
    return int(found.group(1), 16) & 0x3fffffffff == 0x3fffffffff


def oci_digest(path):
    return json.loads(slurp(path + "/index.json"))["manifests"][0]["digest"]


def run_case(case):
    """None, or what is wrong with it."""
    run = Run(case)
    try:
        run.start_servers()
        for number, step in enumerate(case.steps()):
            try:
                run.build(number, step)
            except Fault as fault:
                return f"build {number}: {fault}"
        left = {f[0] for f in case.facts if (case.name, str(f[0])) not in NOT_FACTS} - run.checked
        return f"no build looked for the facts of lines {sorted(left)}" if left else None
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as e:
        return f"the runner: {type(e).__name__}: {e}"
    finally:
        run.close()


def print_incomplete(why):
    reasons = {}
    for name, reason in why.items():
        reasons.setdefault(reason, []).append(name)
    for reason in sorted(reasons, key=lambda r: -len(reasons[r])):
        names = reasons[reason]
        print(f"incomplete: {reason}: {len(names)}: " + " ".join(names))


def print_unused(cases):
    """Dockerfiles of complete cases that no build has."""
    for case in cases:
        used = set()
        for step in case.steps():
            used.update(step["dockerfile"] if isinstance(step["dockerfile"], list) else [step["dockerfile"]])
        for number in set(range(len(case.texts))) - used:
            print(f"not built: {case.name} {number:02}.Dockerfile: {UNUSED[case.name, number]}")


def main(count):
    cases = read_cases()
    why = {case.name: case.why_not() for case in cases}
    print_incomplete({name: reason for name, reason in why.items() if reason})
    complete = [case for case in cases if not why[case.name]]
    make_store(work, BASES)
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        answers = list(pool.map(run_case, complete))
    for case, wrong in zip(complete, answers):
        count.check("case", case.name, None, wrong)
    as_they_stand = [case for case in complete if not case.computed()]
    right = [case for case, wrong in zip(complete, answers) if not wrong]
    facts = [(case.name, str(fact[0])) for case in complete for fact in case.facts]
    aside = [fact for fact in facts if fact in NOT_FACTS]
    for name, line in aside:
        print(f"no fact: {name} {line}: {NOT_FACTS[name, line]}")
    print_unused(complete)
    print(f"{len(cases)} cases: {len(cases) - len(complete)} incomplete, {len(as_they_stand)} complete as they stand, "
          f"{len(complete) - len(as_they_stand)} completed; {len(facts)} output facts, {len(aside)} of no build")
    print(f"{len(right)} of {len(complete)} right ({100 * len(right) / max(len(complete), 1):.1f} %)")
    count.check("share", "right of the complete cases", True, len(right) >= NEEDED * len(complete))


os.umask(0o022)
counted = Count({("case", name): reason for name, reason in KNOWN.items()})
if os.geteuid() != 0:
    print("not here: root, which these builds need")
    counted.end()
work = tempfile.mkdtemp(prefix="shale-frontend.", dir=os.environ.get("SHALE_TEST_DIR", "/var/tmp"))
try:
    main(counted)
finally:
    shutil.rmtree(work, ignore_errors=True)
counted.end()
