"""A small build context that changes in ways that are easily overlooked; used by truth.py.

An edit is a method edit_KIND: it gives the words for what it did, or None where it cannot be done. Those of NEUTRAL change
nothing that counts by Docker's rules: after them no step may be made again.
"""
import io
import os
import shutil
import socket
import tarfile

NAMES = ['a', 'b', 'c.txt', 'd', 'e.txt']
ODD_NAMES = ['a b', 'x\ny', '\udcff\udcfe', '\u00e9', '[a]', '*', '!a', '#c', 'back\\slash', '-n']
MODES = [0o644, 0o600, 0o755, 0o4755]
DIR_MODES = [0o755, 0o700, 0o1777, 0o2755]
TIMES = [1500000000, 1600000000]
CAPABILITY = 'security.capability'
CAPABILITIES = [bytes.fromhex('0100000200040000' + '00' * 12), bytes.fromhex('0000000200000100' + '00' * 12)]
NEUTRAL = {'touched', 'owner', 'user_xattr', 'ignored', 'outside', 'again', 'undone', 'comment', 'label', 'unused_arg'}
HIDDEN = ('Dockerfile', 'Dockerfile.dockerignore', '.dockerignore', 't.tar', 'README')
ALWAYS_IGNORED = '**/*.log'


class Context:
    def __init__(self, rng, top):
        self.rng, self.top = rng, top
        self.ignore_files = [self.path('.dockerignore')]  # each ends with ALWAYS_IGNORED
        shutil.rmtree(top, ignore_errors=True)
        os.mkdir(top)
        for name in NAMES[:4]:
            self.make(name)
        self.archive()

    # What there is.

    def path(self, rel):
        return os.path.join(self.top, rel)

    def is_link(self, rel):
        return os.path.islink(self.path(rel))

    def all(self):
        found = []
        for base, dirs, files in os.walk(self.top):
            dirs.sort()
            found += [os.path.relpath(os.path.join(base, n), self.top) for n in sorted(dirs + files)]
        return [f for f in found if f not in HIDDEN]

    def dirs(self):
        return [''] + [p for p in self.all() if os.path.isdir(self.path(p)) and not self.is_link(p)]

    def files(self):
        return [p for p in self.all() if os.path.isfile(self.path(p)) and not self.is_link(p)]

    def has_link_to_top(self):
        return any(self.is_link(p) and os.readlink(self.path(p)).split('/')[-1] == '.' for p in self.all())

    def any(self):
        return self.rng.choice(self.all() or [None])

    def place(self):
        name = self.rng.choice(NAMES if self.rng.random() < .85 else ODD_NAMES)
        rel = os.path.join(self.rng.choice(self.dirs()), name)
        return rel if rel.count('/') < 3 else self.rng.choice(NAMES)

    # Making.

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
        """Also links to themselves, in circles, out of the context."""
        up = '../' * self.rng.randrange(3)
        os.symlink(self.rng.choice(['', '/', up]) + self.rng.choice(NAMES + ['d/a', '.', 'd/../b']), self.path(rel))

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

    def rule(self):
        return self.rng.choice(['', '!', '', '**/', 'b/']) + self.rng.choice(NAMES + ['*.txt', 'd/*', '*'])

    def write_ignore(self, path):
        lines = [self.rule() for _ in range(self.rng.randrange(3))] + [ALWAYS_IGNORED]
        with open(path, 'w', encoding='ascii') as f:
            f.write('\n'.join(lines) + '\n')
        return f'{os.path.basename(path)} {lines}'

    # Edits of what is copied.

    def edit_bytes(self):
        """Other bytes of the same size, and the old time put back."""
        files = [f for f in self.files() if os.path.getsize(self.path(f)) > 0]
        if not files:
            return None
        path = self.path(self.rng.choice(files))
        st = os.stat(path)
        with open(path, 'r+', encoding='ascii') as f:
            f.write(self.rng.choice('uvw') * st.st_size)
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        return f'other bytes in {path}'

    def edit_bytes_of_two(self):
        """Contents change places, names, sizes and times do not."""
        files = [f for f in self.files() if os.path.getsize(self.path(f)) == 4]
        if len(files) < 2:
            return None
        both = [self.path(f) for f in self.rng.sample(files, 2)]
        texts, stats = [open(p, 'rb').read() for p in both], [os.stat(p) for p in both]
        for path, text, st in zip(both, reversed(texts), stats):
            with open(path, 'r+b') as f:
                f.write(text)
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        return f'contents of {both} changed places'

    def edit_longer(self):
        files = self.files()
        if not files:
            return None
        rel = self.rng.choice(files)
        with open(self.path(rel), 'a', encoding='ascii') as f:
            f.write('more')
        return f'{rel} is longer'

    def edit_mode(self):
        rel = self.any()
        if rel is None or self.is_link(rel):
            return None
        is_dir = os.path.isdir(self.path(rel))
        os.chmod(self.path(rel), self.rng.choice(DIR_MODES if is_dir else MODES))
        return f'mode of {rel}'

    def edit_umask(self):
        """As another checkout has it."""
        mask = self.rng.choice([0o002, 0o022, 0o077])
        for rel in self.all():
            if not self.is_link(rel):
                is_dir = os.path.isdir(self.path(rel))
                os.chmod(self.path(rel), (0o777 if is_dir else 0o666) & ~mask)
        return f'all modes by umask {mask:o}'

    def edit_rename(self):
        old, new = self.any(), self.place()
        if old is None or (new + '/').startswith(old + '/') or (old + '/').startswith(new + '/'):
            return None
        self.remove(new)
        os.rename(self.path(old), self.path(new))
        return f'{old} is {new}'

    def edit_swap(self):
        """Two change places: nothing of each is new."""
        found = self.all()
        if len(found) < 2:
            return None
        one, two = self.rng.sample(found, 2)
        if (one + '/').startswith(two + '/') or (two + '/').startswith(one + '/'):
            return None
        aside = self.path('.aside')
        os.rename(self.path(one), aside)
        os.rename(self.path(two), self.path(one))
        os.rename(aside, self.path(two))
        return f'{one} and {two} changed places'

    def edit_retarget(self):
        links = [p for p in self.all() if self.is_link(p)]
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

    def edit_file_or_directory(self):
        """The one in the place of the other."""
        rel = self.any()
        if rel is None:
            return None
        was_dir = os.path.isdir(self.path(rel)) and not self.is_link(rel)
        self.remove(rel)
        if was_dir:
            self.write(rel)
        else:
            os.mkdir(self.path(rel))
        return f'{rel} is of another kind'

    def edit_remove(self):
        rel = self.any()
        if rel is None:
            return None
        self.remove(rel)
        return f'removed {rel}'

    def edit_empty_directory(self):
        rel = self.place()
        if os.path.lexists(self.path(rel)):
            return None
        os.mkdir(self.path(rel))
        return f'empty directory {rel}'

    def edit_deep(self):
        rel = os.path.join(self.rng.choice(NAMES), *['d'] * self.rng.randrange(5, 40))
        try:
            os.makedirs(self.path(rel), exist_ok=True)
        except OSError:
            return None
        self.remove(rel + '/a')
        self.write(rel + '/a')
        return f'deep {rel.count("/")}'

    def edit_hard_link(self):
        """Two equal files become one with two names."""
        files = self.files()
        if len(files) < 2:
            return None
        one, two = self.rng.sample(files, 2)
        self.remove(two)
        os.link(self.path(one), self.path(two))
        return f'{two} is {one}'

    def edit_unlink(self):
        """The reverse, and nothing else."""
        linked = [f for f in self.files() if os.lstat(self.path(f)).st_nlink > 1]
        if not linked:
            return None
        rel = self.rng.choice(linked)
        shutil.copy2(self.path(rel), self.path('.aside'))
        os.rename(self.path('.aside'), self.path(rel))
        return f'{rel} is a file of its own'

    def edit_capability(self):
        files = self.files()
        if not files:
            return None
        rel = self.rng.choice(files)
        if CAPABILITY in os.listxattr(self.path(rel)) and self.rng.random() < .5:
            os.removexattr(self.path(rel), CAPABILITY)
        else:
            os.setxattr(self.path(rel), CAPABILITY, self.rng.choice(CAPABILITIES))
        return f'capability of {rel}'

    def edit_archive(self):
        self.archive()
        return 'archive'

    def edit_ignore_file(self):
        path = self.rng.choice(self.ignore_files)
        if os.path.exists(path) and self.rng.random() < .3:
            os.unlink(path)
            return f'no {os.path.basename(path)}'
        return self.write_ignore(path)

    # Edits that change nothing by Docker's rules.

    def edit_touched(self):
        rel = self.any()
        if rel is None:
            return None
        os.utime(self.path(rel), (self.rng.choice(TIMES),) * 2, follow_symlinks=False)
        return f'time of {rel}'

    def edit_owner(self):
        rel = self.any()
        if rel is None:
            return None
        path, st = self.path(rel), os.lstat(self.path(rel))
        kept = os.getxattr(path, CAPABILITY) if CAPABILITY in os.listxattr(path, follow_symlinks=False) else None
        os.chown(path, self.rng.choice([0, 7, 1000]), self.rng.choice([0, 8]), follow_symlinks=False)
        if not os.path.islink(path):
            os.chmod(path, st.st_mode & 0o7777)  # chown takes set-uid and capabilities away
        if kept is not None:
            os.setxattr(path, CAPABILITY, kept)
        return f'owner of {rel}'

    def edit_user_xattr(self):
        files = self.files()
        if not files:
            return None
        rel = self.rng.choice(files)
        os.setxattr(self.path(rel), 'user.' + self.rng.choice('pq'), self.rng.choice([b'1', b'2']))
        return f'user xattr of {rel}'

    def edit_ignored(self):
        """A file that the last rule of the ignore file names."""
        if not any(map(os.path.exists, self.ignore_files)):
            return None
        rel = os.path.join(self.rng.choice(self.dirs()), self.rng.choice('ab') + '.log')
        self.remove(rel)
        if self.rng.random() < .8:
            self.write(rel)
        return f'ignored {rel}'

    def edit_again(self):
        return 'nothing'
