"""The base image of the harness: busybox, python3, make and a C compiler's first half, with the libraries they load.

Everything comes from the machine that the tests run on, at the paths it has there, so nothing is fetched and the image is made in
a moment. Of python only the modules that the commands import are taken, with their compiled forms.
"""
import os
import re
import shutil
import subprocess
import sys

MODULES = 'site sysconfig compileall py_compile tarfile zipfile zipimport stat fnmatch glob json mmap ctypes hashlib runpy pkgutil ' \
          'configparser shutil importlib.util importlib.resources struct fcntl'
DIRECTORIES = ['bin', 'etc', 'out', 'tmp', 'var/lib', 'usr/local/bin', 'usr/local/lib']


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(program):
    """What the dynamic loader brings in for it, itself included."""
    r = subprocess.run(['ldd', program], capture_output=True, text=True, check=False)
    return re.findall(r'(/\S+)', '\n'.join(line.split('=>')[-1] for line in r.stdout.splitlines()))


def python_files():
    """The interpreter, and the files of the modules."""
    program = f'import {", ".join(MODULES.split())}\n' + '''
import os, sys
print(os.path.realpath(sys.executable), os.__file__, sep="\\n")
for m in list(sys.modules.values()):
    spec = getattr(m, "__spec__", None)
    for path in (spec.origin, spec.cached) if spec else ():
        if path and os.path.isabs(path) and os.path.exists(path) and "site-packages" not in path and "dist-packages" not in path:
            print(path)
'''
    return said(sys.executable, '-I', '-c', program).split('\n')


class Root:
    def __init__(self, top):
        self.top = top
        for directory in DIRECTORIES:
            os.makedirs(os.path.join(top, directory))

    def path(self, name):
        return os.path.join(self.top, name.lstrip('/'))

    def take(self, name):
        """A file of this machine, where it is there; through its links."""
        if os.path.lexists(self.path(name)):
            return
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        shutil.copy2(name, self.path(name))

    def program(self, name, source):
        self.take(source)
        for library in libraries(source):
            self.take(library)
        if not os.path.lexists(self.path('bin/' + name)):
            os.symlink(source, self.path('bin/' + name))

    def python(self):
        files = [f for f in python_files() if f]
        self.program('python3', files[0])
        for path in files[1:]:
            self.take(path)
            for library in libraries(path) if path.endswith('.so') else ():
                self.take(library)
        # where the interpreter finds itself, it finds its modules
        os.makedirs(os.path.join(os.path.dirname(self.path(files[1])), 'lib-dynload'), exist_ok=True)

    def take_busybox(self):
        os.makedirs(self.path('bin'), exist_ok=True)
        shutil.copy2(os.path.realpath(shutil.which('busybox')), self.path('bin/busybox'))

    def busybox(self):
        """Its applets, where there is no other program of the name."""
        for applet in said(self.path('bin/busybox'), '--list').split():
            if not os.path.lexists(self.path('bin/' + applet)):
                os.symlink('busybox', self.path('bin/' + applet))

    def text(self, name, *lines):
        with open(self.path(name), 'w', encoding='ascii') as f:
            f.writelines(line + '\n' for line in lines)


def make(top):
    """Fills the empty directory top."""
    root = Root(top)
    root.take_busybox()
    root.program('make', os.path.realpath(shutil.which('make')))
    root.program('cc1', os.path.realpath(said('gcc', '-print-prog-name=cc1').strip()))
    root.python()
    root.busybox()
    root.text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh', 'app:x:1000:1001:app:/:/bin/sh')
    root.text('etc/group', 'root:x:0:', 'app:x:1001:')
    os.chmod(root.path('tmp'), 0o1777)
    os.chmod(root.path('out'), 0o1777)
