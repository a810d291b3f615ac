#!/usr/bin/env python3
"""truth.py SHALE TEMPLATE_STORE DIRECTORY SEED ROUNDS: a warm store must never give what an empty one does not.

Each round writes a Dockerfile of random COPY, ADD, WORKDIR and bind mounts over a random context, builds it, edits the
context (or the Dockerfile) and builds again, several times, with one store that is kept and with a fresh one each time.
Images, times left out, have to be equal, and both or none fail. Names of a few letters in a small tree make things collide.
"""
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile

EDITS = 5  # of one Dockerfile
NAMES = ['a', 'b', 'c.txt', 'd', 'e.txt']
MODES = [0o644, 0o600, 0o755, 0o4755]
DIR_MODES = [0o755, 0o700, 0o1777, 0o2755]
TIMES = [1500000000, 1600000000]


class Context:
    """A small tree that changes in ways that are easily overlooked."""

    def __init__(self, rng, top):
        self.rng, self.top = rng, top
        shutil.rmtree(top, ignore_errors=True)
        os.mkdir(top)
        for name in NAMES[:4]:
            self.make(name)
        self.archive()

    def path(self, rel):
        return os.path.join(self.top, rel)

    def all(self):
        found = []
        for base, dirs, files in os.walk(self.top):
            dirs.sort()
            found += [os.path.relpath(os.path.join(base, n), self.top) for n in sorted(dirs + files)]
        return [f for f in found if f not in ('Dockerfile', '.dockerignore', 't.tar')]

    def dirs(self):
        return [''] + [p for p in self.all() if os.path.isdir(self.path(p)) and not os.path.islink(self.path(p))]

    def files(self):
        return [p for p in self.all() if os.path.isfile(self.path(p)) and not os.path.islink(self.path(p))]

    def place(self):
        rel = os.path.join(self.rng.choice(self.dirs()), self.rng.choice(NAMES))
        return rel if rel.count('/') < 3 else self.rng.choice(NAMES)

    def remove(self, rel):
        path = self.path(rel)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def write(self, rel, mode=None):
        with open(self.path(rel), 'w', encoding='ascii') as f:
            f.write(self.rng.choice('xyz') * self.rng.choice([0, 4, 4, 4]))
        os.chmod(self.path(rel), self.rng.choice(MODES) if mode is None else mode)
        when = self.rng.choice(TIMES)
        os.utime(self.path(rel), (when, when))

    def directory(self, rel):
        os.mkdir(self.path(rel))
        os.chmod(self.path(rel), self.rng.choice(DIR_MODES))
        for _ in range(self.rng.randrange(3)):
            child = os.path.join(rel, self.rng.choice(NAMES))
            if not os.path.lexists(self.path(child)):
                self.make(child)

    def link(self, rel):
        up = '../' * self.rng.randrange(2)
        os.symlink(self.rng.choice(['', '/', up]) + self.rng.choice(NAMES), self.path(rel))

    def hard(self, rel):
        files = self.files()
        if files:
            os.link(self.path(self.rng.choice(files)), self.path(rel))
        else:
            self.write(rel)

    def odd(self, rel):
        if self.rng.random() < .5:
            os.mkfifo(self.path(rel))
            return
        here = os.getcwd()
        os.chdir(os.path.dirname(self.path(rel)))  # a socket's name is short
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.basename(rel))
        os.chdir(here)

    def make(self, rel):
        kinds = [self.write] * 12 + [self.link] * 3 + [self.hard] * 2 + [self.odd]
        if rel.count('/') < 2 and not rel.endswith('.txt'):
            kinds += [self.directory] * (40 if rel.endswith('d') else 3)
        self.rng.choice(kinds)(rel)

    def archive(self):
        """t.tar: members over each other, links, hard links; sometimes no archive at all."""
        if self.rng.random() < .1:
            with open(self.path('t.tar'), 'w', encoding='ascii') as f:
                f.write('no archive ' * 200)
            return
        with tarfile.open(self.path('t.tar'), self.rng.choice(['w', 'w:gz'])) as t:
            seen = []
            for _ in range(self.rng.randrange(1, 6)):
                self.member(t, seen)

    def member(self, t, seen):
        info = tarfile.TarInfo(self.rng.choice(['', '', 'd/', 'd/d/']) + self.rng.choice(NAMES))
        info.uid = self.rng.choice([0, 7])
        info.mode = self.rng.choice(MODES)
        is_dir = info.name.endswith('d') and self.rng.random() < .8
        info.type = tarfile.DIRTYPE if is_dir else self.rng.choice([tarfile.REGTYPE] * 3 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
        if info.type == tarfile.LNKTYPE and not seen:
            info.type = tarfile.REGTYPE
        data = b''
        if info.type == tarfile.REGTYPE:
            data = self.rng.choice([b'aaaa', b'bbbb'])
            seen.append(info.name)
        elif info.type == tarfile.DIRTYPE:
            info.mode = self.rng.choice(DIR_MODES)
        elif info.type == tarfile.SYMTYPE:
            info.linkname = self.rng.choice(NAMES)
        else:
            info.linkname = self.rng.choice(seen)
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))

    # Edits; each says what it did.

    def edit_bytes(self):
        """Other bytes of the same size, and the old time put back."""
        files = [f for f in self.files() if os.path.getsize(self.path(f)) > 0]
        if not files:
            return None
        rel = self.rng.choice(files)
        path = self.path(rel)
        st = os.stat(path)
        with open(path, 'r+', encoding='ascii') as f:
            f.write(self.rng.choice('uvw') * st.st_size)
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        return f'other bytes in {rel}'

    def edit_mode(self):
        rel = self.rng.choice(self.all() or ['.'])
        if os.path.islink(self.path(rel)):
            return None
        is_dir = os.path.isdir(self.path(rel))
        os.chmod(self.path(rel), self.rng.choice(DIR_MODES if is_dir else MODES))
        return f'mode of {rel}'

    def edit_rename(self):
        old, new = self.rng.choice(self.all() or ['.']), self.place()
        if old == '.' or (new + '/').startswith(old + '/') or (old + '/').startswith(new + '/'):
            return None
        self.remove(new)
        os.rename(self.path(old), self.path(new))
        return f'{old} is {new}'

    def edit_swap(self):
        """Two files change places: nothing of each is new."""
        files = self.files()
        if len(files) < 2:
            return None
        one, two = self.rng.sample(files, 2)
        os.rename(self.path(one), self.path(one) + '~')
        os.rename(self.path(two), self.path(one))
        os.rename(self.path(one) + '~', self.path(two))
        return f'{one} and {two} changed places'

    def edit_retarget(self):
        links = [p for p in self.all() if os.path.islink(self.path(p))]
        if not links:
            return None
        rel = self.rng.choice(links)
        self.remove(rel)
        self.link(rel)
        return f'link {rel}'

    def edit_kind(self):
        rel = self.place()
        self.remove(rel)
        self.make(rel)
        return f'anew {rel}'

    def edit_remove(self):
        rel = self.rng.choice(self.all() or ['.'])
        if rel == '.':
            return None
        self.remove(rel)
        return f'removed {rel}'

    def edit_links(self):
        """Two equal files become one with two names, or the reverse."""
        files = self.files()
        if len(files) < 2:
            return None
        one, two = self.rng.sample(files, 2)
        self.remove(two)
        if self.rng.random() < .5:
            os.link(self.path(one), self.path(two))
        else:
            shutil.copy2(self.path(one), self.path(two))
        return f'{two} is {one}'

    def edit_archive(self):
        self.archive()
        return 'archive'

    def edit_ignore(self):
        lines = [self.rng.choice(['', '!', '', '**/', 'b/']) + self.rng.choice(NAMES + ['*.txt', 'd/*'])
                 for _ in range(self.rng.randrange(3))]
        with open(self.path('.dockerignore'), 'w', encoding='ascii') as f:
            f.write('\n'.join(lines) + '\n')
        return f'ignore rules {lines}'

    def edit(self):
        edits = [getattr(self, n) for n in sorted(dir(self)) if n.startswith('edit_')]
        while True:
            did = self.rng.choice(edits)()
            if did:
                return did


# Mostly patterns: a path that is not there ends the build.
SOURCES = ['.', '.', 'a', 'b', 'd/', 'c*.txt', '*.txt', '?', '*/*', '[ab]', '[cd]*/c.txt', '?*/b*', '*.txt d', '[a]* [b]*']
DESTS = ['/o/', '/o', './', '/o/b', '/o/link/', 'x/y/', '/o/d/', '/']


def flags(rng, parents=True):
    of = [('--chmod=', ['600', '755', 'u=rwX,go=rX', '4711']), ('--chown=', ['7:8', 'app', '1']),
          ('--exclude=', ['*.txt', 'b', '**/a', 'd/*']), ('--link', [''])]
    if parents:
        of.append(('--parents', ['']))
    return ' '.join(name + rng.choice(values) for name, values in of if rng.random() < .22)


def one_of(rng):
    source, dest = rng.choice(SOURCES), rng.choice(DESTS)
    return f'{source} {dest if dest.endswith("/") or " " not in source else dest + "/"}'


FORMS = ['copy', 'copy', 'copy', 'from', 'add', 'add_tar', 'tar_and', 'here', 'bind', 'bind_from', 'workdir', 'run']


def instruction(rng, stages, runs=True):
    form = rng.choice(FORMS if runs else ['copy', 'from', 'add_tar', 'workdir'])
    if form in ('from', 'bind_from') and not stages:
        form = 'copy'
    if form == 'copy':
        line = f'COPY {flags(rng)} {one_of(rng)}'
        return line.replace(' . ', ' ** ') if '--parents' in line else line
    if form == 'from':
        source = rng.choice(['/o*', '/o/', '/o*/*', '/o*/b', '/[opt]*/'])
        return f'COPY --from={rng.choice(stages)} {flags(rng)} {source} {rng.choice(["/p/", "/o/", "/q/r/"])}'
    if form == 'add':
        return f'ADD {flags(rng, False)} {one_of(rng)}'
    if form == 'add_tar':
        return f'ADD {flags(rng, False)} {rng.choice(["", "--unpack=false "])}t.tar {rng.choice(["/o/", "/o", "/u/"])}'
    if form == 'tar_and':
        return f'ADD {flags(rng, False)} {" ".join(rng.sample(["t.tar", "[a]*", "b*", "[d]/", "t*"], 3))} /o/'
    if form == 'here':
        return f'COPY {flags(rng, False)} <<f {rng.choice(["/o/f", "/o/", "/o/b"])}\n{rng.choice("12")}\nf'
    if form == 'workdir':
        return f'WORKDIR {rng.choice(["/o", "x/y", "/w", "b"])}'
    if form == 'run':
        return 'RUN ' + rng.choice(['mkdir -p /o/d && echo base >/o/c.txt', 'rm -rf /o/b', 'mkdir -p /t; ln -sfn /t /o/link || :',
                                    'rm -rf /o && mkdir -m 700 /o', 'ln -f /o/a /o/e.txt || :',
                                    'test ! -d /o || chmod 711 /o'])
    show = 'find /m -exec stat -c "%n %F %a %u %g %s" {} + | sort >/seen; find /m -type f -exec sha256sum {} + | sort >>/seen'
    if form == 'bind_from':
        return f'RUN --mount=type=bind,from={rng.choice(stages)},source=/o,target=/m {show}'
    source = rng.choice(['', ',source=d', ',source=.'])
    return f'RUN --mount=type=bind{source},target=/m {show}'


def dockerfile(rng):
    lines, stages = [], []
    for stage in range(rng.choice([1, 2, 2])):
        base = rng.choice(['base:1', 'base:1', 'base:1', 'scratch' if stage == 0 else 's0'])
        lines.append(f'FROM {base} AS s{stage}')
        lines += [instruction(rng, stages, base == 'base:1') for _ in range(rng.randrange(1, 5))]
        stages.append(f's{stage}')
    return lines


def edit_dockerfile(rng, lines):
    """One instruction more, less, or two in another order: the rest meets another image below."""
    at = [k for k, line in enumerate(lines) if not line.startswith('FROM')]
    k = rng.choice(at)
    how = rng.choice(['more', 'less', 'swap'])
    if how == 'less' and len(at) > 2:
        del lines[k]
    elif how == 'swap' and k + 1 in at:
        lines[k], lines[k + 1] = lines[k + 1], lines[k]
    else:
        lines.insert(k, instruction(rng, [], False))
    return 'instructions'


class Program:
    def __init__(self, path, template, where):
        self.path, self.template, self.where = path, template, where

    def fresh(self, name):
        store = os.path.join(self.where, name)
        shutil.rmtree(store, ignore_errors=True)
        subprocess.run(['cp', '-a', self.template, store], check=True)
        return store

    def call(self, store, *args):
        return subprocess.run([self.path, *args], env={**os.environ, 'SHALE_ROOT': store}, text=True,
                              errors='surrogateescape', stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def build(self, store, ctx):
        """('image', its tree) or ('error', what was said)."""
        r = self.call(store, 'build', '-q', '--load=false', '-t', 't', ctx)
        if r.returncode:
            said = r.stderr.strip().splitlines()[-1:] or [str(r.returncode)]
            return 'error', said[0]
        r = self.call(store, 'debug', 'tree', 't')
        if r.returncode:
            return 'broken', r.stderr
        tree = json.loads(r.stdout)
        del tree['id']
        for entry in tree['tree'].values():
            entry.pop('mtime', None)
        return 'image', tree


def difference(warm, cold):
    if warm[0] != 'image' or cold[0] != 'image':
        return f'warm {warm[0]}: {str(warm[1])[:300]}; fresh {cold[0]}: {str(cold[1])[:300]}'
    lines = [f'{k}: warm {warm[1][k]}; fresh {cold[1][k]}' for k in cold[1] if k != 'tree' and warm[1][k] != cold[1][k]]
    one, two = warm[1]['tree'], cold[1]['tree']
    for path in sorted(set(one) | set(two)):
        if one.get(path) != two.get(path):
            lines.append(f'{path}: warm {one.get(path)}; fresh {two.get(path)}')
    return '\n'.join(lines)


def write_dockerfile(ctx, lines):
    with open(ctx.path('Dockerfile'), 'w', encoding='ascii') as f:
        f.write('\n'.join(lines) + '\n')


def dockerfile_that_builds(rng, program, store, ctx):
    """Most random ones end with what is not there: a round begins with one that gives an image."""
    for _ in range(50):
        lines = dockerfile(rng)
        write_dockerfile(ctx, lines)
        if program.build(store, ctx.top)[0] == 'image':
            break
    return lines


def main():
    shale, template, where = sys.argv[1:4]
    seed, rounds = int(sys.argv[4]), int(sys.argv[5])
    print(f'seed {seed}, {rounds} rounds')
    program = Program(shale, template, where)
    warm = program.fresh('warm')
    seen = {'image': 0, 'error': 0, 'broken': 0}
    wrong = 0
    for number in range(rounds):
        rng = random.Random(seed * 1000003 + number)
        ctx = Context(rng, os.path.join(where, 'ctx'))
        lines, did = dockerfile_that_builds(rng, program, warm, ctx), ['new']
        for _ in range(EDITS):
            write_dockerfile(ctx, lines)
            got = program.build(warm, ctx.top)
            want = program.build(program.fresh('fresh'), ctx.top)
            seen[want[0]] += 1
            failed = got[0] == want[0] == 'error'  # stages that run beside each other: any of them may be told
            if (got != want and not failed) or want[0] == 'broken':
                wrong += 1
                print(f'--- round {number}, after {did}:', *lines, '---', difference(got, want), sep='\n')
                break
            did.append(edit_dockerfile(rng, lines) if rng.random() < .25 else ctx.edit())
    print(f'{seen["image"]} images, {seen["error"]} failures as of a fresh store, {wrong} wrong')
    return 1 if wrong or seen['image'] < rounds else 0


if __name__ == '__main__':
    sys.exit(main())
