#!/usr/bin/env python3
"""installers.py apt|pip|npm DIRECTORY: fills the empty directory with a base image in which that installer really installs.

The installer is the machine's own, and what it installs is made here and lies in /repo: the package "left", version 1.0. So nothing
is fetched. Ends with 77 where the machine has no such installer.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import base

LEFT_OUT = shutil.ignore_patterns('test', 'tests', 'site-packages', 'dist-packages', 'config-*', 'idlelib', 'tkinter', 'lib2to3',
                                  'turtledemo', 'ensurepip', 'EXTERNALLY-MANAGED')
APT_METHODS = '/usr/lib/apt/methods'


def absent(what):
    print(what)
    sys.exit(77)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def apt(root):
    """apt-get and dpkg, a repository in a folder, and no package that is installed."""
    for name in ('apt-get', 'apt-config', 'dpkg', 'dpkg-deb', 'dpkg-split', 'dpkg-query', 'tar', 'ldconfig', 'start-stop-daemon'):
        source = shutil.which(name) or absent(f'there is no {name} here')
        root.program(name, os.path.realpath(source))
        for library in base.libraries(source):
            root.take(library)
    for name in ('file', 'copy', 'store', 'gpgv'):
        root.program('method-' + name, os.path.join(APT_METHODS, name))
    for directory in ('etc/apt/apt.conf.d', 'etc/apt/preferences.d', 'etc/apt/trusted.gpg.d', 'var/lib/apt/lists/partial', 'var/log/apt',
                      'var/cache/apt/archives/partial', 'var/lib/dpkg/updates', 'var/lib/dpkg/info', 'etc/dpkg/dpkg.cfg.d', 'usr/share'):
        os.makedirs(root.path(directory), exist_ok=True)
    for name in ('cputable', 'ostable', 'tupletable'):
        root.take('/usr/share/dpkg/' + name)
    root.text('var/lib/dpkg/status')
    root.text('etc/apt/sources.list', 'deb [trusted=yes] file:/repo ./')
    root.text('etc/apt/apt.conf.d/50root', 'APT::Sandbox::User "root";', 'Dir::Bin::methods "' + APT_METHODS + '";')
    package = root.path('tmp/left')
    control = 'Package: left\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a package\n'
    write(os.path.join(package, 'DEBIAN/control'), control)
    write(os.path.join(package, 'usr/share/left/installed'), '1.0\n')
    os.makedirs(root.path('repo'))
    deb = root.path('repo/left.deb')
    base.said('dpkg-deb', '--root-owner-group', '-Zgzip', '--build', package, deb)
    shutil.rmtree(package)
    with open(deb, 'rb') as f:
        data = f.read()
    write(root.path('repo/Packages'), f'{control}Filename: ./left.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n')


def pip(root):
    """python3 with its library and pip; a wheel."""
    try:
        import pip as found
    except ImportError:
        absent('there is no pip here')
    root.python()
    library = sysconfig.get_path('stdlib')
    shutil.copytree(library, root.path(library), ignore=LEFT_OUT, dirs_exist_ok=True)
    where = os.path.dirname(found.__file__)
    shutil.copytree(where, root.path(where), dirs_exist_ok=True)
    # as pip puts it there; `python -m pip` would list the working directory
    root.text('usr/local/bin/pip', '#!/bin/python3', 'import sys', 'from pip._internal.cli.main import main', 'sys.exit(main())')
    os.chmod(root.path('usr/local/bin/pip'), 0o755)
    for directory, _, names in os.walk(root.path(os.path.join(library, 'lib-dynload'))):
        for name in names:
            for needed in base.libraries(os.path.join(directory, name)):
                root.take(needed)
    os.makedirs(root.path('repo'))
    with zipfile.ZipFile(root.path('repo/left-1.0-py3-none-any.whl'), 'w') as wheel:
        wheel.writestr('left.py', 'VERSION = "1.0"\n')
        wheel.writestr('left-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: left\nVersion: 1.0\n')
        wheel.writestr('left-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr('left-1.0.dist-info/RECORD', ''.join(f'{n},,\n' for n in wheel.namelist()) + 'left-1.0.dist-info/RECORD,,\n')


def npm(root):
    """node and npm; a package as npm packs it."""
    program = shutil.which('npm') or absent('there is no npm here')
    node = shutil.which('node') or absent('there is no node here')
    root.program('node', os.path.realpath(node))
    start = os.path.realpath(program)
    where = start[:start.rindex('/bin/')]
    shutil.copytree(where, root.path(where), symlinks=True)
    os.symlink(start, root.path('bin/npm'))
    os.symlink('/bin/node', root.path('usr/local/bin/node'))
    os.makedirs(root.path('usr/bin'), exist_ok=True)
    os.symlink('/bin/busybox', root.path('usr/bin/env'))
    package = root.path('tmp/package')
    write(os.path.join(package, 'package.json'), '{"name":"left","version":"1.0.0","main":"index.js"}\n')
    write(os.path.join(package, 'index.js'), 'module.exports = 1\n')
    os.makedirs(root.path('repo'))
    base.said('tar', '-C', root.path('tmp'), '-czf', root.path('repo/left.tgz'), 'package')
    shutil.rmtree(package)


def main():
    root = base.Root(sys.argv[2])
    root.take_busybox()
    {'apt': apt, 'pip': pip, 'npm': npm}[sys.argv[1]](root)
    root.busybox()


if __name__ == '__main__':
    main()
