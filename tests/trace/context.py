"""The context that the commands run on, and the edits of it.

app/ is copied to /app, root/ to /, bust.txt to /bust.txt. An edit is a function edit_NAME of the context's top directory; what it
returns is a change of the Dockerfile's text (a pair old, new) or None. All times are the same, so that nothing a command prints
depends on when a context was made; an edit's own files have the time of the edit, as a user's have.
"""
import os
import py_compile
import random
import shutil
import struct

EPOCH = 1700000000

FILES = {
    'app/a.txt': 'alpha\n',
    'app/b.txt': 'bravo\n',
    'app/c.txt': 'charlie\n',
    'app/empty.txt': '',
    'app/README.md': 'nobody reads this\n',
    'app/docs/guide/one.md': 'nobody reads this either\n',
    'app/Makefile': 'all: out.txt\nout.txt: data/1.txt data/2.txt\n\tcat $^ >$@\n-include local.mk\n',
    'app/requirements.txt': 'left\nright\n',
    'app/conf/app.conf': 'port=80\n',
    'app/conf/conf.d/10-a.conf': 'a=1\n',
    'app/conf/conf.d/20-b.conf': 'b=2\n',
    'app/data/1.txt': 'one\n',
    'app/data/2.txt': 'two\n',
    'app/data/deep/x/y/z.txt': 'deep\n',
    'app/data/deep/x/w.txt': 'same\n',
    'app/data/deep/same.txt': 'same\n',
    'app/mod.py': 'VALUE = 1\n',
    'app/pkg/__init__.py': 'from . import inner\n',
    'app/pkg/inner.py': 'VALUE = 2\n',
    'app/pkg/unused.py': 'VALUE = 3\n',
    'app/space/part.py': 'VALUE = 4\n',
    'app/src/main.c': '#include "util.h"\n#include "opt.h"\nint main(void) { return UTIL + OPT; }\n',
    'app/src/include1/dummy.h': '\n',
    'app/src/include2/opt.h': '#define OPT 1\n',
    'app/src/util.h': '#define UTIL 1\n',
    'app/src/other.c': 'int other;\n',
    'app/script.sh': '#!/bin/sh\n. ./conf/app.conf\necho "script $port $1"\n',
    'app/tool': '#!/bin/sh\necho tool\n',
    'app/hidden/.keep': '',
    'app/old/gone.txt': 'to be removed\n',
    'app/old/sub/gone.txt': 'to be removed too\n',
    'root/usr/local/bin/helper': '#!/bin/sh\necho helper\n',
    'root/usr/local/lib/site/plain.txt': 'plain\n',
    'root/etc/app.conf': 'from=etc\n',
    'root/srv/www/index.html': '<p>\n',
    'bust.txt': '1\n',
    'unused/file.txt': 'in no COPY\n',
}
EXECUTABLE = ['app/script.sh', 'app/tool', 'root/usr/local/bin/helper']
LINKS = {'app/link': 'a.txt', 'app/dirlink': 'data', 'app/dangling': 'nowhere', 'app/abs': '/app/conf/app.conf', 'root/usr/local/bin/alias': 'helper'}
BIG = 300000


def put(top, name, text):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())


def set_times(top):
    for where, directories, files in os.walk(top, topdown=False):
        for name in directories + files:
            os.utime(os.path.join(where, name), (EPOCH, EPOCH), follow_symlinks=False)
    os.utime(top, (EPOCH, EPOCH))


def make(top):
    for name, text in FILES.items():
        put(top, name, text)
    for i in range(40):
        put(top, f'app/many/{i % 4}/f{i}.txt', f'{i}\n')
    put(top, 'app/big.bin', random.Random(1).randbytes(BIG))
    for name in EXECUTABLE:
        os.chmod(os.path.join(top, name), 0o755)
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(top, name))
    os.chmod(os.path.join(top, 'app/conf/conf.d/20-b.conf'), 0o600)
    set_times(top)


# ---- edits: contents

def edit_same_size(top):
    put(top, 'app/a.txt', 'ALPHA\n')

def edit_larger(top):
    put(top, 'app/a.txt', 'alpha and more\n')

def edit_trailing_newline(top):
    put(top, 'app/b.txt', 'bravo')

def edit_emptied(top):
    put(top, 'app/a.txt', '')

def edit_filled(top):
    put(top, 'app/empty.txt', 'no longer\n')

def edit_swapped(top):
    put(top, 'app/a.txt', FILES['app/b.txt'])
    put(top, 'app/b.txt', FILES['app/a.txt'])

def edit_big_file(top):
    with open(os.path.join(top, 'app/big.bin'), 'r+b') as f:
        f.seek(BIG - 10)
        f.write(b'changed')

def edit_what_nobody_reads(top):
    put(top, 'app/README.md', 'changed\n')

def edit_deep(top):
    put(top, 'app/data/deep/x/y/z.txt', 'DEEP\n')

def edit_script(top):
    put(top, 'app/script.sh', FILES['app/script.sh'] + 'echo more\n')

def edit_source(top):
    put(top, 'app/src/main.c', FILES['app/src/main.c'].replace('+', '-'))

def edit_header(top):
    put(top, 'app/src/util.h', '#define UTIL 2\n')

def edit_module(top):
    put(top, 'app/mod.py', 'VALUE = 9\n')

def edit_conf(top):
    put(top, 'app/conf/app.conf', 'port=81\n')

def edit_other_layer(top):
    put(top, 'root/etc/app.conf', 'from=ETC\n')

def edit_bust(top):
    put(top, 'bust.txt', '2\n')

def edit_outside(top):
    put(top, 'unused/file.txt', 'changed\n')

# ---- names that come and go

def edit_added(top):
    put(top, 'app/new.txt', 'new\n')

def edit_added_below(top):
    put(top, 'app/data/3.txt', 'three\n')

def edit_added_deep(top):
    put(top, 'app/n1/n2/n3/n4/n5/new.txt', 'new\n')

def edit_added_hidden(top):
    put(top, 'app/.npmrc', 'x=1\n')

def edit_added_lock(top):
    put(top, 'app/app.lock', 'locked\n')

def edit_added_optional(top):
    put(top, 'app/conf/local.conf', 'port=99\n')
    put(top, 'app/local.mk', 'all: more\nmore:\n\techo more\n')

def edit_added_many(top):
    for i in range(1000):
        put(top, f'app/crowd/{i % 10}/{i}.txt', f'{i}\n')

def edit_added_odd_names(top):
    for name in ('with space', 'with\nnewline', 'ünïcödé', '-dash', '*', '\\back', 'x' * 255, b'\xff\xfe'.decode(errors='surrogateescape')):
        put(top, 'app/data/' + name, 'odd\n')

def edit_added_header(top):
    """Found before the one that was found so far."""
    put(top, 'app/src/include1/opt.h', '#define OPT 2\n')

def edit_added_command(top):
    """Stands before /bin/cat in PATH."""
    put(top, 'root/usr/local/bin/cat', '#!/bin/sh\necho shadow\n')
    os.chmod(os.path.join(top, 'root/usr/local/bin/cat'), 0o755)

def edit_added_command_without_x(top):
    put(top, 'root/usr/local/bin/cat', '#!/bin/sh\necho shadow\n')

def edit_added_library(top):
    put(top, 'app/lib/libc.so.6', 'not a library\n')

def edit_added_ld_config(top):
    put(top, 'root/etc/ld.so.preload', '/app/none.so\n')

def edit_added_init(top):
    """What was a namespace package is one no longer."""
    put(top, 'app/space/__init__.py', 'part = None\n')

def edit_added_compiled(top):
    """A compiled form that does not ask its source."""
    put(top, 'tmp.py', 'VALUE = 77\n')
    py_compile.compile(os.path.join(top, 'tmp.py'), os.path.join(top, f'app/__pycache__/mod.{_tag()}.pyc'),
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    os.unlink(os.path.join(top, 'tmp.py'))

def _tag():
    import sys
    return sys.implementation.cache_tag

def edit_added_directory_as_module(top):
    put(top, 'app/mod/__init__.py', 'VALUE = 5\n')

def edit_removed(top):
    os.unlink(os.path.join(top, 'app/c.txt'))

def edit_removed_unread(top):
    shutil.rmtree(os.path.join(top, 'app/docs'))

def edit_removed_tree(top):
    shutil.rmtree(os.path.join(top, 'app/old/sub'))

def edit_renamed(top):
    os.rename(os.path.join(top, 'app/b.txt'), os.path.join(top, 'app/bb.txt'))

def edit_case(top):
    os.rename(os.path.join(top, 'app/README.md'), os.path.join(top, 'app/Readme.md'))

def edit_new_empty_directory(top):
    os.mkdir(os.path.join(top, 'app/data/empty'))

def edit_moved_directory(top):
    os.rename(os.path.join(top, 'app/data/deep'), os.path.join(top, 'app/deep'))

# ---- modes, owners, xattrs, times

def edit_x_set(top):
    os.chmod(os.path.join(top, 'app/a.txt'), 0o755)

def edit_x_taken(top):
    os.chmod(os.path.join(top, 'app/tool'), 0o644)

def edit_r_taken(top):
    os.chmod(os.path.join(top, 'app/c.txt'), 0o200)

def edit_setuid(top):
    os.chmod(os.path.join(top, 'app/tool'), 0o4755)

def edit_directory_mode(top):
    os.chmod(os.path.join(top, 'app/data'), 0o700)

def edit_top_mode(top):
    os.chmod(os.path.join(top, 'app'), 0o711)

def edit_chown(_top):
    return 'COPY app /app', 'COPY --chown=1000:7 app /app'

def edit_chmod(_top):
    return 'COPY app /app', 'COPY --chmod=750 app /app'

def edit_capability(top):
    os.setxattr(os.path.join(top, 'app/tool'), 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))

def edit_user_xattr(top):
    """A COPY drops it, a bind mount shows it."""
    os.setxattr(os.path.join(top, 'app/a.txt'), 'user.note', b'1')

def edit_times(top):
    for where, directories, files in os.walk(top):
        for name in directories + files:
            os.utime(os.path.join(where, name), (EPOCH + 5000, EPOCH + 5000), follow_symlinks=False)

# ---- types

def _replace(top, name, **by):
    path = os.path.join(top, name)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    if 'link' in by:
        os.symlink(by['link'], path)
    elif 'text' in by:
        put(top, name, by['text'])

def edit_link_elsewhere(top):
    _replace(top, 'app/link', link='b.txt')

def edit_link_to_same(top):
    """Another target with the same content."""
    put(top, 'app/a2.txt', FILES['app/a.txt'])
    _replace(top, 'app/link', link='a2.txt')

def edit_link_to_file(top):
    _replace(top, 'app/link', text=FILES['app/a.txt'])

def edit_file_to_link(top):
    put(top, 'app/a2.txt', FILES['app/a.txt'])
    _replace(top, 'app/a.txt', link='a2.txt')

def edit_file_to_directory(top):
    _replace(top, 'app/c.txt')
    put(top, 'app/c.txt/inside', 'x\n')

def edit_directory_to_file(top):
    _replace(top, 'app/data/deep', text='flat\n')

def edit_directory_to_link(top):
    os.rename(os.path.join(top, 'app/data'), os.path.join(top, 'app/data2'))
    os.symlink('data2', os.path.join(top, 'app/data'))

def edit_dangling_found(top):
    put(top, 'app/nowhere', 'somewhere\n')

def edit_fifo(top):
    _replace(top, 'app/docs/guide/one.md')
    os.mkfifo(os.path.join(top, 'app/docs/guide/one.md'))

def edit_hard_links(top):
    """Two files that are equal become one with two names: such a layer is served as a tree."""
    os.unlink(os.path.join(top, 'app/data/deep/x/w.txt'))
    os.link(os.path.join(top, 'app/data/deep/same.txt'), os.path.join(top, 'app/data/deep/x/w.txt'))


EDITS = {name[5:]: f for name, f in list(globals().items()) if name.startswith('edit_')}


def changed(before, after, name):
    """Whether the file differs."""
    contents = []
    for top in (before, after):
        with open(os.path.join(top, name), 'rb') as f:
            contents.append(f.read())
    return contents[0] != contents[1]
