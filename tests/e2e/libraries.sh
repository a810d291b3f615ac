# Which libraries are loaded, and when: what no step needs costs no build its time.
# shellcheck shell=bash

# opened COMMAND...: the libraries that it opens, one a line, by strace.
opened() {
    needs strace
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace -e trace=openat,open,openat2 "$@" >out 2>log ||
        { cat log >&2; fail "'$*' failed"; }
    sed -n 's|.*"[^"]*/\(lib[a-z0-9_+-]*\)[-.0-9]*\.so[.0-9]*".* = [0-9]*$|\1|p' trace | sort -u
}

loads_neither() { # loads_neither FILE: what `opened` printed
    has "$1" libsqlite3 # else nothing was seen
    local lib
    for lib in libcurl libarchive libssl libxml2 libgnutls; do
        ! grep -qx "$lib" "$1" || fail "$lib is loaded"
    done
}

t_version_loads_neither_libcurl_nor_libarchive() {
    opened "$SHALE" version >libs
    loads_neither libs
}

t_a_known_build_loads_neither_libcurl_nor_libarchive() {
    mkdir ctx/src
    echo one >ctx/src/one
    dockerfile <<'END'
FROM base:1 AS tools
RUN echo tool > /tool
FROM base:1
WORKDIR /app
COPY --from=tools /tool /tool
COPY src src
RUN cat src/* > all
END
    build -t t
    opened "$SHALE" build --progress=plain --load=false -t t ctx >libs
    all_cached
    loads_neither libs
}

t_a_tar_that_is_read_loads_libarchive() {
    tar -C ctx -cf files.tar .
    opened "$SHALE" import files.tar files:1 >libs
    grep -qx libarchive libs || fail "it is not seen when it is loaded"
    ! grep -qx libcurl libs || fail "libcurl is loaded"
}

# A file that is no library stands in front of the real one.
without() { # without SONAME COMMAND...
    mkdir -p no
    rm -f no/*
    echo nothing >"no/$1"
    LD_LIBRARY_PATH=$PWD/no "${@:2}"
}

t_a_missing_library_is_one_clear_sentence() {
    printf 'FROM localhost:1/nobody/none\n' | dockerfile
    LD_LIBRARY_PATH='' build_fails
    hasnt log libcurl.so
    without libcurl.so.4 build_fails
    says 'this needs libcurl (libcurl.so.4): '
    tar -cJf ctx/files.tar.xz ctx/Dockerfile
    printf 'FROM base:1\nADD files.tar.xz /\n' | dockerfile
    without libarchive.so.13 build_fails
    says 'this needs libarchive (libarchive.so.13): '
    build
}

t_a_missing_library_leaves_alone_what_does_without() {
    echo one >ctx/one
    printf 'FROM base:1\nCOPY one /\nRUN cat /one\n' | dockerfile
    without libcurl.so.4 build
    without libarchive.so.13 build
    without libcurl.so.4 "$SHALE" version --verbose >versions
    has versions 'libcurl     missing'
}
