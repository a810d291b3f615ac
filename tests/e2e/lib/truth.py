#!/usr/bin/env python3
"""truth.py SHALE TEMPLATE_STORE DIRECTORY SEED EDITS [BATCH]: a store that knows something must never give what an empty one does not.

A batch is a store that is kept and a few Dockerfiles, each over a context of its own (truth_dockerfile.py,
truth_context.py). Each edit of the context, the Dockerfile or the command line is built with that store and, with --no-cache,
with a fresh one. Images, times left out, have to be equal, and both or none fail: what differs is a false hit. Names of
a few letters in a small tree make things collide. A step that is made again after an edit that by Docker's rules changes nothing
is a false miss: counted and printed (steps of edits, by kind), and no failure.

Batches run beside each other, one on each processor. SEED and BATCH alone decide what a batch does.
"""
import collections
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile

import truth_dockerfile
from truth_context import NEUTRAL, Context

BATCH_EDITS = 25
DOCKERFILE_EDITS = 8
HANGS = 120  # seconds after which a command is given up
STEP = re.compile(r'\[(?:\S+ +)?\d+/\d+\] (?!FROM )')
CONTEXT_EDITS = sorted(n[5:] for n in dir(Context) if n.startswith('edit_'))
# Edits that are easy to get wrong, and cheap ones, come more often than those of the Dockerfile.
OTHER_EDITS = ['instructions', 'instructions', 'value', 'value', 'base', 'moved_tag', 'build_arg', 'build_arg', 'comment', 'label',
               'unused_arg', 'outside', 'target']


class Program:
    """shale with one store."""

    def __init__(self, path, template, where):
        self.path, self.template, self.store = path, template, where

    def fresh(self):
        shutil.rmtree(self.store, ignore_errors=True)
        subprocess.run(['cp', '-a', self.template, self.store], check=True)

    def call(self, *args):
        command = [self.path, *args]
        try:
            return subprocess.run(command, env={**os.environ, 'SHALE_ROOT': self.store}, text=True, errors='surrogateescape',
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=HANGS)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, '', f'it has not ended in {HANGS} s')

    def build(self, case, *flags):
        """('image', its tree) or ('error', what was said); and the names of the steps that were made."""
        if self.call('tag', case.moved, 'moved:1').returncode:
            return ('broken', 'no base image'), []
        r = self.call('build', '--progress=rawjson', '--load=false', '-t', 't', *flags, *case.flags())
        made = steps_made(r.stderr)
        if r.returncode:
            said = r.stderr.strip().splitlines()[-1:] or [str(r.returncode)]
            return ('error' if r.returncode == 1 else 'broken', said[0]), made
        r = self.call('debug', 'tree', 't')
        if r.returncode:
            return ('broken', r.stderr), made
        tree = json.loads(r.stdout)
        del tree['id']
        for entry in tree['tree'].values():
            entry.pop('mtime', None)
        return ('image', tree), made

    def results(self):
        """What the records say: key -> (instruction, content of its layer)."""
        db = sqlite3.connect(os.path.join(self.store, 'shale.db'))
        rows = db.execute('SELECT key, step, content FROM records LEFT JOIN layers ON records.layer = layers.diff').fetchall()
        db.close()
        return {key: (step, content) for key, step, content in rows}


def steps_made(progress):
    """Names of the steps that were not known."""
    ended = {}
    for line in progress.splitlines():
        if not line.startswith('{"vertexes"'):
            continue
        for v in json.loads(line)['vertexes']:
            if 'completed' in v and STEP.match(v['name']):
                ended[v['digest']] = (v['name'], v.get('cached', False))
    return [name for name, cached in ended.values() if not cached]


class Case:
    """A Dockerfile, its context and the command line, as they are now."""

    def __init__(self, rng, where):
        self.rng, self.where = rng, where
        self.ctx = Context(rng, os.path.join(where, 'ctx'))
        self.lines = truth_dockerfile.dockerfile(rng)
        self.args, self.moved = {}, 'base:1'
        self.neutral_args, self.target = [], None
        self.inside = rng.random() < .4  # the Dockerfile is a file of the context
        self.file = os.path.join(self.ctx.top if self.inside else where, 'Dockerfile')
        self.ctx.ignore_files.append(self.file + '.dockerignore')
        for path in (os.path.join(where, 'Dockerfile.dockerignore'), os.path.join(where, 'before')):
            subprocess.run(['rm', '-rf', path], check=True)

    def flags(self):
        with open(self.file, 'w', encoding='ascii') as f:
            f.write('\n'.join(self.lines) + '\n')
        flags = ['-f', self.file, *self.neutral_args]
        for key, value in sorted(self.args.items()):
            flags += ['--build-arg', f'{key}={value}']
        if self.target is not None and any(f' AS {self.target}' in line for line in self.lines):
            flags += ['--target', self.target]
        return flags + [self.ctx.top]

    def edit(self):
        """(kind, what was done)"""
        while True:
            kind = self.rng.choice(CONTEXT_EDITS + OTHER_EDITS)
            of = self.ctx if kind in CONTEXT_EDITS else self
            did = getattr(of, f'edit_{kind}')()
            if did:
                return kind, did

    def edit_instructions(self):
        return truth_dockerfile.edit_instructions(self.rng, self.lines)

    def edit_value(self):
        return truth_dockerfile.edit_value(self.rng, self.lines)

    def edit_base(self):
        return truth_dockerfile.edit_base(self.rng, self.lines)

    def edit_moved_tag(self):
        self.moved = 'other:1' if self.moved == 'base:1' else 'base:1'
        return f'moved:1 is {self.moved}'

    def edit_build_arg(self):
        key = self.rng.choice('VW')
        if key in self.args and self.rng.random() < .4:
            del self.args[key]
        else:
            self.args[key] = self.rng.choice(truth_dockerfile.VALUES)
        return f'build args {self.args}'

    def edit_target(self):
        self.target = self.rng.choice([None, 's0', 's1'])
        return f'target {self.target}'

    # What changes nothing by Docker's rules. A Dockerfile that COPY sees is not to be edited here.

    def sees_all(self):
        """Whether an instruction may see every name of the context, also through a link to its top."""
        return truth_dockerfile.looks_at_all(self.lines) or self.ctx.has_link_to_top()

    def shows_xattrs(self, kind):
        """A mount of the context has its user.* attributes, which a COPY drops."""
        return kind == 'user_xattr' and any('type=bind' in line and 'from=' not in line for line in self.lines)

    def is_seen(self):
        return self.inside and self.sees_all()

    def edit_comment(self):
        line = f'# {self.rng.randrange(1000)}'
        return None if self.is_seen() else truth_dockerfile.insert(self.rng, self.lines, line)

    def edit_label(self):
        line = self.rng.choice(['LABEL k={}', 'CMD ["{}"]', 'EXPOSE {}', 'STOPSIGNAL {}', 'ENTRYPOINT ["/{}"]'])
        line = line.format(self.rng.randrange(1, 30))
        return None if self.is_seen() else truth_dockerfile.insert(self.rng, self.lines, line)

    def edit_unused_arg(self):
        number = self.rng.randrange(1000)
        self.neutral_args = self.rng.choice([['--build-arg', f'UNUSED={number}'], ['--build-arg', f'HTTP_PROXY=http://p{number}'],
                                             ['--label', f'k={number}'], []])
        return f'flags {self.neutral_args}'

    def edit_outside(self):
        """README, which no COPY takes."""
        if self.sees_all():
            return None
        self.ctx.write('README')
        return 'README'

    # Going back.

    def keep(self):
        subprocess.run(['rm', '-rf', os.path.join(self.where, 'before')], check=True)
        subprocess.run(['cp', '-a', self.ctx.top, os.path.join(self.where, 'before')], check=True)
        aside = self.file + '.dockerignore'
        ignore = open(aside, encoding='ascii').read() if os.path.exists(aside) else None
        return list(self.lines), dict(self.args), self.moved, list(self.neutral_args), self.target, ignore

    def go_back(self, kept):
        shutil.rmtree(self.ctx.top)
        os.rename(os.path.join(self.where, 'before'), self.ctx.top)
        self.lines, self.args, self.moved, self.neutral_args, self.target, ignore = kept
        aside = self.file + '.dockerignore'
        if os.path.exists(aside):
            os.unlink(aside)
        if ignore is not None:
            with open(aside, 'w', encoding='ascii') as f:
                f.write(ignore)


def difference(warm, cold):
    if warm[0] != 'image' or cold[0] != 'image':
        return f'kept store {warm[0]}: {str(warm[1])[:500]}; --no-cache {cold[0]}: {str(cold[1])[:500]}'
    lines = [f'{k}: kept store {warm[1][k]}; --no-cache {cold[1][k]}' for k in cold[1] if k != 'tree' and warm[1][k] != cold[1][k]]
    one, two = warm[1]['tree'], cold[1]['tree']
    for path in sorted(set(one) | set(two)):
        if one.get(path) != two.get(path):
            lines.append(f'{path}: kept store {one.get(path)}; --no-cache {two.get(path)}')
    return '\n'.join(lines)


def file_in(tar, member):
    data = tar.extractfile(member).read()
    return {'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}


def wrong_bytes(program, case, tree):
    """What an exported image has, read from its bytes, against its listing: '' or what differs."""
    out = os.path.join(case.where, 'out.tar')
    r = program.call('build', '-q', '--load=false', '-o', f'type=tar,dest={out}', *case.flags())
    if r.returncode:
        return f'export: {r.stderr[-500:]}'
    wrong, seen = [], set()
    with tarfile.open(out, encoding='utf-8', errors='surrogateescape') as tar:
        for member in tar:
            name = '/' + shown(member.name)
            seen.add(name)
            got = {'mode': f'{member.mode:04o}', 'uid': member.uid, 'gid': member.gid}
            if member.issym():
                got['to'] = member.linkname
            elif member.isreg() or member.islnk():
                got.update(file_in(tar, member))
            want = tree['tree'].get(name, {})
            wrong += [f'{name}: {k} is {v} in its bytes, {want.get(k)} in its listing' for k, v in got.items() if want.get(k) != v]
    wrong += [f'{name} is not in its bytes' for name in tree['tree'] if name not in seen]
    return '\n'.join(wrong)


def shown(name):
    """As 'shale debug tree' shows what is not UTF-8."""
    if all(not 0xdc80 <= ord(c) <= 0xdcff for c in name):
        return name
    return ''.join(chr(b) if b < 128 else f'\\x{b:02x}' for b in os.fsencode(name))


class Batch:
    def __init__(self, shale, template, where, seed, number):
        self.number, self.rng = number, random.Random(seed * 1000003 + number)
        self.where = os.path.join(where, f'batch-{number}')
        os.makedirs(self.where, exist_ok=True)
        self.warm = Program(shale, template, os.path.join(self.where, 'kept'))
        self.cold = Program(shale, template, os.path.join(self.where, 'fresh'))
        self.count = collections.Counter()
        self.neutral, self.misses, self.missed, self.repeated = collections.Counter(), collections.Counter(), [], collections.Counter()
        self.wrong = []
        self.known, self.last = {}, None

    def new_case(self):
        """Most random Dockerfiles end with what is not there: one that gives an image is a better beginning."""
        for _ in range(50):
            case = Case(self.rng, self.where)
            result, _ = self.warm.build(case)
            if result[0] == 'image':
                break
        self.last, self.known = result, self.warm.results()
        return case, result

    def count_repeated(self, kind):
        """RUNs that were made again though they give what the same one gave before."""
        now = self.warm.results()
        before = set(self.known.values())
        for key in now.keys() - self.known.keys():
            if now[key] in before and now[key][0].upper().startswith('RUN'):
                self.repeated[kind] += 1
        self.known = now

    def count_misses(self, case, kind, did, made):
        self.neutral[kind] += 1
        self.misses[kind] += len(made)
        if made:
            self.missed.append('\n'.join([f'--- batch {self.number}, {made} made again; edits: {did}', *case.lines, '--- ' + ' '.join(case.flags())]))

    def compare(self, case, did, kind, previous):
        got, made = self.warm.build(case)
        self.count['changed'] += got != self.last
        self.last = got
        self.cold.fresh()
        want, _ = self.cold.build(case, '--no-cache')
        self.count[want[0]] += 1
        self.count['edits'] += 1
        both_failed = got[0] == want[0] == 'error'  # stages that run beside each other: any of them may be told
        found = '' if got == want or both_failed else difference(got, want)
        if want[0] == 'broken' or got[0] == 'broken':
            found = difference(got, want) or str(want[1])
        if not found and got[0] == 'image' and self.rng.random() < .1:
            found = wrong_bytes(self.warm, case, got[1])
        if found:
            self.wrong.append('\n'.join([f'--- batch {self.number}, edits: {did}', *case.lines, '--- ' + ' '.join(case.flags()), found]))
        if kind in NEUTRAL and previous == 'image' and not case.shows_xattrs(kind):
            self.count_misses(case, kind, did, made)
        self.count_repeated(kind)
        return got[0]

    def edits_of_one(self, left):
        case, result = self.new_case()
        did, status = ['new'], result[0]
        while left > 0:
            goes_back = left > 1 and self.rng.random() < .1
            kept, before = case.keep() if goes_back else None, status
            kind, words = case.edit()
            did.append(f'{kind}: {words}')
            status = self.compare(case, did, kind, status)
            left -= 1
            if goes_back and not self.wrong:
                case.go_back(kept)
                did.append('undone: as before')
                status = self.compare(case, did, 'undone', before)
                left -= 1
            if self.wrong or self.count['edits'] % DOCKERFILE_EDITS == 0:
                break
        return left

    def run(self, edits):
        self.warm.fresh()
        while edits > 0 and not self.wrong:
            edits = self.edits_of_one(edits)
        shutil.rmtree(self.where, ignore_errors=True)
        return self


def template_with_other(shale, template, where):
    """The template's base:1, and other:1, which has some files more where Dockerfiles look."""
    store, root = os.path.join(where, 'template'), os.path.join(where, 'root')
    script = """
        rm -rf "$store" "$root" && mkdir "$root" && cp -a "$template" "$store"
        tar -C "$root" -xpf "$template/../base.tar" && mkdir -m 750 "$root/o" && echo other >"$root/o/b" && ln -s b "$root/o/a"
        chown 5:6 "$root/o" && tar -C "$root" --sort=name --numeric-owner -cf - . |
            SHALE_ROOT=$store "$shale" import --change "ENV PATH=/usr/local/bin:/bin" --change "ENV W=b" - other:1 && rm -rf "$root"
    """
    env = {**os.environ, 'store': store, 'root': root, 'template': template, 'shale': shale}
    subprocess.run(['sh', '-ec', script], env=env, check=True, stdout=subprocess.DEVNULL)
    return store


def run_batch(shale, template, where, seed, number, edits):
    return Batch(shale, template, where, seed, number).run(edits)


def by_kind(counter):
    return ', '.join(f'{kind} {n}' for kind, n in sorted(counter.items())) or 'none'


def report(batches, seed):
    total, neutral, misses, repeated = (collections.Counter() for _ in range(4))
    for b in batches:
        total.update(b.count)
        neutral.update(b.neutral)
        misses.update(b.misses)
        repeated.update(b.repeated)
        for found in b.wrong:
            print(found, f'--- again: make truth SEED={seed} BATCH={b.number}', sep='\n')
        for line in b.missed[:5]:
            print(line)
    wrong = sum(len(b.wrong) for b in batches)
    print(f'# {total["edits"]} edits, {wrong} false hits, {sum(misses.values())} false misses '
          f'(by kind: {", ".join(f"{kind} {misses[kind]} of {n}" for kind, n in sorted(neutral.items()))})')
    print(f'# {total["image"]} images, {total["error"]} failures as without a cache; {total["changed"]} edits changed the result; '
          f'{sum(repeated.values())} RUNs on other files gave what they had given (after: {by_kind(repeated)})')
    return 1 if wrong or total['image'] < total['edits'] / 2 else 0


def main():
    shale, template, where = sys.argv[1:4]
    seed, edits = int(sys.argv[4]), int(sys.argv[5])
    print(f'# seed {seed}')
    store = template_with_other(shale, template, where)
    sizes = [min(BATCH_EDITS, edits - k) for k in range(0, edits, BATCH_EDITS)]
    numbers = range(len(sizes))
    if len(sys.argv) > 6 and sys.argv[6]:
        numbers, sizes = [int(sys.argv[6])], {int(sys.argv[6]): BATCH_EDITS}
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        batches = list(pool.map(run_batch, *zip(*[(shale, store, where, seed, n, sizes[n]) for n in numbers])))
    return report(batches, seed)


if __name__ == '__main__':
    sys.exit(main())
