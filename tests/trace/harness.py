#!/usr/bin/env python3
"""harness.py SHALE DIRECTORY [COMMANDS [EDITS [SEED]]]: what a step is reused for must be what running it would give.

Every command of commands.py is a stage over the context of context.py; one build makes them all and records what each looked at.
For each edit, the edited context is built

- untraced with an empty store: the truth;
- with a copy of the store that has seen the context as it was, and nothing else;
- with one store that is kept through all the edits and learns from each.

What the last two give, step by step, has to be what the first gives: type, mode, owner, content, target, xattrs, whiteouts and opaque
marks of all that the step changed, and what it printed; times aside. A step that was reused and differs is a wrong hit; one that ran
and differs was disturbed by being observed. Both fail. So do less than MUST_REUSE of the steps reused where the truth is the same as
before the edit, a step that ran again although its edit is none by Docker's rules (NEUTRAL), and a step that was reused
although a file is copied to make it run.

COMMANDS and EDITS: how many, 0 for all; each edit has that many commands, others for each edit, chosen by SEED.
"""
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys

import base
import context
import store_layers
from commands import COMMANDS

MUST_REUSE = 0.8
ENOUGH = 35  # edits; of fewer a share says nothing
NEUTRAL = {'times', 'outside'}
KNOWN = {'cached', 'reused'}
HANGS = 600  # seconds after which a build is given up
END = 'END_OF_COMMAND'
FAILED = '------\n > '  # before what a build that fails has to say

Step = collections.namedtuple('Step', 'answer gave note')


def shell(script, *args):
    subprocess.run(['sh', '-ec', script, 'sh', *args], check=True, stdout=subprocess.DEVNULL)


def stage(command):
    script = f'{{\n{command.script}\n}} >/out/r 2>&1\necho $? >>/out/r'
    return [f'FROM base:1 AS {command.name}', *command.before, f"RUN {command.flags} <<'{END}'", script, END, '']


def dockerfile(commands):
    """Its last stage needs all others, and takes what does not depend on them."""
    lines = ['FROM scratch AS files', 'COPY app /app', '']
    for command in commands:
        lines += stage(command)
    lines.append('FROM scratch')
    lines += [f'COPY --from={c.name} /etc/group /{c.name}' for c in commands]
    return '\n'.join(lines) + '\n'


class Broken(Exception):
    """The harness cannot go on."""


class Store:
    """shale with a store of its own, which is removed in the end."""

    def __init__(self, shale, path, copy_of):
        self.shale, self.path = shale, path
        shutil.rmtree(path, ignore_errors=True)
        # files of layers are never written to again: they need no copy of their own
        shell('mkdir -m 700 "$2" && cd "$1" && for f in *; do case $f in blobs | trees) cp -al "$f" "$2";; work) ;; *) cp -a "$f" "$2";; esac; done',
              copy_of, path)

    def call(self, *args):
        env = {**os.environ, 'SHALE_ROOT': self.path}
        return subprocess.run([self.shale, *args], env=env, text=True, errors='backslashreplace', stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=HANGS)

    def build(self, case, commands, *flags):
        """name of the command -> Step"""
        file = os.path.join(case.where, f'Dockerfile.{len(commands)}')
        with open(file, 'w', encoding='ascii') as f:
            f.write(case.text(commands))
        r = self.call('build', '--progress=plain', '--load=false', '--no-durable', '-t', 't', '-f', file, *flags, case.context)
        if r.returncode:
            raise Broken(f'{case.name}: status {r.returncode}: {r.stderr[max(r.stderr.rfind(FAILED), 0):]}')
        said = self.call('explain', '--json', '--context', case.context)
        steps = {s['stage']: s for s in json.loads(said.stdout)['steps'] if s['instruction'].startswith('RUN') and END in s['instruction']}
        if sorted(steps) != sorted(c.name for c in commands):
            raise Broken(f'{case.name}: explain has other steps: {said.stdout[:1000]}')
        gave = store_layers.results(self.path, [s['key'] for s in steps.values()])
        notes = notes_of(r.stderr)
        return {name: Step(s['answer'], gave[s['key']], notes.get(name, '')) for name, s in steps.items()}

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def notes_of(progress):
    """stage -> why the build says that its RUN runs again."""
    stages, notes = {}, {}
    for line in progress.splitlines():
        number, _, rest = line.partition(' ')
        head = re.match(r'\[(\S+) +\d+/\d+\] RUN', rest)
        if head:
            stages[number] = head.group(1)
        elif number in stages and rest.startswith('=> '):
            notes.setdefault(stages[number], rest[3:])
    return notes


class Case:
    """A context, edited or not, and what its Dockerfile has instead of the original's."""

    def __init__(self, where, name, before=None):
        self.where, self.name, self.replace = os.path.join(where, name), name, None
        self.context = os.path.join(self.where, 'ctx')
        shutil.rmtree(self.where, ignore_errors=True)
        os.makedirs(self.where)
        if before is None:
            os.mkdir(self.context)
            context.make(self.context)
        else:
            shell('cp -a "$1" "$2"', before.context, self.context)
            self.replace = context.EDITS[name](self.context)

    def text(self, commands):
        text = dockerfile(commands)
        return text.replace(*(f'{line}\n' for line in self.replace)) if self.replace else text


class Count:
    """What came of the pairs of a round, and of which the user has to be told."""

    def __init__(self, name):
        self.name, self.n, self.faults, self.causes = name, collections.Counter(), [], collections.Counter()

    def fault(self, kind, case, command, lines):
        self.n[kind] += 1
        self.faults.append('\n'.join([f'--- {kind} ({self.name}): command {command.name}, edit {case.name}', command.script, *lines]))

    def pair(self, before, case, command, step, truth, was):
        """was: what the command gives without the edit."""
        known, same = step.answer in KNOWN, truth.gave == was.gave
        self.n['pairs'] += 1
        self.n[step.answer if known else 'ran'] += 1
        if step.gave != truth.gave:
            self.fault('wrong hit' if known else 'disturbed by observing', case, command, store_layers.difference(step.gave, truth.gave))
        elif command.bust and known and context.changed(before.context, case.context, command.bust):
            self.fault('not run though its file changed', case, command, [])
        elif same and not (command.bust and context.changed(before.context, case.context, command.bust)):
            self.n['reusable'] += 1
            self.n['reused right'] += known
            if not known:
                self.causes[cause(step.note)] += 1
                if case.name in NEUTRAL:
                    self.fault('run again for an edit that is none', case, command, [step.note])
        elif not known:
            self.n['needed misses'] += 1

    def add(self, other):
        self.n.update(other.n)
        self.causes.update(other.causes)
        self.faults += other.faults

    def reused(self):
        return self.n['reused right'] / max(self.n['reusable'], 1)

    def report(self, strict):
        n = self.n
        print(f"# {self.name}: {n['pairs']} pairs; {n['reused right']} reused right of {n['reusable']} reusable "
              f"({100 * self.reused():.1f} %), {n['wrong hit']} wrong hits; {n['needed misses']} needed misses, "
              f"{n['reusable'] - n['reused right']} unneeded; {n['cached']} cached by exact key, {n['reused']} by what was observed")
        for text, times in self.causes.most_common(12):
            print(f'#   unneeded {times:4}: {text}')
        if strict and self.reused() < MUST_REUSE:
            self.faults.append(f'--- {self.name}: less than {100 * MUST_REUSE:.0f} % of the reusable were reused')


def cause(note):
    """A note without its path."""
    return re.sub(r'^(looked for|looked at|read|listed) .*?(, (which|where) .*)?$', r'\1 FILE\2', note) or 'nothing is said'


class Harness:
    def __init__(self, shale, where, n_commands, n_edits, seed):
        self.shale, self.where, self.rng = shale, where, random.Random(seed)
        self.n_commands = min(n_commands or len(COMMANDS), len(COMMANDS))
        edits = list(context.EDITS)
        self.edits = self.rng.sample(edits, min(n_edits or len(edits), len(edits)))
        self.template = os.path.join(where, 'template')

    def make_base(self):
        root, tar = os.path.join(self.where, 'root'), os.path.join(self.where, 'base.tar')
        os.makedirs(root)
        base.make(root)
        shell('tar -C "$1" --sort=name --owner=0 --group=0 -cf "$2" .', root, tar)
        env = {**os.environ, 'SHALE_ROOT': self.template}
        subprocess.run([self.shale, 'import', '--change', 'ENV PATH=/usr/local/bin:/bin', tar, 'base:1'], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        shell('printf "FROM base:1\\nRUN true\\n" >"$1/Dockerfile"; SHALE_ROOT=$2 "$3" build -q --load=false "$1"', self.where, self.template,
              self.shale)
        shutil.rmtree(root)
        os.unlink(tar)

    def store(self, name, copy_of=None):
        return Store(self.shale, os.path.join(self.where, 'stores', name), copy_of or self.template)

    def begin(self):
        """The context as it is at first: its truth, and the store that has seen it."""
        os.makedirs(os.path.join(self.where, 'stores'))
        self.make_base()
        self.before = Case(self.where, 'before')
        self.seen = self.store('seen')
        self.was = self.untraced(self.before, COMMANDS)
        first = self.seen.build(self.before, COMMANDS, *traced())
        count = Count('before any edit')
        for c in COMMANDS:
            if first[c.name].gave != self.was[c.name].gave:
                count.fault('disturbed by observing', self.before, c, store_layers.difference(first[c.name].gave, self.was[c.name].gave))
        return count

    def untraced(self, case, commands):
        store = self.store('truth-' + case.name)
        steps = store.build(case, commands, '--no-cache', *untraced())
        store.remove()
        return steps

    def compare(self, count, case, commands, steps, truth):
        for c in commands:
            count.pair(self.before, case, c, steps[c.name], truth[c.name], self.was[c.name])
        return count

    def edit(self, name, commands):
        """An edit by itself: the round's count, the case and its truth."""
        case = Case(self.where, name, self.before)
        truth = self.untraced(case, commands)
        store = self.store('copy-' + name, self.seen.path)
        steps = store.build(case, commands, *traced())
        store.remove()
        return self.compare(Count('each edit by itself'), case, commands, steps, truth), case, truth

    def choose(self):
        """name of the edit -> its commands: all of them come equally often."""
        order = self.rng.sample(COMMANDS, len(COMMANDS))
        return {name: [order[(i * self.n_commands + k) % len(order)] for k in range(self.n_commands)] for i, name in enumerate(self.edits)}

    def run(self):
        counts = [self.begin()]
        chosen = self.choose()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = dict(zip(self.edits, pool.map(lambda name: self.edit(name, chosen[name]), self.edits)))
        alone, kept = Count('each edit by itself'), Count('all edits with one store')
        for count, _, _ in done.values():
            alone.add(count)
        for name in self.rng.sample(self.edits, len(self.edits)):
            _, case, truth = done[name]
            self.compare(kept, case, chosen[name], self.seen.build(case, chosen[name], *traced()), truth)
        return counts + [alone, kept]


def traced():
    return ['--trace=on']


def untraced():
    return ['--trace=off']


def main():
    shale, where = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    numbers = [int(a or 0) for a in sys.argv[3:6]] + [0] * 3
    seed = numbers[2] or random.randrange(1, 1 << 31)
    harness = Harness(shale, where, numbers[0], numbers[1], seed)
    print(f'# {harness.n_commands} commands a time of {len(COMMANDS)}, {len(harness.edits)} edits, seed {seed}')
    counts = harness.run()
    for count in counts[1:]:
        count.report(strict=count is counts[1] and len(harness.edits) >= ENOUGH)
    faults = [f for count in counts for f in count.faults]
    print(*faults, sep='\n', end='\n' if faults else '')
    if faults:
        print(f'--- again: make trace-truth COMMANDS={harness.n_commands} EDITS={len(harness.edits)} SEED={seed}')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
