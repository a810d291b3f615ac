"""What the Go source of corpus 04 computes and its data therefore lacks: values for verbs and "@{...}", options that no
row has, servers, and which build a row belongs to where the lines do not say. Only inputs: every fact that is checked
is the corpus's own.

STEPS: case -> its builds in order. Each is at(LINE, ...): rows below LINE and above the build before are its context,
rows from LINE to the next build its options and facts. SERVERS: case -> what its own HTTP server has. In values and
arguments "{url}", "{port}", "{dir}", "{commit:NAME}", "{oci}" and "{digest}" stand for what the runner made.
"""

import gzip
import hashlib
import io
import tarfile

EPOCH = "1577836800"


KEYS = frozenset("all_capabilities args below change computed_options context differ dockerfile_stdin epoch fact_values "
                 "facts fails files fresh literal made modes named oci only_args others same same_id same_index stdin tag "
                 "values".split())


def at(line, dockerfile=None, **more):
    """dockerfile: number, or numbers to be joined; values: of verbs in order, or a dictionary of "@{...}" and "{{...}}";
    args: further arguments; files: context that rows do not hold; modes: of files; change: of the context before, None
    removes; named: named context -> names of the rows that make it; context: instead of a directory; stdin: the files
    of a context tar; below: directory of the output that the facts are about; fails: whether the build must; tag: keeps the image; oci: makes a layout; same,
    differ: path -> number of an earlier build; facts: (first, last line)."""
    if set(more) - KEYS:
        raise TypeError(f"no such key: {set(more) - KEYS}")
    return dict(more, line=line, dockerfile=dockerfile)


def archive(files, links=None, mtime=0):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(member)
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size, member.mtime = 0o644, len(text.encode()), mtime
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def targets(line, names, **more):
    return [at(line, args=[f"--target={name}"], **more) for name in names.split()]


TAR = archive({"foo": "content0"})
DATED = archive({"foo": "bar"}, mtime=int(EPOCH))
GZ = gzip.compress(TAR, mtime=0)
TAGS = [({"foo": f"foo of {tag}\n"}, tag) for tag in ("v0.0.1", "v0.0.2", "v0.0.3")]
CHMODS = (("f1", "file", "go-w"), ("f2", "file", "u=rw,g=r,o=r"), ("f3", "file", "a+X"), ("d1", "dir", "go-w"),
          ("d2", "dir", "u+rw,g+r,o-x,o+w"), ("d3", "dir", "a+X"))
CACHE_TO, CACHE_FROM = "--cache-to=type=local,mode=max,dest={dir}/cache", "--cache-from=type=local,src={dir}/cache"
REPO = {"{{.ServerURL}}": "{url}", "@{serverURL}": "{url}"}

SERVERS = {
    "export/testTarContextExternalDockerfile": {"/context.tar": archive({"foo": "contents"})},
    "add/testAddChecksum": {"/foo": "content1"},
    "add/testAddURLChmod": {"/foo": "content1"},
    "add/testDockerfileADDFromURL": {"/foo": "content1", "/": "content2", "modified": True},
    "add/testDockerfileAddArchive": {"/t.tar.gz": GZ},
    "addgit/testAddGit": {"git": TAGS},
    "addgit/testAddGitChecksumCache": {"git": TAGS[:2]},
    "exclude_patterns/testExcludedFilesOnCopy": {"git": [("context", "0.1")]},
    "git_http/testDockerfileFromGit": {"git": [("dockerfile", "first"),
                                               ("dockerfile", "second", "\nCOPY --from=build foo bar2\n")]},
    "git_http/testDockerfileFromHTTP": {"/myurl": ("tar", "mydockerfile", {"foo": "foo-contents"})},
    "git_http/testHTTPDockerfile": {"/df": ("dockerfile",)},
    "runnetwork/testRunGlobalNetwork": {"says": "foo"},
    "runnetwork/testRunHostNetwork": {"says": "foo"},
    "source_date_epoch/testSourceDateEpochContextGit": {"git": [("dockerfile", "first")]},
    "source_date_epoch/testSourceDateEpochContextHTTPArchive": {"/src.tar": ("tar", "Dockerfile", {"foo": "foo"})},
    "source_date_epoch/testSourceDateEpochContextHTTPLastModified": {
        "/src.tar": ("tar", "Dockerfile", {"foo": "foo"}), "modified": True},
    "source_date_epoch/testSourceDateEpochNamedContextHTTPArchive": {"/src.tar": DATED},
    "source_date_epoch/testSourceDateEpochNamedContextHTTPLastModified": {"/src.tar": DATED, "modified": True},
    "source_date_epoch/testSourceDateEpochStageHTTPArchive": {"/src.tar": DATED},
    "source_date_epoch/testSourceDateEpochStageOverride": {"/src.tar": DATED},
    "ssh/testSSHSocketParams": {"agent": True},
}

STEPS = {
    "add/testAddChecksum": [
        at(798, 0, values=["scratch", digest("content1"), "{url}/foo"]),
        at(817, 1, values=["scratch", digest("content1"), "{url}/foo"]),
        at(834, 0, values=["scratch", digest("content2"), "{url}/foo"], fails=True),
        at(851, 2, values=["scratch", "{url}/foo"], fails=True),
        at(868, 3, values=["scratch", "0" * 64, "{url}/foo"], fails=True),
        at(885, 0, values=["scratch", "0" * 64, "{url}/foo"], fails=True),
        at(904, 4, values=["scratch", digest("local file")], fails=True),
    ],
    "add/testAddURLChmod": [at(700, values=["{url}/foo"])],
    "add/testDockerfileADDFromURL": [
        at(59, values=["{url}/foo"]),
        at(73, values=["{url}/foo"]),
        at(88, values=["{url}/"]),
    ],
    "add/testDockerfileAddArchive": [
        at(149, 0, values=["scratch"], files={"t.tar": TAR}),
        at(180, 1, values=["scratch"], files={"t.tar.gz": GZ}),
        at(204, 2, values=["scratch"], files={"t.tar.gz": GZ}),
        at(232, 3, values=["scratch"], files={"t.tar.gz": GZ}),
        at(265, 4, values=["scratch", "{url}/t.tar.gz"]),
        at(288, 5, values=["scratch", "{url}/t.tar.gz"]),
        at(311, 6, values=["scratch", "{url}/t.tar.gz"]),
    ],
    "add/testDockerfileAddArchiveThroughAbsoluteSymlink": [
        at(453, files={"rootfs.tar": archive({}, {"var/run": "/run"}),
                       "payload.tar": archive({"var/run/act/actions/broad/.git/HEAD": "ref: refs/heads/main\n"})}),
    ],
    "add/testDockerfileAddArchiveWildcard": [
        at(592, files={"t.tar": TAR, "b.tar": archive({"bar": "content1"})})],
    "add/testDockerfileAddArchiveWithImpliedParentDir": [
        at(370, values=["scratch"], files={"t.tar.gz": gzip.compress(archive({"etc/dnf/dnf.conf": "content0"}))})],
    "add/testDockerfileAddChownArchive": [at(507, files={"t.tar": TAR})],
    "addgit/testAddGit": [
        at(156, 1, values=dict(REPO, **{"{{.Checksum}}": "{commit:v0.0.3}"})),
        at(183, 2, values=dict(REPO, **{"{{.Checksum}}": "{commit:v0.0.2}"})),
        at(210, 3, values=dict(REPO, **{"{{.Checksum}}": "{commit:v0.0.3}"})),
        at(234, 4, values=dict(REPO, **{"{{.WrongChecksum}}": "{commit:v0.0.2}"})),
        at(258, 5, values=REPO),
    ],
    "addgit/testAddGitChecksumCache": [
        at(320, 0, values=REPO),
        at(350, 1, values=dict(REPO, **{"@{commitHash}": "{commit:v0.0.2}"}), same={"unique.txt": 0}),
    ],
    "args/testArgDefaultExpansion": [
        at(110, values=["scratch"]), at(121, values=["scratch"]), at(132, values=["scratch"])],
    "args/testBuiltinArgs": [at(430), at(458), at(486)],
    "args/testDefaultEnvWithArgs": [
        at(560, modes={"myscript.sh": 0o700}), at(571, modes={"myscript.sh": 0o700}),
        at(572, modes={"myscript.sh": 0o700})],
    "args/testEnvEmptyFormatting": [at(0, literal=True)],
    "args/testGlobalArgErrors": [at(70, values=["scratch"]), at(82, values=["scratch"])],
    "args/testTargetStageNameArg": [
        at(305), at(340, args=[]), at(370, [0, 1], values=["scratch"])],
    "cache/testCacheImportExport": [
        at(470, args=[CACHE_TO]), at(500, args=[CACHE_FROM], fresh=True, same={"unique": 0})],
    "cache/testCacheMultiPlatformImportExport": [
        at(240, args=[CACHE_TO]), at(280, args=[CACHE_FROM], fresh=True)],
    "cache/testExportCacheLoop": [
        at(120, args=[CACHE_TO], made="{dir}/cache"), at(140, args=[CACHE_FROM], fresh=True)],
    "cache/testImageManifestCacheImportExport": [
        at(370, args=[CACHE_TO]), at(400, args=[CACHE_FROM], fresh=True, same={"unique": 0})],
    "cache/testImportExportReproducibleIDs": [
        at(640, args=[CACHE_TO], tag="expids:a"), at(680, args=[CACHE_FROM], fresh=True, tag="expids:b", same_id=0)],
    "cache/testCacheMountModeNoCache": [
        at(825), at(836, args=["--no-cache", "--build-arg=FOO=def"]), at(846, args=["--build-arg=FOO=ghi"])],
    "cache/testNoCache": [
        at(740), at(745, args=["--no-cache"], differ={"unique": 0, "unique2": 0}),
        at(770, args=["--no-cache-filter=s1"], same={"unique": 1}, differ={"unique2": 0}),
    ],
    "cache/testReproducibleIDs": [at(560, tag="ids:a"), at(590, tag="ids:b", same_id=0)],
    "cache/testWildcardRenameCache": [at(880), at(895, change={"file1": None, "file2": "foo"}, fails=True)],
    "cmd/testCmdShell": [
        at(50, 0, tag="case/cmdshell:base"), at(80, 1, values=["case/cmdshell:base"], tag="cmdshell2")],
    "cmd/testInvalidJSONCommands": [at(300, 0), at(330, 1, tag="invalidjson", fails=False)],
    "copy/testCopyChown": [at(740, files={"bar/sub": ""})],
    "copy/testCopyFollowAllSymlinks": [at(625)],
    "copy/testChmodNonOctal": [at(1371, values=[
        "".join(f"RUN mkdir -p /input/{name} && cp -a /input/{what} /input/{name}/{name} && "
                f"cp -a /input/{name}/. /expected && chmod {mode} /expected/{name}\n" for name, what, mode in CHMODS),
        "".join(f"COPY --from=base --chmod={mode} /input/{name}{'' if what == 'dir' else '/' + name} /\n"
                for name, what, mode in CHMODS),
        "".join(f'RUN [ "$(stat -c %A /actual/{name})" = "$(stat -c %A /expected/{name})" ]\n'
                for name, _, _ in CHMODS),
    ])],
    "copy/testCopyWildcardCache": [
        at(315), at(340, change={"bar": "bar-data-mod"}, same={"unique": 0}),
        # the command reads nothing of what changed, and is run again only by its key
        at(360, change={"foo2": "foo2-data-mod"}, differ={"unique": 0}, args=["--trace=off"])],
    "copy/testLocalCustomSessionID": [at(1430, named={"base": ["another"]})],
    "core/testContextChangeDirToFile": [at(215), at(230)],
    "core/testDockerfileDirs": [at(65, tag="dirs:a"), at(100, tag="dirs:b")],
    "core/testExposeExpansion": [at(330, tag="expose:a")],
    "core/testLabels": [at(430, tag="labels:a", args=["--label=bar=baz"])],
    "core/testSymlinkDestination": [at(175, files={
        "t.tar": archive({}, {"symlink": "tmp/symlink-target"})})],
    "core/testUser": [at(560), at(590, tag="user:a")],
    "dockerignore/testDockerignoreOverride": [
        at(185, 0, others={"Dockerfile2": 1}), at(195, 1, others={"Dockerfile": 0})],
    "errors/testErrorsSourceMap": [at(82, n, fails=True, facts=(94, 94)) for n in range(7)],
    "exclude_patterns/testExcludedFilesOnCopy": [at(100, 0), at(100, 1, values=REPO, facts=(162, 183))],
    "export/testTarContext": [at(300, values=["scratch"], stdin={"foo": "contents"})],
    "export/testTarContextExternalDockerfile": [
        at(380, values=["scratch"], context="{url}/context.tar", dockerfile_stdin=True)],
    "export/testTarExporterMulti": [at(110), at(125)],
    "git_http/testDockerfileFromGit": [at(90, context="{url}/.git#first"), at(116, context="{url}/.git")],
    "git_http/testDockerfileFromHTTP": [at(180, values=["scratch"], context="{url}/myurl")],
    "git_http/testHTTPDockerfile": [at(240, context="{url}/df")],
    "heredoc/testOnBuildHeredoc": [
        at(850, 0, values=["busybox", "", 'echo "hello world" >> /dest'], tag="case/onbuildheredoc:base"),
        at(880, 1, values=["case/onbuildheredoc:base"])],
    "history/testExportedHistory": [at(70, values=["busybox", "busybox", "/", "ls"], tag="history:a")],
    "history/testExportedHistoryFlattenArgs": [at(160, tag="history:b")],
    "image/testDockerfileScratchConfig": [at(170, tag="scratchconfig:a")],
    "image/testOCILayoutMultiname": [at(240, oci=True)],
    "image/testPullScratch": [
        at(40, 0, tag="docker.io/moby/testpullscratch:latest"),
        at(80, 1, tag="pullscratch:2", facts=(80, 130))],
    "mount/testMountInvalid": [at(125, 0), at(150, 1), at(175, 2)],
    "mount/testMountDuplicate": [
        at(624, files={"a.txt": "foo\n"}, fact_values=["foo\n"]),
        at(630, files={"a.txt": "updated\n", "b.txt": "bar\n"}, fact_values=["updated\n"], facts=(630, 641))],
    "mount/testMountRWCache": [at(225), at(252, same={"unique": 0})],
    "mount/testMountTmpfs": [at(0)],
    "multistage/testMultiStageCaseInsensitive": [at(130, values=["scratch", "scratch", "scratch"])],
    "multistage/testMultiStageImplicitFrom": [at(40, 0), at(80, 1)],
    "multistage/testOutOfOrderStage": [
        at(180, values=["/"], facts=(194, 196)), at(180, values=["/d2"], facts=(194, 196))],
    "namedcontext/testNamedFilteredContext": [
        step for number in (0, [1, 0]) for name in ("run_mount", "image_source", "copy_from", "all")
        for step in [at(1145, number, only_args=[f"--target={name}", "--build-context=foo={dir}/context0"],
                        files={"bar": b"\0" * 4096 * 1000})]],
    "namedcontext/testNamedImageContext": [
        at(60, 0), at(100, 1, tag="case/buildkit/testnamedimagecontext:latest"),
        at(140, 2, values={"@{registry}": "case"}), at(190, 3, values={"@{registry}": "case"})],
    "namedcontext/testNamedImageContextScratch": [at(420, values=["busybox"])],
    "namedcontext/testNamedInputContext": [
        at(830, 0, tag="case/input"), at(880, 1, only_args=["--build-context=base=docker-image://case/input"])],
    "namedcontext/testNamedMultiplatformInputContext": [
        at(1005, 0, tag="case/input"),
        at(1040, 1, only_args=["--platform=linux/amd64,linux/arm64", "--build-context=base=docker-image://case/input"],
           below="linux_amd64", facts=(1040, 1111)),
        at(1110, 1, only_args=["--platform=linux/amd64,linux/arm64", "--build-context=base=docker-image://case/input"],
           below="linux_arm64", facts=(1111, 1120))],
    "namedcontext/testNamedLocalContext": [at(495, named={"base": ["out", "out2", ".dockerignore"]})],
    "namedcontext/testNamedOCILayoutContext": [
        at(560, 0, oci=True), at(640, 1, only_args=["--build-context=base=oci-layout://{oci}@sha256:{digest}",
                                                 "--build-context=foo=oci-layout://{oci}@sha256:{digest}"])],
    "namedcontext/testNamedOCILayoutContextExport": [
        at(720, 0, oci=True),
        at(760, 1, only_args=["--build-context=nonexistent=oci-layout://{oci}@sha256:{digest}"], tag="ocicontext:a")],
    "onbuild/testOnBuildCleared": [
        at(50, 0, tag="case/onbuild:base"), at(70, 1, values=["case/onbuild:base"], tag="case/onbuild:child"),
        at(110, 2, values=["case/onbuild:child", "scratch"])],
    "onbuild/testOnBuildNamedContext": [
        at(280, 0, oci=True),
        at(330, 1, only_args=["--build-context=base=oci-layout://{oci}@sha256:{digest}"])],
    "onbuild/testOnBuildNewDeps": [
        at(500, 0, tag="case/deps:base"), at(540, 1, values=["case/deps:base"]),
        at(570, 2, tag="case/deps:base2"), at(600, 3, values=["case/deps:base", "case/deps:base2"])],
    "onbuild/testOnBuildWithCacheMount": [
        at(650, 0, tag="case/onbuildcache:base"), at(680, 1, values=["case/onbuildcache:base"])],
    "onbuild/testOnBuildWithChildStage": [
        at(170, 0, values=["busybox", "mkdir -p /out && echo -n yes >> /out/didrun"], tag="case/onbuildstage:base"),
        at(210, 1, values=["case/onbuildstage:base"])],
    "parents/testCopyRelativeParents": targets(
        225, "middle end start double wildcard doublewildcard doubleinputs", computed_options=True),
    "parents/testCopyParentsMissingDirectory":
        targets(350, "normal withpivot wildcard-nonexistent wildcard-afterpivot", computed_options=True, facts=(0, 0)) +
        targets(350, "nonexistentfile", computed_options=True, fails=True),
    "platform/testPlatformArgsExplicit": [at(110, values=[
        "busybox", "mkdir /out", "echo -n $TARGETPLATFORM > /out/platform && echo -n $TARGETOS > /out/os"])],
    "platform/testPlatformArgsImplicit": [at(60, values=["linux"])],
    "platform/testMaintainBaseOSVersion": [
        at(350, 0, only_args=["--platform=windows(10.0.20348.1006)/amd64"], tag="case/osversion:1"),
        at(400, 1, values=["case/osversion:1"], only_args=["--platform=windows/amd64"], tag="case/osversion:2")],
    "resources/testLinuxResources": [at(190, args=["--resource=memory=67108864"])],
    "resources/testShmSize": [at(30, args=["--shm-size=134217728"])],
    "resources/testUlimit": [at(70, args=["--ulimit=nofile=1062:1062"])],
    "runnetwork/testRunGlobalNetwork": [
        at(170, values=["{port}", "{port}"], args=["--network=host", "--allow=network.host"], fails=False,
           facts=(0, 0))],
    "runnetwork/testRunHostNetwork": [
        at(120, 0, values=["{port}"], args=["--allow=network.host"], fails=False, facts=(0, 0))],
    "runnetwork/testRunNoNetwork": [at(0, [0, 1])],
    "runsecurity/testRunSecurityDefault": [at(160, fails=False, facts=(0, 0))],
    "runsecurity/testRunSecurityInsecure": [
        at(100, args=["--allow=security.insecure"], fails=False, all_capabilities=True)],
    "secrets/testSecretAsEnviron": [at(110, args=["--secret=id=mysecret,src={dir}/pw"], fails=False)],
    "secrets/testSecretAsEnvironWithFileMount": [at(0, args=["--secret=id=mysecret,src={dir}/pw"])],
    "secrets/testSecretFileParams": [at(0, args=["--secret=id=mysecret,src={dir}/pw"])],
    "source_date_epoch/testSourceDateEpochContextGit": [at(330, context="{url}/.git")],
    "source_date_epoch/testSourceDateEpochContextHTTPArchive": [
        at(420, context="{url}/src.tar", facts=(0, 0), epoch=EPOCH)],
    "source_date_epoch/testSourceDateEpochContextHTTPLastModified": [at(380, context="{url}/src.tar")],
    "source_date_epoch/testSourceDateEpochDockerfileDefault": [at(130, values=[EPOCH])],
    "source_date_epoch/testSourceDateEpochDockerfileDefaultOverride": [at(180, values=[EPOCH])],
    "source_date_epoch/testSourceDateEpochDockerfileDefaultReset": [
        at(235, values=[EPOCH], args=["--build-arg=SOURCE_DATE_EPOCH="])],
    "source_date_epoch/testSourceDateEpochNamedContextHTTPArchive": [
        at(770, only_args=["--build-context=mysource={url}/src.tar"], facts=(0, 0), epoch=EPOCH)],
    "source_date_epoch/testSourceDateEpochNamedContextHTTPLastModified": [
        at(705, only_args=["--build-context=mysource={url}/src.tar"])],
    "source_date_epoch/testSourceDateEpochStageHTTPArchive": [
        at(540, values=["{url}"], facts=(0, 0), epoch=EPOCH)],
    "source_date_epoch/testSourceDateEpochStageOverride": [at(600, values=["{url}"])],
    "source_date_epoch/testSourceDateEpochWithoutExporter": [at(60, oci=True)],
    "ssh/testSSHSocketParams": [at(0, args=["--ssh=default={dir}/agent.sock"])],
    "workdir/testWorkdirCopyIgnoreRelative": [at(196, values=["scratch"])],
    "workdir/testWorkdirSourceDateEpochReproducible": [at(85, oci=True), at(115, oci=True, same_index=0)],
}

# Cases that no inputs given here can complete.
INCOMPLETE = {
    "addgit/testGitQueryString": "expected values are computed",
    "history/testHistoryFinalizeTrace": "speaks of BuildKit's build history API alone",
    "namedcontext/testSourcePolicyWithNamedContext": "needs a gateway client: source policy",
    "namedcontext/testNamedImageContextPlatform": "needs an image for several platforms in a registry",
    "namedcontext/testNamedImageContextTimestamps": "needs a registry: compares what BuildKit wrote there",
    "platform/testPlatformWithOSVersion": "needs an image for several platforms in a registry",
    "resources/testCgroupParent": "needs a cgroup made beforehand",
    "runsecurity/testInsecureDevicesWhitelist": "needs packages and images from the network",
    "source_date_epoch/testReproSourceDateEpoch": "needs a public image by its digest",
    "ssh/testSSHFileDescriptorsClosed": "needs packages from the network",
    "targets/testTargetsDescribeDefinition": "needs a gateway client: subrequest targets",
    "targets/testTargetsList": "needs a gateway client: subrequest targets",
}

# (case, number) of Dockerfiles that no build of theirs has -> why.
UNUSED = {
    ("addgit/testAddGit", 0): "needs git in the base image",
    ("onbuild/testOnBuildWithCacheMount", 2): "for Windows",
    ("runnetwork/testRunHostNetwork", 1): "for engines whose default network is not the machine's",
}

# (case, line) of facts that the Go source compares without the white space around them.
TRIMMED = {("namedcontext/testNamedImageContext", "164"), ("resources/testUlimit", "101"),
           ("resources/testLinuxResources", "221"),
           *(("namedcontext/testNamedMultiplatformInputContext", line) for line in ("1106", "1110", "1114", "1118"))}

# (case, line) of facts in outputs.tsv that were paired with another value than the path's content -> why.
NOT_FACTS = {
    ("addgit/testAddGitChecksumCache", "378"): "the message of an assertion",
    ("add/testDockerfileADDFromURL", "114"): "a request's header with BuildKit's own name",
    ("add/testDockerfileADDFromURL", "116"): "a request's header with BuildKit's own name",
    ("addgit/testGitQueryString", "706"): "an error that a computed value decides",
    ("cmd/testDefaultShellAndPath", "182"): "the number of manifests in the archive",
    ("export/testExportMultiPlatform", "251"): "the number of manifests in the archive",
    ("image/testMultiNilRefsOCIExporter", "366"): "the number of manifests in the archive",
    ("image/testOCILayoutMultiname", "272"): "the number of manifests in the index",
    ("runnetwork/testRunGlobalNetwork", "193"): "of an engine that denies the machine's network; Docker's grants it",
    ("runnetwork/testRunHostNetwork", "142"): "of an engine that denies the machine's network; Docker's grants it",
    ("runsecurity/testRunSecurityDefault", "182"): "of an engine that denies what the client allows",
    ("runsecurity/testRunSecurityInsecure", "118"): "of an engine that denies what the client allows",
    ("image/testPullScratch", "149"): "of a build that no Dockerfile describes",
}
