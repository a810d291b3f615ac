"""The commands of the harness, each the RUN of a stage of its own over the context of context.py.

What a command prints, and its status, is kept in /out/r, so that it is part of the layer which is compared; nothing a command prints
may depend on a time or on what each file system has its own way: sizes and links of directories, their order, blocks, inode numbers,
and between which files copy_file_range works.
"""
import collections

LAYERS = ['COPY root /', 'COPY app /app', 'WORKDIR /app']

# before: the stage's lines before RUN. flags: of RUN. bust: a file of the context that makes the step run whenever it changes.
Command = collections.namedtuple('Command', 'name script before flags bust')
COMMANDS = []


def add(name, script, before=(), layers=LAYERS, flags='', bust=None):
    COMMANDS.append(Command(name, script.strip('\n'), list(layers) + list(before), flags, bust))


# Columns without times; of directories neither size nor links.
NO_TIMES = r"awk '/^total/ { next } /^d/ { print $1, $3, $4, $NF; next } { print $1, $3, $4, $5, $9, $10, $11 }'"

# ---- reading

add('cat', 'cat a.txt')
add('cat_two', 'cat a.txt data/1.txt')
add('cat_pattern', 'cat *.txt')
add('cat_through_link', 'cat link dirlink/1.txt')
add('cat_absolute_link', 'cat abs')
add('cat_etc', 'cat /etc/app.conf')
add('head_of_big', 'head -c 100 big.bin | sha256sum')
add('sum_of_big', 'sha256sum <big.bin')
add('count', 'wc -c a.txt b.txt c.txt empty.txt')
add('grep', 'grep -r same data | sort')
add('install', '''
[ -e app.lock ] && { echo locked; cat app.lock; }
[ -f .npmrc ] && cat .npmrc
while read -r name; do mkdir -p /opt/lib/$name && echo $name >/opt/lib/$name/installed; done <requirements.txt
''')
add('optional_source', '[ ! -r conf/local.conf ] || . ./conf/local.conf; . ./conf/app.conf; echo "port=$port" >/out/conf')
add('script', './script.sh argument')
add('conf_directory', 'for f in conf/conf.d/*.conf; do . ./$f; done; echo $a $b')
add('make', 'make 2>&1; cat out.txt')
add('compile', 'cc1 -quiet -I src/include1 -I src/include2 src/main.c -o /out/main.s; cat /out/main.s')
add('reads_nothing', 'echo nothing is read')
add('only_base', 'cat /etc/passwd; ls /var')
add('here_document', 'cat >/out/doc <<E\nuser $(id -u)\nE')

# ---- asking for names

add('list', 'ls')
add('list_all', 'ls -A data/')
add('list_long', f'ls -l . data | {NO_TIMES}')
add('list_tree', f'ls -lR data conf | {NO_TIMES}')
add('find_name', "find . -name '*.txt' | sort")
add('find_type', 'find data -type d | sort; find . -type l | sort')
add('find_perm', 'find . -perm -100 -type f | sort')
add('find_owner', 'find conf ! -user 0 | sort; find data -user 1000 | sort')
add('find_size', 'find conf data -type f -size -6c | sort')
add('find_delete', 'find old -name gone.txt -delete; find old | sort')
add('test_there', '[ -e a.txt ]')
add('test_absent', '[ -e app.lock ] || [ -e node_modules/x ] || echo none')
add('test_kinds', 'for f in c.txt data data/deep link tool; do for t in f d L x s; do [ -$t $f ] && echo $f $t; done; done')
add('test_same', 'cmp a.txt link; cmp a.txt b.txt; cmp data/deep/same.txt data/deep/x/w.txt')
add('path_search', 'which cat helper nosuch; command -v helper; helper; alias; cat b.txt')
add('change_directory', 'cd data/deep && pwd && cd ../.. && cat b.txt')
add('cd_through_link', 'cd dirlink/deep && pwd -P && cat same.txt')
add('library_path', 'LD_LIBRARY_PATH=/app/lib make --version | head -n 1')
add('as_user', '''
cat c.txt conf/app.conf conf/conf.d/20-b.conf
ls data
for f in c.txt tool data; do for t in r w x; do [ -$t $f ] && echo $f $t; done; done
echo mine >/out/mine
''', before=['USER 1000:1001'])

# ---- looking at entries

add('stat', "stat -c '%F %a %u %g %s' a.txt tool link")
add('stat_directory', "stat -c '%F %a %u %g' . data /usr/local/bin")
add('stat_absent', 'stat nosuch data/nosuch dangling/x 2>&1')
add('read_link', 'readlink link dirlink; readlink -f dirlink/1.txt; readlink nowhere; realpath dangling')

# ---- changing what was copied

add('copy_file', 'cp a.txt /out/copy')
add('copy_tree', 'cp -r data /out/data')
add('archive_tree', 'cp -a conf /out/conf')
add('append', 'echo more >>a.txt')
add('truncate', ': >a.txt')
add('overwrite', 'echo other >c.txt')
add('edit_in_place', 'sed -i s/80/8080/ conf/app.conf')
add('move_file', 'mv a.txt moved.txt')
add('move_directory', 'mv data/deep moved')
add('remove_file', 'rm a.txt')
add('remove_if_there', 'rm -f app.lock; rm -rf node_modules')
add('remove_tree', 'rm -rf old')
add('remove_and_make_again', 'rm -rf data && mkdir data && echo again >data/new')
add('remove_pattern', 'rm -f data/*.txt')
add('new_file', 'echo new >data/made.txt')
add('new_file_deep', 'echo new >data/deep/x/y/made.txt')
add('new_directory', 'mkdir data/made && mkdir -p build/x/y')
add('new_directory_or_not', 'mkdir n1 && echo made')
add('new_link', 'ln -s a.txt data/l; ln -sf b.txt link')
add('hard_link', 'ln a.txt twin')
add('chmod', 'chmod 600 b.txt')
add('chmod_tree', 'chmod -R go-rwx conf')
add('chmod_directory', 'chmod 750 data')
add('chown', 'chown 33:33 b.txt')
add('chown_tree', 'chown -R 33:33 data')
add('touch', 'touch -d 2020-01-01 a.txt data')
add('fifo', 'mkfifo data/pipe')
add('local_copy', 'cp /app/tool /usr/local/bin/tool && chmod 755 /usr/local/bin/tool && /usr/local/bin/tool')

# ---- python

PYTHON = 'export PYTHONDONTWRITEBYTECODE=1\npython3 - <<\'E\'\n{}\nE'


def python(name, script, **more):
    add(name, PYTHON.format(script.strip('\n')), **more)


python('py_import', 'import mod, pkg.inner; print(mod.VALUE, pkg.inner.VALUE)')
python('py_namespace', 'import space.part; print(space.part.VALUE)')
python('py_path', '''
import sys
sys.path.insert(0, "/app/data")
try:
    import nosuch
except ImportError as e:
    print(e)
import importlib.util
print(importlib.util.find_spec("space").origin, importlib.util.find_spec("mod").origin)
''')
add('py_compile', 'python3 -m compileall -q --invalidation-mode unchecked-hash pkg; ls pkg/__pycache__')
python('py_listdir', 'import os\nprint(sorted(os.listdir(".")), [f for _, _, f in sorted(os.walk("data"))])')
python('py_order', 'import os\nprint(len(os.listdir("many/1")), sorted(e.name for e in os.scandir("many/1") if e.is_file()))')
python('py_xattr', '''
import os
for name in "tool", "a.txt", "data":
    print(name, os.listxattr(name))
    for attr in "security.capability", "user.note":
        try:
            print(attr, os.getxattr(name, attr))
        except OSError as e:
            print(attr, e.errno)
''')
python('py_setxattr', 'import os\nos.setxattr("b.txt", "user.seen", b"1"); os.setxattr("data", "user.seen", b"1")')
python('py_truncating_open', 'import os\nf = os.open("a.txt", os.O_WRONLY | os.O_TRUNC); os.write(f, b"new")')
python('py_write_without_reading', 'import os\nf = os.open("c.txt", os.O_WRONLY); os.pwrite(f, b"X", 1)')
python('py_open_for_writing', 'import os\nos.close(os.open("b.txt", os.O_RDWR))')
python('py_exclusive', '''
import os
try:
    os.open("app.lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600); print("made")
except FileExistsError:
    print("there")
''')
python('py_openat', '''
import os
d = os.open("data", os.O_RDONLY | os.O_DIRECTORY)
print(os.read(os.open("1.txt", os.O_RDONLY, dir_fd=d), 100), os.stat("2.txt", dir_fd=d).st_size)
''')
python('py_path_descriptor', 'import os, stat\nf = os.open("a.txt", os.O_PATH)\ns = os.fstat(f)\nprint(oct(s.st_mode), s.st_size, s.st_uid)')
python('py_mmap', 'import mmap\nm = mmap.mmap(open("big.bin", "rb").fileno(), 0, prot=mmap.PROT_READ)\nprint(len(m), m[-10:])')
python('py_sendfile', 'import os\nprint(os.sendfile(os.open("/out/s", os.O_WRONLY | os.O_CREAT), os.open("b.txt", os.O_RDONLY), 0, 1000))')
python('py_copy_range', '''
import errno, os
source, to = os.open("b.txt", os.O_RDONLY), os.open("/out/s", os.O_WRONLY | os.O_CREAT)
try:
    os.copy_file_range(source, to, 1000)
except OSError as e:
    if e.errno != errno.EXDEV:
        raise
    os.write(to, os.read(source, 1000))
''')
python('py_seek', '''
import os
f = os.open("a.txt", os.O_RDONLY)
print(os.lseek(f, 0, os.SEEK_END), os.path.getsize("empty.txt"))
''')
python('py_access', 'import os\nprint([os.access(n, m) for n in ("a.txt", "tool", "data", "nosuch") for m in (os.R_OK, os.W_OK, os.X_OK)])',
       before=['USER 1000'])
python('py_same_file', 'import os\nprint(os.path.samefile("a.txt", "link"), os.path.samefile("data/deep/same.txt", "data/deep/x/w.txt"))')
python('py_total', 'import os\nprint(sum(os.path.getsize(os.path.join(d, f)) for d, _, n in os.walk("conf") for f in n))')
python('py_archive', '''
import hashlib, io, tarfile
def plain(t):
    t.mtime = 0
    return t
b = io.BytesIO()
with tarfile.open(fileobj=b, mode="w") as tar:
    tar.add(".", filter=plain)
print(hashlib.sha256(b.getvalue()).hexdigest())
''')
python('py_rename', 'import os\nos.rename("c.txt", "data/c.txt")')
python('py_rename_over', 'import os\nos.rename("a.txt", "b.txt")')
python('py_rename_directory', '''
import os
try:
    os.rename("old", "older")
except OSError as e:
    print(e.errno)
''')
python('py_rmdir', '''
import os
for name in "data", "n1", "hidden":
    try:
        os.rmdir(name); print("gone")
    except OSError as e:
        print(e.errno)
''')

# ---- other ways for files to come in

BARE = ['WORKDIR /app']

add('mount_cat', 'cat /src/app/a.txt >/out/copy', layers=BARE, flags='--mount=type=bind,target=/src')
add('mount_list', f'ls -lR /src/app/conf | {NO_TIMES}; [ -e /src/app/app.lock ]', layers=BARE, flags='--mount=type=bind,target=/src')
add('mount_part', 'cat 1.txt; ls', layers=BARE, flags='--mount=type=bind,source=app/data,target=/app')
add('mount_file', 'cat /file', layers=BARE, flags='--mount=type=bind,source=app/conf/app.conf,target=/file')
add('mount_written', 'rm /src/app/a.txt; echo x >/src/app/b.txt; cat /src/app/b.txt', layers=BARE, flags='--mount=type=bind,target=/src,rw')
python('mount_xattr', 'import os\nprint(os.listxattr("/src/app/a.txt"), os.listxattr("/src/app/b.txt"))', layers=BARE,
       flags='--mount=type=bind,target=/src')
add('mount_of_stage', 'cat /files/a.txt; ls /files/data', layers=BARE, flags='--mount=type=bind,from=files,source=/app,target=/files')
add('mount_and_copy', 'cmp /src/app/a.txt a.txt && cat c.txt', flags='--mount=type=bind,target=/src')
add('mount_cache', 'cat a.txt; [ -d /cache ]', flags='--mount=type=cache,target=/cache')
add('copied_from_stage', 'cat a.txt data/1.txt; [ -e app.lock ]', layers=['COPY --from=files /app /app', 'WORKDIR /app'])
add('copied_twice', 'cat a.txt 1.txt; ls', layers=['COPY app /app', 'COPY app/data /app/', 'WORKDIR /app'])
add('copied_with_link', 'cat a.txt; ls data', layers=['COPY --link app /app', 'WORKDIR /app'])
add('copied_one_by_one', 'cat a.txt', layers=['COPY app/a.txt app/mod.py /app/', 'COPY app/data /app/data', 'WORKDIR /app'])
add('step_between', 'cat between b.txt; ls data', layers=['COPY app /app', 'WORKDIR /app', 'RUN cat a.txt >between', 'COPY root /'])
add('removed_between', 'ls; ls old; cat a.txt', layers=['COPY app /app', 'WORKDIR /app', 'RUN rm -rf old && mkdir old', 'COPY root /'])
# no edit makes many/0 anything but a directory: a COPY could not put that over one
add('made_below', 'cat a.txt many/0/f0.txt; ls many/0 hard', layers=['RUN mkdir -p /app/many/0 /app/hard && echo 0 >/app/many/0/below', *LAYERS])
add('argument', 'echo $WHAT; cat b.txt', before=['ARG WHAT=one'])
add('bust_by_file', 'echo fetched', layers=['COPY bust.txt /bust.txt'], bust='bust.txt')
add('bust_above_others', 'cat /app/a.txt', before=['COPY bust.txt /bust.txt'], bust='bust.txt')
