# --normalize-modes: the umask of whoever checked out does not count.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# checkout DIR UMASK: the same project and a named context "shared", as somebody with that umask gets them.
checkout() {
    (
        umask "$2"
        mkdir -p "$1/app/bin" "$1/shared/lib"
        echo code >"$1/app/code"
        printf '#!/bin/sh\necho works\n' >"$1/app/bin/tool"
        chmod +x "$1/app/bin/tool"
        ln -s code "$1/app/link"
        echo lib >"$1/shared/lib/l"
        cat >"$1/app/Dockerfile" <<'END'
FROM base:1
WORKDIR /app
COPY code link new/
COPY . .
ADD bin /added
COPY --from=shared lib /lib/shared
RUN --mount=target=/ctx --mount=from=shared,target=/sh ls -lR /ctx /sh | grep -v total > /listing; ./bin/tool > /works
COPY --chmod=750 code /chmod/code
END
    )
}

# from_checkout DIR [FLAG...]: builds it; its id goes to out.
from_checkout() {
    local where=$1
    shift
    # Times of the files are the image's too.
    find "$where" -exec touch -hd @1700000000 {} +
    SOURCE_DATE_EPOCH=1700000000 "$SHALE" build --progress=plain --load=false --iidfile out \
        --build-context "shared=$where/shared" -t t "$@" "$where/app" >/dev/null 2>log || { cat log; fail "the build of $where"; }
}

two_checkouts() {
    checkout two 002
    checkout twenty-two 022
    cmp <(stat -c %a two/app two/app/code) <(stat -c %a twenty-two/app twenty-two/app/code) &&
        fail "the umasks make no difference here"
    return 0
}

t_two_checkouts_under_umask_002_and_022_share_everything() {
    two_checkouts
    from_checkout two --normalize-modes
    cp out first
    from_checkout twenty-two --normalize-modes
    all_cached
    cmp first out
    # and in stores that know nothing of each other
    export SHALE_ROOT=$W/other
    cp -a "$TEMPLATE/store" "$SHALE_ROOT"
    from_checkout twenty-two --normalize-modes
    ran 'COPY code' 'COPY . .' 'ADD bin' 'COPY --from=shared' 'COPY --chmod'
    eq "644 644 755 755 755 755 644" \
        "$(inside stat -c %a /app/code /app/new/code /app/bin /app/bin/tool /added/tool /lib/shared /lib/shared/l | xargs)"
    eq 777 "$(inside stat -c %a /app/link)"
    eq 750 "$(inside stat -c %a /chmod/code)"
    eq works "$(inside cat /works)"
    inside cat /listing >listing
    has listing '-rwxr-xr-x    1 root     root'
    ! grep -E '^[-d]....w' listing || fail "a mount shows modes of the checkout"
}

t_without_it_the_umask_is_in_the_image() {
    two_checkouts
    from_checkout two
    cp out first
    from_checkout twenty-two
    ran 'COPY . .' 'ADD bin' 'COPY --from=shared' 'RUN --mount'
    cmp -s first out && fail "one image"
    from_checkout two
    eq 664 "$(inside stat -c %a /app/code)"
    cmp first out
}

t_with_chmod_the_mode_of_the_source_is_not_in_the_key() {
    two_checkouts
    local where
    for where in two twenty-two; do
        printf 'FROM base:1\nCOPY --chmod=640 code /c/\nADD --chmod=700 bin /bin2\nCOPY --chmod=a=rX bin /bin3\n' \
            >"$where/app/Dockerfile"
        from_checkout "$where"
    done
    cached 'COPY --chmod=640' 'ADD --chmod=700' 'COPY --chmod=a=rX'
    eq "640 700 555" "$(inside stat -c %a /c/code /bin2/tool /bin3/tool | xargs)"
}

t_a_team_sets_it_by_the_environment() {
    two_checkouts
    export SHALE_NORMALIZE_MODES=1
    from_checkout two
    eq 644 "$(inside stat -c %a /app/code)"
    from_checkout twenty-two
    all_cached
    from_checkout two --normalize-modes=false
    eq 664 "$(inside stat -c %a /app/code)"
    SHALE_NORMALIZE_MODES=0 from_checkout two
    all_cached
    eq 664 "$(inside stat -c %a /app/code)"
}

t_special_bits_go_and_an_edited_executable_bit_is_seen() {
    printf 'FROM base:1\nCOPY d /d\n' | dockerfile
    mkdir ctx/d
    echo 1 >ctx/d/f
    chmod 4711 ctx/d/f
    chmod 2770 ctx/d
    build -t t --normalize-modes
    eq "755 755" "$(inside stat -c %a /d /d/f | xargs)"
    chmod 600 ctx/d/f
    build -t t --normalize-modes
    ran 'COPY d /d'
    eq 644 "$(inside stat -c %a /d/f)"
    chmod 664 ctx/d/f
    build -t t --normalize-modes
    all_cached
}
