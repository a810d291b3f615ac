"""Random Dockerfiles for truth.py: mostly patterns as sources, as a path that is not there ends the build."""
SOURCES = ['.', '.', 'a', 'b', 'd/', 'c*.txt', '*.txt', '?', '*/*', '[ab]', '[cd]*/c.txt', '?*/b*', '*.txt d', '[a]* [b]*',
           '*$V*', '[$W]*', '${V:-[ab]}*', '??*']
DESTS = ['/o/', '/o', './', '/o/b', '/o/link/', 'x/y/', '/o/d/', '/', '/o/$V/', '/o/${W:-b}', 'x/$W/']
VALUES = ['a', 'b', 'd', 'c.txt', 'd/a']
SHOW = ('find {0} -exec stat -c "%n %F %a %u %g" {{}} + 2>/dev/null | sort >/seen; '
        'find {0} -type f -exec sha256sum {{}} + 2>/dev/null | sort >>/seen')
# Nothing here may open a FIFO that a context has: it would wait for ever.
CAT = 'for f in {0}; do test -f $f && cat $f; done >{1} 2>/dev/null || :'
RUNS = ['mkdir -p /o/d && { test -p /o/c.txt || echo base >/o/c.txt; }', 'rm -rf /o/b', 'mkdir -p /t; ln -sfn /t /o/link || :',
        'rm -rf /o && mkdir -m 700 /o', 'ln -f /o/a /o/e.txt || :', 'test ! -d /o || chmod 711 /o',
        CAT.format('/o/*.txt /o/b', '/all'), 'ls -a /o /o/d >/names 2>/dev/null || :',
        'find / -xdev -path /proc -prune -o -type l -print 2>/dev/null | grep -v ^/bin | sort >/links',
        'readlink /o/b /o/a /o/d >/to || :', 'umask 077; mkdir -p /o/um; echo $V-$W >/o/um/v', 'mkdir -p /o/$V; echo $W >/o/w',
        'cp -a /o /p 2>/dev/null; rm -rf /o/d || :', 'mv /o/a /o/z || :', 'chown -hR 7:8 /o || :', 'find /o -type f -exec stat -c "%n %s %h" {} + 2>/dev/null | sort >/sizes',
        'test -f /o/a && wc -c </o/a >/w || :', 'test -e /o/a && echo yes >/yes || :', 'id >/id; pwd >>/id',
        'mkfifo /o/p 2>/dev/null || :', SHOW.format('/o'), SHOW.format('/o /p /q /u /w')]
LOOKS = [SHOW.format('/o'), SHOW.format('/o /p'), CAT.format('/o/* /p/*', '/all'), 'find /o -type f -exec stat -c "%n %s %h" {} + 2>/dev/null | sort >/sizes']
FORMS = ['copy'] * 6 + ['from'] * 3 + ['add', 'add_tar', 'tar_and', 'here', 'here', 'bind', 'bind_from', 'workdir', 'arg', 'env'] + \
        ['run'] * 4 + ['run_here', 'script', 'user', 'label']


def flags(rng, parents=True):
    of = [('--chmod=', ['600', '755', 'u=rwX,go=rX', '4711']), ('--chown=', ['7:8', 'app', '1', '${V}1']),
          ('--exclude=', ['*.txt', 'b', '**/a', 'd/*', '$V']), ('--link', [''])]
    if parents:
        of.append(('--parents', ['']))
    return ' '.join(name + rng.choice(values) for name, values in of if rng.random() < .2)


def one_of(rng):
    source, dest = rng.choice(SOURCES), rng.choice(DESTS)
    return f'{source} {dest if dest.endswith("/") or " " not in source else dest + "/"}'


def copy(rng):
    line = f'COPY {flags(rng)} {one_of(rng)}'
    return line.replace(' . ', ' ** ') if '--parents' in line else line


def from_stage(rng, stages):
    if rng.random() < .1:
        return f'COPY --from=other:1 {flags(rng)} /o* /p/'
    source = rng.choice(['/o*', '/o/', '/o*/*', '/o*/b', '/[opt]*/', '/$V*', '/o/*$W*'])
    return f'COPY --from={rng.choice(stages)} {flags(rng)} {source} {rng.choice(["/p/", "/o/", "/q/r/", "/p/$V/"])}'


def here(rng):
    quoted = rng.choice(['f', '"f"'])
    body = rng.choice(['1', '2', '$V', '${W}x', '$V$W'])
    two = f'<<{quoted} <<g /o/\n{body}\nf\n{rng.choice("12")}\ng'
    return f'COPY {flags(rng, False)} ' + rng.choice([two, f'<<{quoted} {rng.choice(["/o/f", "/o/", "/o/b", "/o/$V"])}\n{body}\nf'])


def bind(rng, stages):
    show = rng.choice([SHOW.format('/m'), 'cp -a /m /o 2>/dev/null || :', CAT.format('/m/a /m/b', '/mb')])
    mode = rng.choice(['', '', ',rw'])
    if stages:
        source = rng.choice(['/o', '/o', '/', '/o/../o'])
        if source == '/':
            show = SHOW.format('/m/o')
        return f'RUN --mount=type=bind,from={rng.choice(stages)},source={source},target=/m{mode} {show}'
    return f'RUN --mount=type=bind{rng.choice(["", ",source=d", ",source=.", ",source=a", ",source=$V"])},target=/m{mode} {show}'


def script(rng):
    return rng.choice(['RUN <<E\n#!/bin/sh\necho $V >/script; test -f /o/a && cat /o/a >>/script\ntrue\nE',
                       'RUN cat <<E >/o.txt\n$V ${W}\nE', 'RUN <<"E" sh\necho $W $V >/sh\nE'])


def instruction(rng, stages, runs=True):
    form = rng.choice(FORMS if runs else ['copy', 'copy', 'from', 'add_tar', 'workdir', 'arg', 'env', 'here'])
    if form in ('from', 'bind_from') and not stages:
        form = 'copy'
    made = {
        'copy': lambda: copy(rng),
        'from': lambda: from_stage(rng, stages),
        'add': lambda: f'ADD {flags(rng, False)} {one_of(rng)}',
        'add_tar': lambda: f'ADD {flags(rng, False)} {rng.choice(["", "--unpack=false "])}t.tar {rng.choice(["/o/", "/o", "/u/", "/u/$V/"])}',
        'tar_and': lambda: f'ADD {flags(rng, False)} {" ".join(rng.sample(["t.tar", "[a]*", "b*", "[d]/", "t*"], 3))} /o/',
        'here': lambda: here(rng),
        'bind': lambda: bind(rng, []),
        'bind_from': lambda: bind(rng, stages),
        'workdir': lambda: f'WORKDIR {rng.choice(["/o", "x/y", "/w", "b", "/w/$V", "${W}"])}',
        'arg': lambda: f'ARG {rng.choice("VW")}' + rng.choice(['', f'={rng.choice(VALUES)}', f'={rng.choice(VALUES)}']),
        'env': lambda: f'ENV {rng.choice("VW")}={rng.choice(VALUES + ["$V", "${W}b"])}',
        'run': lambda: f'RUN {rng.choice(RUNS)}' + rng.choice(['', '', '; echo "$V-$W" >/vars']),
        'run_here': lambda: f'RUN <<E\n{rng.choice(RUNS)}\n{rng.choice(RUNS)}\nE',
        'script': lambda: script(rng),
        'user': lambda: f'USER {rng.choice(["root", "0:0", "root:staff"])}',
        'label': lambda: f'LABEL l={rng.choice("$xy")}V',
    }
    return made[form]()


def stage_of(rng, number):
    bases = ['base:1'] * 3 + ['moved:1', 'other:1'] + (['scratch'] if number == 0 else [f's{number - 1}', 's0'])
    base = rng.choice(bases)
    return f'FROM {base} AS s{number}', base not in ('scratch', 's0', 's1')


def has_shell(lines, k):
    """Whether a RUN can be in the stage of line k: scratch, and what may be on it, has no shell."""
    while not lines[k].startswith('FROM'):
        k -= 1
    return ':1' in lines[k]


def begins_with(rng, stages):
    """What makes most edits count: files of the context, and of the stages before, which are not built otherwise."""
    lines = []
    if rng.random() < (.3 if stages else .8):
        lines.append(f'COPY {rng.choice([".", ".", "?", "*", "*.txt d", "[ab]*"])} {rng.choice(["/o/", "/o/", "/o/$V/"])}')
    if stages and rng.random() < .6:
        lines.append(rng.choice(['COPY --from={} /o* /o/', 'COPY --from={} /[oqs]* /p/']).format(rng.choice(stages)))
    return lines


def dockerfile(rng):
    lines, stages = [], []
    if rng.random() < .3:
        lines.append(f'ARG V={rng.choice(VALUES)}')
    for number in range(rng.choice([1, 2, 2, 3])):
        line, runs = stage_of(rng, number)
        lines.append(line)
        lines += [text for text in ('ARG V=a', 'ARG V', 'ENV W=b', 'ENV W=$V') if rng.random() < .25]
        lines += begins_with(rng, stages)
        lines += [instruction(rng, stages, runs) for _ in range(rng.randrange(1, 5))]
        if runs and rng.random() < .6:
            lines.append('RUN ' + rng.choice(LOOKS) + rng.choice(['', '; echo "$V-$W" >/vars']))
        stages.append(f's{number}')
    return lines


def looks_at_all(lines):
    """Whether an instruction sees every name of the context."""
    for line in lines:
        words = line.split('\n')[0].split()
        if words[0] in ('COPY', 'ADD') and '--from' not in line and {'.', '**', '*', '*$V*', '??*', '${V:-[ab]}*'} & set(words):
            return True
        if 'type=bind' in line and 'from=' not in line and 'source=d' not in line and 'source=a' not in line:
            return True
    return False


def edit_instructions(rng, lines):
    """One instruction more, less, or two in another order: the rest meets another image below."""
    at = [k for k, line in enumerate(lines) if not line.startswith('FROM') and k > 0 and any(x.startswith('FROM') for x in lines[:k])]
    if not at:
        return None
    k = rng.choice(at)
    how = rng.choice(['more', 'less', 'swap'])
    if how == 'less' and len(at) > 2:
        return f'without {lines.pop(k)!r}'
    if how == 'swap' and k + 1 in at:
        lines[k], lines[k + 1] = lines[k + 1], lines[k]
        return f'{lines[k]!r} before {lines[k + 1]!r}'
    stages = [line.split()[-1] for line in lines[:k] if line.startswith('FROM')][:-1]
    lines.insert(k, instruction(rng, stages, has_shell(lines, k)))
    return f'new {lines[k]!r}'


def edit_value(rng, lines):
    """The default of an ARG, the value of an ENV."""
    at = [k for k, line in enumerate(lines) if line.startswith(('ARG', 'ENV'))]
    if not at:
        return None
    k = rng.choice(at)
    lines[k] = lines[k].split('=')[0] + '=' + rng.choice(VALUES)
    return lines[k]


def edit_base(rng, lines):
    at = [k for k, line in enumerate(lines) if line.startswith('FROM') and ':1' in line]
    if not at:
        return None
    k = rng.choice(at)
    words = lines[k].split()
    words[1] = rng.choice(['base:1', 'other:1', 'moved:1'])
    lines[k] = ' '.join(words)
    return lines[k]


def insert(rng, lines, line):
    """At any place behind the first FROM."""
    first = next(k for k, text in enumerate(lines) if text.startswith('FROM'))
    lines.insert(rng.randrange(first + 1, len(lines) + 1), line)
    return line
