# What a step looked at: `shale explain`, `shale trace`, `shale ignore`.
# shellcheck shell=bash

# A service whose step reads one file, looks at another, lists a directory, follows a link and misses two names.
service() {
    mkdir -p ctx/src ctx/docs/deep ctx/listed
    echo needed >ctx/wants
    echo text | tee ctx/src/a ctx/src/b ctx/docs/x ctx/docs/deep/y ctx/listed/one ctx/notes >/dev/null
    ln -s wants ctx/link
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
COPY . /app
RUN cat /app/link; test -s /app/src/a; ls /app/listed; cat /app/absent /app/none/x 2>/dev/null; echo done > /done
END
    build -t t
    ran 'RUN cat'
}

line() { # line FILE TEXT: exactly this line is there
    grep -qxF -- "$2" "$1" || { sed 's/^/  | /' "$1" >&2; fail "no line '$2' in $1"; }
}

t_every_question_is_a_line() {
    service
    shale trace 3 >questions
    line questions 'read      /app/wants'
    line questions 'link      /app/link'
    line questions 'list      /app/listed'
    line questions 'absent    /app/absent'
    line questions 'absent    /app/none'
    grep -qxE '(stat|exist) +/app/src/a' questions || fail "$(cat questions)"
    hasnt questions /app/src/b
    hasnt questions /app/docs
    hasnt questions /app/none/x
    cut -c 11- questions >paths
    LC_ALL=C sort -u paths | wc -l >n
    eq "$(wc -l <paths)" "$(cat n)" "lines, each path once"
}

t_the_same_as_json() {
    service
    shale trace --json 3 >json
    eq '["link"]' "$(jq -c '.questions[] | select(.path == "/app/link") | .kinds - ["exist", "stat"]' json)"
    eq '["absent"]' "$(jq -c '.questions[] | select(.path == "/app/absent") | .kinds' json)"
    eq "$(shale trace 3 | wc -l)" "$(jq '.questions | length' json)"
    eq '3 run' "$(jq -r '"\(.step.number) \(.step.kind)"' json)"
    eq '[8,2]' "$(jq -c '.looked_at | [.files, .read]' json)"
    eq "$(jq .looked_at json)" "$(shale explain --json 3 | jq '.steps[0].looked_at')"
}

t_files_are_read_seen_or_never_looked_at() {
    service
    shale trace --files 3 >files
    line files 'read      /app/wants'
    line files 'read      /app/link'
    line files 'seen      /app/src/a'
    line files 'seen      /app/listed/one'
    line files 'never     /app/src/b'
    line files 'never     /app/docs/deep/y'
    line files 'never     /app/notes'
    line files '8 files: 2 read, 2 seen, 4 never looked at'
    eq '[8,["never","read","seen"]]' \
        "$(shale trace --files --json 3 | jq -c '.file_list | [length, ([.[].look] | unique)]')"
}

t_explain_says_what_was_looked_at() {
    service
    shale explain 3 >said
    has said 'looked at the copied files: read 2 of 8'
    line said '  read        /app/wants'
    line said '  listed      /app/listed'
    line said '  links       /app/link'
    grep -qE '^  (not found|         )   /app/absent$' said || fail "$(cat said)"
    grep -qE '^  (looked at|         )   /app/src/a$' said || fail "$(cat said)"
    hasnt said /app/src/b
}

t_of_many_the_first_are_shown() {
    mkdir ctx/many
    for i in $(seq 30); do echo "$i" >"ctx/many/f$i"; done
    dockerfile <<'END'
FROM base:1
COPY many /many
RUN cat /many/* > /all
END
    build -t t
    shale explain 3 >said
    eq 20 "$(grep -cE '^  (read|    ) +/many/f' said)"
    line said '              and 10 more; shale trace 3 shows all'
    eq 30 "$(shale trace 3 | grep -c '^read')"
}

t_a_reused_step_shows_the_run_that_it_was_reused_from() {
    service
    shale trace 3 >before
    shale trace --files 3 >files_before
    eq '[]' "$(shale trace --json 3 | jq -c .looked_at.notes)"
    rm ctx/notes
    build -t t
    has log REUSED
    local note='the copied files are shown as they were when it ran; its result was reused'
    printf '\n%s\n' "$note" >note
    shale trace 3 >after
    cat before note | cmp - after
    shale trace --files 3 >files
    line files 'never     /app/notes'
    cat files_before note | cmp - files
    shale explain 3 >said
    has said '  read        /app/wants'
    line said "$note"
    eq "[\"$note\"]" "$(shale explain --json 3 | jq -c '.steps[0].looked_at.notes')"
    build -t t # it is known now, but it is still that run's
    has log CACHED
    shale trace 3 | cmp - after
}

# One file that the step reads, and one that stands alone for the step to run again.
alone() {
    echo text | tee ctx/a ctx/b >/dev/null
    dockerfile <<'END'
FROM base:1
COPY a /a
COPY b /d/b
RUN cat /a > /out
END
    build -t t
    ran 'RUN cat'
}

t_a_file_that_is_compared_whole_is_not_one_that_was_read() {
    alone
    shale trace 4 >questions
    line questions 'whole     /d/b'
    line questions 'layer 2 of 2'
    shale trace 4 --files >files
    line files 'read      /a'
    line files 'whole     /d/b'
    line files '2 files: 1 read, 0 seen, 1 compared whole, 0 never looked at'
    shale explain 4 >said
    has said 'looked at the copied files: read 1 of 2'
    line said '  whole       /d/b'
    hasnt said 'all of'
    eq '["/d/b","whole",2]' "$(shale trace --files --json 4 | jq -c '.file_list[1] | [.path, .look, .layer]')"
    eq '["/d/b",["whole"],2]' "$(shale trace --json 4 | jq -c '.questions[-1] | [.path, .kinds, .layer]')"
    eq 1 "$(shale trace --json 4 | jq '.questions[0].layer')"
}

t_one_file_is_one_file() {
    echo text >ctx/a
    dockerfile <<'END'
FROM base:1
COPY a /a
RUN cat /a > /out
END
    build -t t
    line <(shale trace --files 3) '1 file: 1 read, 0 seen, 0 never looked at'
}

t_what_reads_everything_is_said_to_be_observed_no_more() {
    dockerfile <<'END'
FROM base:1
COPY a /a
RUN cat /a > /out
END
    local i note='it reads nearly everything, and is not observed for now'
    for i in 1 2 3; do
        hasnt <(shale explain 3 2>&1 || true) "$note"
        echo "$i" >ctx/a
        build -t t
        ran 'RUN cat'
    done
    shale trace 3 >questions
    line questions "$note"
    line <(shale explain 3) "$note"
    eq "[\"$note\"]" "$(shale trace --json 3 | jq -c .looked_at.notes)"
}

t_what_is_not_reproducible_is_said_to_be_so() {
    mkdir ctx/src
    echo text | tee ctx/src/a ctx/src/b >/dev/null
    dockerfile <<'END'
FROM base:1
COPY src /src
RUN cat /src/a /proc/sys/kernel/random/uuid > /out
END
    build -t t
    echo other >ctx/src/b
    build -t t --trace=verify
    line <(shale trace 3) 'two runs of it differed: it is not reproducible'
    line <(shale explain 3) 'two runs of it differed: it is not reproducible'
}

t_what_was_not_observed_is_said() {
    service
    build -t t --no-cache --trace=off
    shale explain 3 >said
    shale trace --context ctx 2 2>why && fail 'a COPY has a trace'
    has why 'is no RUN'
    dockerfile <<'END'
FROM base:1
RUN echo nothing is copied > /x
END
    build -t t
    shale trace 2 2>why && fail 'a step without copied files has a trace'
    has why 'nothing is known of what [2/2] looked at'
}

# What is proposed to ./lines, what is said to ./said.
propose() {
    shale ignore ctx >lines 2>said || fail "$(cat said)"
}

# With the lines in .dockerignore no command runs, and the image is the same.
same_with_the_lines() {
    shale build -q --load=false ctx >image
    cat lines >>ctx/.dockerignore
    build --iidfile iid
    eq "$(cat image)" "$(cat iid)" "the image"
    local step
    grep -oE '^#[0-9]+ \[[^]]*\] RUN ' log | cut -d ' ' -f 1 | while read -r step; do
        grep -qE "^$step (CACHED|REUSED)" log || { sed 's/^/  | /' log >&2; fail "step $step ran"; }
    done
}

t_ignore_leaves_the_image_and_runs_nothing() {
    mkdir -p ctx/src ctx/docs/deep ctx/listed ctx/half
    echo 'x y' | tee ctx/src/a ctx/docs/x ctx/docs/deep/y ctx/listed/one ctx/half/a ctx/half/b 'ctx/odd [*]' >/dev/null
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1 AS make
COPY . /app
RUN cat /app/src/a /app/half/a > /made; ls /app/listed >> /made; cat /app/absent || true
FROM base:1
COPY --from=make /made /made
END
    build
    propose
    printf '%s\n' 'docs/' 'half/b' 'odd \[\*\]' >want
    diff -u want lines
    has said '# 3 lines leave out 4 of 7 files'
    same_with_the_lines
    propose
    eq '' "$(cat lines)" "proposals after the proposals"
}

t_what_reaches_the_image_stays() {
    service
    propose
    eq '' "$(cat lines)"
}

t_a_mount_counts_as_what_was_looked_at_in_it() {
    mkdir -p ctx/src/sub ctx/more
    echo text | tee ctx/src/a ctx/src/b ctx/src/sub/c ctx/more/d >/dev/null
    dockerfile <<'END'
FROM base:1
RUN --mount=type=bind,source=src,target=/src cat /src/a > /made
RUN --mount=type=bind,target=/all cat /all/src/b >> /made
END
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    build
    propose
    printf '%s\n' 'more/' 'src/sub/' >want
    diff -u want lines
    same_with_the_lines
}

t_what_was_not_observed_counts_as_needed() {
    mkdir ctx/docs
    echo text | tee ctx/a ctx/docs/x >/dev/null
    dockerfile <<'END'
FROM base:1 AS make
COPY . /app
RUN cat /app/a > /made
FROM base:1
COPY --from=make /made /made
END
    build --trace=off
    propose
    eq '' "$(cat lines)"
    has said '[make 3/3] was not observed: nothing that it could have read is proposed'
    eq '["[make 3/3]"]' "$(shale ignore --json ctx | jq -c .not_observed)"
}

t_after_a_reuse_the_same_is_proposed() {
    mkdir -p ctx/docs
    echo text | tee ctx/a ctx/docs/x ctx/docs/y >/dev/null
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1 AS make
COPY . /app
RUN cat /app/a > /made
FROM base:1
COPY --from=make /made /made
END
    build
    propose
    eq docs/ "$(cat lines)"
    echo other >ctx/docs/x
    shale ignore ctx 2>said && fail 'proposed for files that were not built'
    has said 'has not been built with the files as they are'
    build
    has log REUSED
    propose
    eq docs/ "$(cat lines)"
    same_with_the_lines
}
