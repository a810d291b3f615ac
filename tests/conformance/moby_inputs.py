"""What the Go source of corpus 07 has besides its Dockerfiles: contexts, arguments, values, and whether a build passes
and hits the cache. BUILDS: case -> its builds in order.
"""

import gzip
import io
import tarfile


KEYS = frozenset("owners values args env filename context stdin tag fails says has lacks content config outside like "
                 "unlike".split())


def build(number=0, files=None, **more):
    """number: of the Dockerfile; files: the context, a tuple is a link's target, a function is given the case's folder;
    owners: of files; values: of verbs in order, or of "@{...}"; args: arguments; env: our environment; filename: as -f;
    context: instead of a directory; stdin: the context as a tar; tag: keeps the image; fails: whether it must; says:
    lines of expect.tsv whose literals it must say; has, lacks: file of the result -> such a line; content: file ->
    what it holds; config: field of the image's configuration -> what the Dockerfile's own text or the arguments make it,
    for cases of which the corpus has the comparison but not the value; of Env and Labels those that must be among them;
    outside: what it must not make; like, unlike: number of an earlier build whose image this is, or is not."""
    if set(more) - KEYS:
        raise TypeError(f"no such key: {set(more) - KEYS}")
    return dict(more, number=number, files=files or {})


def tar(files, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                member.type, member.linkname = tarfile.SYMTYPE, data[0]
                t.addfile(member)
            else:
                member.size, member.mode = len(data), 0o644
                t.addfile(member, io.BytesIO(data.encode()))
    return out.getvalue()


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UP = "/../../../../../../../../../../../../../.."
MINIMAL = {"@{minimalBaseImage()}": "scratch"}
HI = {"test/foo": "Hi"}
IGNORED = {
    "Makefile": "all:", ".git/HEAD": "ref: foo", "src/x.go": "package main", "src/_vendor/v.go": "package main",
    "dir/foo": "", "dir/foo1": "", "dir/dir/f1": "", "dir/dir/foo": "", "dir/e": "", "dir/e-dir/foo": "",
    ".gitignore": "", "README.md": "readme", "dir/a.cc": "", "foo": "",
}
WILD = {name: "" for name in (
    "file0 dir1/file0 dir1/dir2/file0 file1 dir1/file1 dir1/dir2/file1 dir1/file2 dir1/dir2/file2 dir1/dir2/file4 "
    "dir1/dir2/file5 dir1/dir2/file6 dir1/dir3/file7 dir1/dir3/file8 dir1/dir4/file9 dir1/dir5/fileAA "
    "dir1/dir5/fileAB dir1/dir5/fileB").split()}
WILD[".dockerignore"] = """
**/file0
**/*file1
**/dir1/file2
dir1/**/file3
**/dir2/file4
**/dir2/file5
**/dir1/dir2/file6
dir1/dir3/**
**/dir4/**
**/file?A
**/file\\?B
**/dir5/file.
"""

BUILDS = {
    "TestBuildAPIBuildGitWithF": [build(0, says=[170])],
    "TestBuildAPILowerDockerfile": [build(0, says=[148])],
    "TestBuildAPIUnnormalizedTarPaths": [
        build(files={"dir/file": "Hello"}, stdin=True, tag="a"),
        build(files={"./dir/file": "Hello"}, stdin=True, tag="b", like=0)],
    "TestBuildAddBadLinks": [build(files={
        "links.tar": lambda where: tar({"symlink": (UP + where + "/out",)}), "foo.txt": "foo"}, outside="out/foo.txt")],
    "TestBuildAddBadLinksVolume": [build(values=["{dir}/out"], files={"foo.txt": "foo"}, outside="out/foo.txt")],
    "TestBuildAddBrokenTar": [build(files={"test.tar": tar({"test/foo": "H" * 20000})[:9000]}, fails=True)],
    "TestBuildAddCacheOnFileChange": [
        build(files={"file": "foo"}, tag="a"), build(files={"file": "foo"}, tag="b", like=0),
        build(files={"file": "bar"}, tag="c", unlike=0)],
    "TestBuildAddChangeOwnership": [build(files={"foo": ""})],
    "TestBuildAddCurrentDirWithCache": [
        build(values=MINIMAL, files={"foo": "hello"}, tag="a"),
        build(values=MINIMAL, files={"foo": "hello", "bar": "hello2"}, tag="b", unlike=0),
        build(values=MINIMAL, files={"foo": "hello1", "bar": "hello2"}, tag="c", unlike=1),
        build(values=MINIMAL, files={"foo": "hello1", "bar": "hello2"}, tag="d", like=2)],
    "TestBuildAddDirContentToRoot": [build(files={"test_dir/test_file": "test1"})],
    "TestBuildAddFileNotFound": [build(values=MINIMAL, fails=True)],
    "TestBuildAddOrCopyEtcToRootShouldNotConflict": [
        build(0, values=MINIMAL, files={"etc/test_file": "test1"}, content={"etc/test_file": "test1"}),
        build(1, values=MINIMAL, files={"etc/test_file": "test1"}, content={"etc/test_file": "test1"})],
    "TestBuildAddPreservesFilesSpecialBits": [build(files={"suidbin": "suidbin", "data/usr/test_file": "test1"})],
    "TestBuildAddScript": [build(files={"test": "#!/bin/sh\necho 'test!' > /testfile"})],
    "TestBuildAddSingleFileToNonExistingDir": [build(files={"test_file": "test1"})],
    "TestBuildAddSingleFileToRoot": [build(values=["-rw-r--r--"], files={"test_file": "test1"})],
    "TestBuildAddTarXz": [build(files={"test.tar.xz": tar(HI, "w:xz")})],
    "TestBuildAddTarXzGz": [build(files={"test.tar.xz.gz": gzip.compress(tar(HI, "w:xz"))})],
    "TestBuildBlankName": [
        build(values={"@{tc.expression}": text}, fails=True)
        for text in ("ENV =", "LABEL =", "ENV =foo", "LABEL =foo")],
    "TestBuildBuildTimeArgCacheHit": [
        build(values=["foo", "foo"], args=["--build-arg=foo=bar"], tag="a"),
        build(values=["foo", "foo"], args=["--build-arg=foo=bar"], tag="b", like=0)],
    "TestBuildBuildTimeArgCacheMissExtraArg": [
        build(values=["foo", "foo1", "foo"], args=["--build-arg=foo=bar"], tag="a"),
        build(values=["foo", "foo1", "foo"], args=["--build-arg=foo=bar", "--build-arg=foo1=bar1"], tag="b", unlike=0)],
    "TestBuildBuildTimeArgCacheMissSameArgDiffVal": [
        build(values=["foo", "foo"], args=["--build-arg=foo=bar"], tag="a"),
        build(values=["foo", "foo"], args=["--build-arg=foo=newbar"], tag="b", unlike=0)],
    "TestBuildBuildTimeArgDefaultOverride": [
        build(values=["foo", "bar", "foo", "foo", "foo", "foo"], args=["--build-arg=foo=barOverride"], tag="a")],
    "TestBuildBuildTimeArgEnv": [build(args=[
        "--build-arg=FOO1=fromcmd", "--build-arg=FOO2=", "--build-arg=FOO3", "--build-arg=FOO4",
        "--build-arg=FOO5=fromcmd", "--build-arg=FOO6", "--build-arg=FO10"], env={"FOO1": "fromenv", "FOO2": "fromenv", "FOO3": "fromenv"})],
    "TestBuildBuildTimeArgExpansionOverride": [
        build(values=["foo", "foo", "barEnv", "foo1", "foo", "foo1", "foo1"], args=["--build-arg=foo=bar"], tag="a")],
    "TestBuildBuildTimeArgHistory": [build(values=["foo", "bar"], tag="a")],
    "TestBuildBuildTimeArgOverrideArgDefinedBeforeEnv": [
        build(values=["foo", "foo", "barOverride", "foo", "foo"], args=["--build-arg=foo=bar"], tag="a")],
    "TestBuildBuildTimeArgQuotedValVariants": [build(values=[
        "FOO", "FOO1", "FOO2", "FOO3", "FOO", "FOO2", "FOO", "FOO3", "FOO1", "FOO2", "FOO1", "FOO3", "FOO2", "FOO3"])],
    "TestBuildBuildTimeArgUntrustedDefinedAfterUse": [
        build(values=["foo", "foo", "foo"], args=["--build-arg=foo=bar"], tag="a")],
    "TestBuildChownSingleFile": [build(files={"test": "test"}, owners={"test": 4242})],
    "TestBuildCleanupCmdOnEntrypoint": [
        build(0, values=MINIMAL, tag="cleanup1", config={"Cmd": ["test"], "Entrypoint": ["echo"]}),
        build(1, values=["cleanup1"], tag="cleanup2", config={"Cmd": None, "Entrypoint": ["cat"]})],
    "TestBuildClearCmd": [build(values=MINIMAL, tag="a", config={"Cmd": None, "Entrypoint": ["/bin/bash"]})],
    "TestBuildCmd": [build(values=MINIMAL, tag="a", config={"Cmd": ["/bin/echo", "Hello World"]})],
    "TestBuildCmdJSONNoShDashC": [build(tag="a", config={"Cmd": ["echo", "cmd"]})],
    "TestBuildCommentsShebangs": [build()],
    "TestBuildContextCleanupFailedBuild": [build(values=MINIMAL, fails=True)],
    "TestBuildCopyCacheOnFileChange": [
        build(files={"file": "foo"}, tag="a"), build(files={"file": "foo"}, tag="b", like=0),
        build(files={"file": "bar"}, tag="c", unlike=0)],
    "TestBuildCopyDirContentToExistDir": [build(files={"test_dir/test_file": "test1"})],
    "TestBuildCopyDirContentToRoot": [build(files={"test_dir/test_file": "test1"})],
    "TestBuildCopySingleFileToExistDir": [build(files={"test_file": "test1"})],
    "TestBuildCopySingleFileToNonExistDir": [build(files={"test_file": "test1"})],
    "TestBuildCopySingleFileToRoot": [build(values=["-rw-r--r--"], files={"test_file": "test1"})],
    "TestBuildCopyWildcardInName": [build(files={"*.txt": "hi there"})],
    "TestBuildDeleteCommittedFile": [build()],
    "TestBuildDockerfileStdin": [build(files={"foo": "bar"}, stdin=True, tag="a", config={"Cmd": ["cat", "/foo"]})],
    "TestBuildDockerignoreCleanPaths": [build(files={
        "foo": "foo", "foo2": "foo2", "dir1/foo": "foo in dir1", ".dockerignore": "./foo\ndir1//foo\n./dir1/../foo2"})],
    "TestBuildDockerignoreExceptions": [build(files=dict(IGNORED, **{
        ".dockerignore": ".git\npkg\n.gitignore\nsrc/_vendor\n*.md\n**/foo\n!dir/dir/foo\n!dir/e-dir/foo\n"
                         "dir/foo1\n!dir/a.cc\n"}))],
    "TestBuildDockerignoringBadExclusion": [build(files={
        "Makefile": "all:", ".gitignore": "", ".dockerignore": "!\n"}, fails=True)],
    "TestBuildDockerignoringDockerfile": [
        build(files={".dockerignore": "Dockerfile\n"}), build(files={".dockerignore": "./Dockerfile\n"})],
    "TestBuildDockerignoringOnlyDotfiles": [
        build(files={"Makefile": "all:", ".gitignore": "", ".dockerignore": ".*"})],
    "TestBuildDockerignoringRenamedDockerfile": [
        build(files={"Dockerfile": "Should not use me", ".dockerignore": "MyDockerfile\n"}, filename="MyDockerfile"),
        build(files={"Dockerfile": "Should not use me", ".dockerignore": "./MyDockerfile\n"}, filename="MyDockerfile")],
    "TestBuildDockerignoringWildDirs": [build(files=WILD)],
    "TestBuildDockerignoringWildTopDir": [
        build(files={"Dockerfile": "FROM scratch", "file1": "", "dir/dfile1": "", ".dockerignore": text})
        for text in ("**", "**/", "**/**", "**/**/")],
    "TestBuildDotDotFile": [build(filename="../dotdot.Dockerfile")],
    "TestBuildEOLInLine": [build()],
    "TestBuildEmptyCmd": [build(values=MINIMAL, tag="a", config={"Cmd": None})],
    "TestBuildEmptyEntrypointInheritance": [
        build(0, tag="empty1", config={"Entrypoint": ["/bin/echo"]}),
        build(1, values=["empty1"], tag="empty2", config={"Entrypoint": None})],
    "TestBuildEntrypoint": [build(values=MINIMAL, tag="a", config={"Entrypoint": ["/bin/echo"], "Cmd": None})],
    "TestBuildEntrypointRunCleanup": [
        build(0, tag="a", config={"Cmd": ["sh"]}), build(1, files={"foo": "hello"}, tag="b", config={"Cmd": None})],
    "TestBuildEnv": [build(tag="a", config={"Env": ["PATH=/test:" + PATH, "PORT=2375"]})],
    "TestBuildEnvOverwrite": [build(tag="a", config={"Env": ["TEST=foo"]})],
    "TestBuildEnvUsage": [build(files={"hello/docker/world": "hello"})],
    "TestBuildEnvironmentReplacementAddCopy": [
        build(values=MINIMAL, files={"foo": "test1", "bar": "test2", "fff": "test3", "ggg": "test4"},
              content={"foo": "test1", "bar": "test2", "fff": "test3", "ggg": "test4"})],
    "TestBuildEnvironmentReplacementEnv": [build(tag="a", config={"Env": [
        "bar=zzz", "env1=zzz", "env2=zzz", "env3=zzz", "env4=zzz", "abc1=$foo", "abc2=$foo", "abc3=$foo", "abc4=$foo"]})],
    "TestBuildEnvironmentReplacementExpose": [
        build(tag="a", config={"ExposedPorts": {"80/tcp": {}, "99/tcp": {}, "100/tcp": {}}})],
    "TestBuildEnvironmentReplacementWorkdir": [build(tag="a", config={"WorkingDir": "/work"})],
    "TestBuildExposeUpperCaseProto": [build(tag="a", config={"ExposedPorts": {"5678/udp": {}}})],
    "TestBuildFails": [build(fails=True)],
    "TestBuildFollowSymlinkToFile": [
        build(files={"foo": "bar", "asymlink": ("foo",)}, content={"target": "bar"}),
        build(files={"foo": "baz", "asymlink": ("foo",)}, content={"target": "baz"})],
    "TestBuildFollowSymlinkToDir": [
        build(files={"foo/abc": "bar", "foo/def": "baz", "asymlink": ("foo",)}, content={"abc": "bar", "def": "baz"}),
        build(files={"foo/abc": "bar", "foo/def": "bax", "asymlink": ("foo",)}, content={"abc": "bar", "def": "bax"})],
    "TestBuildFromGitWithContext": [build(files={"first": "test git data"}, tag="a")],
    "TestBuildFromMixedcaseDockerfile": [build(0, filename="dockerfile")],
    "TestBuildFromOfficialNames": [
        build(values={"@{fromName}": name}) for name in (
            "busybox", "docker.io/busybox", "index.docker.io/busybox", "library/busybox", "docker.io/library/busybox",
            "index.docker.io/library/busybox")],
    "TestBuildHandleEscapesInVolume": [
        build(values=[text], tag=f"v{n}", config={"Volumes": {volume: {}}}) for n, (text, volume) in enumerate((
            ("${FOO}", "bar"), ("\\${FOO}", "${FOO}"), ("\\\\\\${FOO}", "\\${FOO}")))],
    "TestBuildIidFileCleanupOnFail": [build(values=MINIMAL, fails=True)],
    "TestBuildIntermediateTarget": [
        build(args=["--target=build-env"], tag="a"),
        build(args=["--target=BUIld-EnV"], tag="b"),
        build(args=["--target=nosuchtarget"], tag="c", fails=True)],
    "TestBuildInvalidTag": [build(values=MINIMAL, args=["-t", "testbuildinvalidtag?$!"], fails=True)],
    "TestBuildLabelCacheCommit": [
        build(values=MINIMAL, args=["--label=foo=bar"], tag="a", config={"Labels": {"default": "foo", "foo": "bar"}})],
    "TestBuildLabelMultiple": [
        build(values=MINIMAL, args=["--label=foo=bar", "--label=123=456"], tag="a",
              config={"Labels": {"default": "foo", "foo": "bar", "123": "456"}})],
    "TestBuildLabelOneNode": [build(args=["--label=foo=bar"], tag="a", config={"Labels": {"foo": "bar"}})],
    "TestBuildLabelWithTargets": [
        build(args=["--target=target-a", "--label=foo=bar"], tag="a",
              config={"Labels": {"label-a": "inline-a", "foo": "bar"}, "Cmd": ["/dev"]}),
        build(args=["--target=target-b", "--label=foo=bar"], tag="b",
              config={"Labels": {"label-b": "inline-b", "foo": "bar"}, "Cmd": ["/dist"]})],
    "TestBuildLabelsCache": [
        build(0, tag="a"), build(0, tag="b", like=0), build(1, tag="c", unlike=0), build(2, tag="d", like=0),
        build(3, tag="e", unlike=0)],
    "TestBuildLineErrorOnBuild": [build(fails=True)],
    "TestBuildLineErrorWithComments": [
        build(fails=True)],
    "TestBuildMaintainer": [build(values=MINIMAL, tag="a")],
    "TestBuildModifyFileInFolder": [
        build(files={"folder/file": "first"}, tag="a"), build(files={"folder/file": "second"}, tag="b", unlike=0)],
    "TestBuildMultiStageArg": [build(args=["--build-arg=stage_1_arg=A", "--build-arg=stage_2_arg=BBBB"],
                                     has={"out": 4626}, lacks={"out": 4625})],
    "TestBuildMultiStageCopyFromErrors": [
        build(0, files={"foo": "abc"}, fails=True),
        build(1, files={"foo": "abc"}, fails=True),
        build(2, files={"foo": "abc"}, fails=True),
        build(3, files={"foo": "abc"}, fails=True)],
    "TestBuildMultiStageCopyFromSyntax": [
        build(values=[""], files={"foo": "abc", "bar": "def", "baz/aa": "", "baz/bb": "", "Dockerfile": ""},
              content={"bar": "def", "sub/cc": "mno\n", "baz": "abc", "bay": "abc"})],
    "TestBuildMultiStageImplicitFrom": [build(0)],
    "TestBuildMultiStageImplicitPull": [
        build(0, files={"foo": "abc"}, tag="case/testf"), build(1, values=["case/testf"], content={"baz": "abc"})],
    "TestBuildMultiStageLayerLeak": [build(files={"foo": "0", "bar": "1"})],
    "TestBuildMultiStageNameVariants": [build(files={"foo": "0"}, content={"f1": "01\n", "f2": "02\n"})],
    "TestBuildMultiStageParentConfig": [build(tag="a", says=[229])],
    "TestBuildNetNone": [build(args=["--network=none"], fails=True)],
    "TestBuildNoContext": [build(context="-", tag="a", config={"Cmd": ["echo", "ok"]})],
    "TestBuildNotVerboseFailureWithNonExistImage": [build(args=["-q"], fails=True)],
    "TestBuildNotVerboseSuccess": [build(args=["-q"])],
    "TestBuildOnBuildCmdEntrypointJSON": [
        build(0, tag="onbuildcmd"),
        build(1, values={"@{name1}": "onbuildcmd"}, tag="b", config={"Cmd": ["hello world"], "Entrypoint": ["echo"]})],
    "TestBuildOnBuildEntrypointJSON": [
        build(0, tag="onbuildgenerated"),
        build(1, values=["onbuildgenerated"], tag="b", config={"Cmd": ["hello world"], "Entrypoint": ["echo"]})],
    "TestBuildOnBuildLimitedInheritance": [
        build(0, tag="testonbuildtrigger1"), build(1, tag="testonbuildtrigger2"),
        build(2)],
    "TestBuildOnBuildOutput": [
        build(0, tag="onbuildoutput"), build(1, values={"@{name}": "onbuildoutput"})],
    "TestBuildPlatformInvalid": [build(args=["--platform=foobar"], fails=True, says=[674])],
    "TestBuildRelativeCopy": [build(files={"foo": "hello"})],
    "TestBuildRunShEntrypoint": [build()],
    "TestBuildSameDockerfileWithAndWithoutCache": [build(tag="a"), build(tag="b", like=0)],
    "TestBuildShCmdJSONEntrypoint": [
        build(tag="a", config={"Cmd": ["/bin/sh", "-c", "echo test"], "Entrypoint": ["echo"]})],
    "TestBuildShellEntrypoint": [build(tag="a", config={"Entrypoint": ["ls", "-l"], "Shell": ["ls"]})],
    "TestBuildShellMultiple": [build(tag="a", config={"Cmd": ["ls", "-l"], "Shell": ["ls"]})],
    "TestBuildShellNotJSON": [build(values=MINIMAL, fails=True)],
    "TestBuildSpaces": [build(n, fails=True) for n in range(4)],
    "TestBuildSpacesWithQuotes": [build()],
    "TestBuildSquashParent": [build(tag="a")],
    "TestBuildSymlinkBreakout": [
        build(values=MINIMAL, outside="out/inject", files={
            "symlink.tar": lambda where: tar({"symlink2": (UP,), "symlink": ("/symlink2" + where + "/out",)}),
            "inject": ""})],
    "TestBuildUncleanTarFilenames": [
        build(files={"../foo": "foocontents0", "/bar": "barcontents0"}, stdin=True, fails=True),  # as BuildKit
        build(files={"/bar": "barcontents0"}, stdin=True, content={"bar": "barcontents0"}),
        build(files={"/bar": "barcontents1"}, stdin=True, content={"bar": "barcontents1"})],
    "TestBuildUser": [build(tag="a", config={"User": "dockerio"})],
    "TestBuildVerifySingleQuoteFails": [
        build(tag="a", config={"Cmd": ["/bin/sh", "-c", "[ '/bin/sh', '-c', 'echo hi' ]"]})],
    "TestBuildVolumeFileExistsinContainer": [build()],
    "TestBuildWithTabs": [build(tag="a")],
    "TestBuildWithUTF8BOMDockerignore": [build(files={".dockerignore": "\ufeffDockerfile\n"})],
    "TestBuildWithVolumeOwnership": [build()],
    "TestBuildWithVolumes": [build(tag="a", config={"Volumes": {name: {} for name in (
        "/test1", "/test2", "/test3", "/test4", "/test5", "/test6", "[/test7", "/test8]")}})],
    "TestBuildWithFailure": [build(fails=True)],
    "TestBuildWorkdirImageCmd": [
        build(0, tag="a", config={"Cmd": ["sh"], "WorkingDir": "/foo/bar"}),
        build(1, tag="b", config={"Cmd": ["sh"], "WorkingDir": "/foo/bar", "Labels": {"a": "b"}})],
    "TestBuildWorkdirNoCacheMiss": [build(0, tag="a"), build(1, tag="b")],
}
