"""What the steps of the last build gave, out of a store: read from its index and its listings (docs/listing-format.md)."""
import hashlib
import json
import os
import sqlite3
import struct

RECORD = struct.Struct('<IHHBBHIIIQq32sIII')  # 84 bytes


def blob(store, digest):
    with open(os.path.join(store, 'blobs/sha256', digest.hex()[:2], digest.hex()), 'rb') as f:
        return f.read()


def listing(data):
    """path -> what is there, times aside; and which names are one file."""
    assert data[:8] == b'shalelst'
    n_entries, n_xattrs = struct.unpack_from('<II', data, 12)
    at_xattrs = 64 + n_entries * RECORD.size
    pool = at_xattrs + n_xattrs * 12

    def text(at, n):
        return data[pool + at:pool + at + n].decode(errors='backslashreplace')

    def c_text(at):
        return data[pool + at:data.index(b'\0', pool + at)].decode(errors='backslashreplace')

    paths, found = [], {}
    for i in range(n_entries):
        (path, path_n, mode, kind, flags, n_x, uid, gid, _ns, size, _s, content, a, b, first) = RECORD.unpack_from(data, 64 + i * RECORD.size)
        kind = chr(kind)
        entry = {'type': kind, 'mode': f'{mode:04o}', 'owner': f'{uid}:{gid}', 'opaque': flags & 1}
        if kind == 'f':
            entry.update(size=size, sha256=content.hex(), link_of=paths[a - 1] if a else '')
        elif kind == 'l':
            entry['to'] = text(a, b)
        elif kind in 'cb':
            entry['device'] = (a, b)
        xattrs = {}
        for k in range(first, first + n_x):
            name, value, value_n = struct.unpack_from('<III', data, at_xattrs + 12 * k)
            xattrs[c_text(name)] = data[pool + value:pool + value + value_n].hex()
        entry['xattrs'] = xattrs
        paths.append(text(path, path_n))
        found[paths[-1]] = entry
    return found


def results(store, keys):
    """key -> what the step gave: its layer's entries and what it printed."""
    db = sqlite3.connect(os.path.join(store, 'shale.db'))
    gave = {}
    for key in keys:
        row = db.execute('SELECT layers.listing, records.layer IS NULL, output FROM records LEFT JOIN layers ON records.layer = layers.diff '
                         'WHERE key = ?', (bytes.fromhex(key),)).fetchone()
        if row is None:
            gave[key] = {'error': 'the index has no record of the step'}
        else:
            entries = {} if row[1] else listing(blob(store, row[0]))
            gave[key] = {'layer': entries, 'printed': hashlib.sha256(blob(store, row[2])).hexdigest() if row[2] else ''}
    db.close()
    return gave


def difference(got, want):
    """Lines: where they differ."""
    if 'error' in got or 'error' in want or got['printed'] != want['printed']:
        return [json.dumps(x) for x in ({k: v for k, v in got.items() if k != 'layer'}, {k: v for k, v in want.items() if k != 'layer'})]
    lines = []
    for path in sorted(set(got['layer']) | set(want['layer'])):
        one, two = got['layer'].get(path), want['layer'].get(path)
        if one != two:
            lines.append(f'/{path}: {json.dumps(one)}; untraced {json.dumps(two)}')
    return lines
