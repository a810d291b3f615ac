# Each instruction, as it shows in the image that comes out.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

t_run_has_shell_and_exec_form() {
    dockerfile <<'END'
FROM base:1
RUN echo "$((1 + 2))" > /shell && echo second >> /shell
RUN ["/bin/sh", "-c", "echo $0 > /exec", "arg zero"]
RUN ["touch", "/by path"]
END
    build -t t
    eq $'3\nsecond' "$(inside cat /shell)"
    eq "arg zero" "$(inside cat /exec)"
    inside test -f "/by path"
}

t_run_sees_env_arg_workdir_user_and_a_clean_environment() {
    dockerfile <<'END'
FROM base:1
ARG colour=red
ARG size
ENV greeting="hello world" path2=$PATH:/x
WORKDIR /w
USER app
RUN env | sort > /tmp/env; pwd > /tmp/pwd; id > /tmp/id; hostname > /tmp/hostname
END
    MARKER=outside build -t t --build-arg size=big
    inside cat /tmp/env >env.txt
    has env.txt "colour=red"
    has env.txt "size=big"
    has env.txt "greeting=hello world"
    has env.txt "path2=/usr/local/bin:/bin:/x"
    has env.txt "HOME=/home/app"
    hasnt env.txt "MARKER"
    eq /w "$(inside cat /tmp/pwd)"
    case $(inside cat /tmp/id) in "uid=1000(app) gid=1001(app)"*"50(staff)"*) ;; *) fail "id: $(inside cat /tmp/id)" ;; esac
    eq buildkitsandbox "$(inside cat /tmp/hostname)"
}

t_run_leaves_nothing_of_the_sandbox_in_the_layer() {
    dockerfile <<'END'
FROM base:1
RUN echo 1 > /made && ls /proc/self /sys /dev/null /etc/resolv.conf /etc/hosts > /dev/null
END
    build -o type=tar,dest=rootfs.tar
    tar -tf rootfs.tar | sed 's,^\./,,; s,/$,,' >names
    has names made
    ! grep -Ex '(proc|sys|dev)/.+|etc/(resolv.conf|hosts|hostname)|.dockerenv' names >&2 || fail "these are in the image"
}

t_run_removes_and_replaces_what_is_below() {
    mkdir ctx/dir
    touch ctx/dir/a ctx/dir/b
    dockerfile <<'END'
FROM base:1
COPY dir /dir
RUN rm /dir/a /etc/os-release && rm -r /opt/full && mkdir /opt/full && touch /opt/full/three
RUN rm -r /dir && ln -s /opt /dir
COPY dir/b /dir/full/
END
    build -t t
    eq "b three" "$(inside ls /opt/full | tr '\n' ' ' | sed 's/ $//')"
    eq /opt "$(inside readlink /dir)"
    inside sh -c '! test -e /etc/os-release'
    tree files
    test -L files/dir
    eq "b three" "$(cd files/opt/full && echo *)"
}

t_run_keeps_modes_owners_links_and_times_of_special_files() {
    dockerfile <<'END'
FROM base:1
RUN touch /f && ln /f /hard && ln -s nowhere /dangling && mkfifo /fifo && chown 12:34 /f && chmod 4755 /f && \
    mkdir -m 1777 /sticky && truncate -s 20M /sparse && touch -d '2001-02-03 04:05:06' /old && mknod /node c 1 3
END
    build -t t
    eq "4755 12 34 2" "$(inside stat -c '%a %u %g %h' /f)"
    eq "1777" "$(inside stat -c %a /sticky)"
    eq nowhere "$(inside readlink /dangling)"
    inside test -p /fifo
    inside test -c /node
    eq 20971520 "$(inside stat -c %s /sparse)"
    eq "2001-02-03 04:05:06" "$(inside stat -c %y /old | cut -c1-19)"
}

t_shell_changes_the_shell_form() {
    dockerfile <<'END'
FROM base:1
SHELL ["/bin/sh", "-e", "-c"]
RUN set -o | grep -q 'errexit.*on' && echo yes > /e
CMD echo $0
END
    oci
    eq '["/bin/sh","-e","-c","echo $0"]' "$(config .config.Cmd)"
    eq '["/bin/sh","-e","-c"]' "$(config .config.Shell)"
}

t_from_has_stages_by_name_and_only_the_needed_ones_are_built() {
    dockerfile <<'END'
FROM base:1 AS one
RUN echo one > /f
FROM base:1 AS unused
RUN echo this stage fails; exit 1
FROM one AS two
RUN echo two >> /f
FROM two
RUN echo last >> /f
END
    build -t t
    eq "one two last" "$(inside cat /f | tr '\n' ' ' | sed 's/ $//')"
    hasnt log "this stage fails"
    build -t t --target one
    eq one "$(inside cat /f)"
}

t_from_takes_an_arg() {
    dockerfile <<'END'
ARG version=none
ARG image=base
FROM ${image}:${version}
ARG version
RUN echo "$version" > /v
END
    build -t t --build-arg version=1
    eq 1 "$(inside cat /v)"
}

t_from_scratch_has_only_what_is_copied() {
    echo hello >ctx/hello
    dockerfile <<'END'
FROM scratch
COPY hello /a/hello
END
    tree files
    eq "a a/hello" "$(cd files && find . -mindepth 1 -printf '%P\n' | sort | tr '\n' ' ' | sed 's/ $//')"
}

t_arg_has_defaults_scope_and_gives_way_to_env() {
    dockerfile <<'END'
ARG outer=outer
FROM base:1
ARG a=1
ARG b=${a}2
ARG outer
ARG e=arg
ENV e=env
ENV late=env
ARG late=arg
RUN echo "$a $b $outer $e $late $unset" > /f
FROM base:1
COPY --from=0 /f /f
RUN echo "[$a]" >> /f
END
    build -t t --build-arg e=given --build-arg unset=x
    eq "1 12 outer env arg |[]" "$(inside cat /f | tr '\n' '|' | sed 's/|$//')"
}

t_env_is_in_the_configuration_and_in_the_run() {
    dockerfile <<'END'
FROM base:1
ENV a=1 b="two words" c=x\ y
ENV a=2 d=$a
ENV old style value
END
    oci
    build -t t
    eq '["PATH=/usr/local/bin:/bin","a=2","b=two words","c=x y","d=1","old=style value"]' "$(config .config.Env)"
    eq "two words" "$(inside sh -c 'echo $b')"
}

t_copy_puts_files_where_docker_puts_them() {
    mkdir -p ctx/dir/sub "ctx/with space"
    echo a >ctx/a.txt
    echo b >ctx/b.txt
    echo in >ctx/dir/sub/in
    echo s >"ctx/with space/s p"
    dockerfile <<'END'
FROM base:1
WORKDIR /w
COPY a.txt renamed
COPY a.txt b.txt many/
COPY *.txt ./glob/
COPY dir /dircopy
COPY dir/ .
COPY ["with space/s p", "/json dir/"]
COPY a.txt /new/parents/of/a
COPY /dir/../a.txt rooted
END
    build -t t
    eq "a" "$(inside cat /w/renamed)"
    eq "b" "$(inside cat /w/many/b.txt)"
    eq "a.txt b.txt" "$(inside ls /w/glob | tr '\n' ' ' | sed 's/ $//')"
    eq in "$(inside cat /dircopy/sub/in)"
    eq in "$(inside cat /w/sub/in)"
    eq s "$(inside cat '/json dir/s p')"
    eq "755 0 0" "$(inside stat -c '%a %u %g' /new/parents)"
    eq a "$(inside cat /new/parents/of/a)"
    eq a "$(inside cat /w/rooted)"
}

t_copy_keeps_modes_and_links_and_gives_the_files_to_root() {
    mkdir -m 750 ctx/d ctx/d/sub
    echo x >ctx/d/x
    chmod 640 ctx/d/x
    ln -s x ctx/d/link
    ln -s /etc/passwd ctx/d/absolute
    chown -R 1234:1234 ctx/d
    dockerfile <<'END'
FROM base:1
COPY d /d
END
    build -t t
    eq "755 0 0" "$(inside stat -c '%a %u %g' /d)" "a destination that is made"
    eq "750 0 0" "$(inside stat -c '%a %u %g' /d/sub)"
    eq "640 0 0" "$(inside stat -c '%a %u %g' /d/x)"
    eq x "$(inside readlink /d/link)"
    eq /etc/passwd "$(inside readlink /d/absolute)"
}

t_copy_chown_takes_names_and_numbers() {
    echo f >ctx/f
    dockerfile <<'END'
FROM base:1
COPY --chown=app f /by-name
COPY --chown=app:staff f /by-names
COPY --chown=7 f /by-number
COPY --chown=7:8 f /by-numbers
END
    build -t t
    eq $'1000 1001 /by-name\n1000 50 /by-names\n7 7 /by-number\n7 8 /by-numbers' \
        "$(inside stat -c '%u %g %n' /by-name /by-names /by-number /by-numbers)"
}

t_copy_chmod_sets_files_and_directories() {
    mkdir ctx/d
    echo f >ctx/d/f
    chmod 600 ctx/d/f
    dockerfile <<'END'
FROM base:1
COPY --chmod=711 d /octal
COPY --chmod=u=rwX,go=rX d /symbolic
END
    build -t t
    eq $'711 /octal\n711 /octal/f\n755 /symbolic\n644 /symbolic/f' \
        "$(inside stat -c '%a %n' /octal /octal/f /symbolic /symbolic/f)"
}

t_copy_from_takes_stages_by_name_and_number_and_images() {
    dockerfile <<'END'
FROM base:1 AS made
RUN mkdir -p /out/sub && echo made > /out/sub/f && chown 5:6 /out/sub/f && ln -s sub /out/s && rm /opt/full/one
FROM base:1
COPY --from=made /out /by-name
COPY --from=0 /out/sub/f /by-number
COPY --from=made /opt/full /full
COPY --from=base:1 /etc/passwd /image
COPY --from=made /opt/link /through-link
END
    build -t t
    eq made "$(inside cat /by-name/s/f)"
    eq "5 6" "$(inside stat -c '%u %g' /by-number)"
    eq two "$(inside ls /full)"
    eq two "$(inside ls /through-link)"
    inside cmp /image /etc/passwd
}

t_copy_follows_links_of_the_image_inside_its_root() {
    echo f >ctx/f
    dockerfile <<'END'
FROM base:1
RUN ln -s /opt/full/deeper /way && mkdir /opt/full/deeper && ln -s ../../../../../../opt/full /up
COPY f /way/
COPY f /up/f2
COPY f /opt/link/f3
END
    build -t t
    inside test -f /opt/full/deeper/f -a -f /opt/full/f2 -a -f /opt/full/f3
    inside test -L /way -a -L /up -a -L /opt/link
    [ ! -e /opt/full/f2 ] || fail "written outside of the image"
}

t_add_copies_files_and_unpacks_archives() {
    mkdir -p src/sub
    echo in >src/sub/in
    echo plain >ctx/plain.tar.txt
    local kind
    tar -C src -cf ctx/a.tar sub
    gzip -c ctx/a.tar >ctx/a.gz
    bzip2 -c ctx/a.tar >ctx/a.bz2
    xz -c ctx/a.tar >ctx/a.xz
    zstd -q -c ctx/a.tar >ctx/a.zst
    mv ctx/a.tar ctx/a.plain
    echo "no archive" | gzip >ctx/text.gz
    dockerfile <<'END'
FROM base:1
ADD plain.tar.txt /plain
ADD a.plain /plain-tar/
ADD a.gz /gz
ADD a.bz2 /bz2/
ADD a.xz /xz
ADD a.zst /zst
ADD text.gz /text.gz
COPY a.gz /copied.gz
END
    build -t t
    eq plain "$(inside cat /plain)"
    for kind in plain-tar gz bz2 xz zst; do
        eq in "$(inside cat /$kind/sub/in)" "$kind"
    done
    inside cat /text.gz | cmp - ctx/text.gz
    inside cat /copied.gz | cmp - ctx/a.gz
}

t_add_takes_archives_and_files_in_the_order_they_are_written() {
    mkdir src
    echo "of the archive" >src/f
    tar -C src -cf ctx/a.tar f
    echo plain >ctx/f
    dockerfile <<'END'
FROM base:1
ADD a.tar f /archive-first/
ADD f a.tar /file-first/
END
    build -t t
    eq plain "$(inside cat /archive-first/f)"
    eq "of the archive" "$(inside cat /file-first/f)"
    build -t t
    all_cached
}

t_copy_follows_links_that_a_pattern_finds() {
    mkdir -p ctx/conf ctx/shared/deep
    echo shared >ctx/shared/deep/x.conf
    ln -s deep/x.conf ctx/shared/x.conf
    ln -s ../shared/x.conf ctx/conf/x.conf
    echo own >ctx/conf/y.conf
    dockerfile <<'END'
FROM base:1
COPY conf/*.conf /c/
END
    build -t t
    eq shared "$(inside cat /c/x.conf)"
    eq own "$(inside cat /c/y.conf)"
    echo edited >ctx/shared/deep/x.conf
    build -t t
    eq edited "$(inside cat /c/x.conf)"
}

t_workdir_is_made_and_belongs_to_the_user() {
    dockerfile <<'END'
FROM base:1
WORKDIR /a
WORKDIR b/c
ENV d=dee
WORKDIR $d
RUN pwd > /tmp/pwd
USER app
WORKDIR /home/app/own
END
    build -t t
    eq /a/b/c/dee "$(inside cat /tmp/pwd)"
    eq /home/app/own "$(inside pwd)"
    eq "1000 1001" "$(inside stat -c '%u %g' /home/app/own)"
}

t_user_takes_names_numbers_and_a_group() {
    dockerfile <<'END'
FROM base:1
RUN chmod 777 /opt
USER app
RUN id -u > /opt/1; id -g >> /opt/1
USER 77
RUN id -u > /opt/2; id -g >> /opt/2
USER app:staff
RUN id -u > /opt/3; id -g >> /opt/3
USER 5:6
RUN id -u > /opt/4; id -g >> /opt/4
END
    build -t t
    eq "1000 1001 77 0 1000 50 5 6" "$(inside cat /opt/1 /opt/2 /opt/3 /opt/4 | tr '\n' ' ' | sed 's/ $//')"
    eq "5 6" "$(inside sh -c 'echo $(id -u) $(id -g)')"
}

t_cmd_and_entrypoint_decide_what_runs() {
    dockerfile <<'END'
FROM base:1 AS cmd
CMD ["echo", "from", "cmd"]
FROM base:1 AS both
ENTRYPOINT ["echo", "entry"]
CMD ["and", "cmd"]
FROM both AS reset
ENTRYPOINT ["echo", "new entry"]
FROM base:1 AS shell
ENTRYPOINT exec echo "$HOME"
END
    build -t t --target cmd
    eq "from cmd" "$(inside)"
    eq "other" "$(inside echo other)"
    build -t t --target both
    eq "entry and cmd" "$(inside)"
    eq "entry other" "$(inside other)"
    build -t t --target reset
    eq "new entry" "$(inside)"
    build -t t --target shell
    eq "/root" "$(inside)"
}

t_the_rest_of_the_configuration_is_as_docker_writes_it() {
    dockerfile <<'END'
FROM base:1
EXPOSE 80 443/tcp 53/udp
LABEL a=1 "b c"="d e"
LABEL version="1.0"
VOLUME /data ["x"]
VOLUME ["/v1", "/v 2"]
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --retries=2 CMD test -f /ok
USER app
END
    sed -i '/\["x"\]/d' ctx/Dockerfile
    oci --label cli=yes
    eq '["443/tcp","53/udp","80/tcp"]' "$(config '.config.ExposedPorts | keys')"
    eq '{"a":"1","b c":"d e","cli":"yes","version":"1.0"}' "$(config '.config.Labels' | jq -cS .)"
    eq '["/v 2","/v1"]' "$(config '.config.Volumes | keys')"
    eq SIGQUIT "$(config .config.StopSignal)"
    eq app "$(config .config.User)"
    eq '{"Interval":5000000000,"Retries":2,"StartPeriod":60000000000,"Test":["CMD-SHELL","test -f /ok"],"Timeout":3000000000}' \
        "$(config .config.Healthcheck | jq -cS .)"
    printf 'FROM base:1\nHEALTHCHECK NONE\n' | dockerfile
    oci
    eq '["NONE"]' "$(config .config.Healthcheck.Test)"
}

t_history_has_one_entry_for_each_instruction() {
    echo f >ctx/f
    dockerfile <<'END'
FROM base:1
ARG a=1
ENV e=2
RUN true > /x
COPY f /f
WORKDIR /w
CMD ["sh"]
END
    oci
    # The base's own entries come first, whatever they are.
    eq 'ARG a=1
ENV e=2
RUN |1 a=1 /bin/sh -c true > /x # buildkit
COPY f /f # buildkit
WORKDIR /w
CMD ["sh"]' "$(config '.history[].created_by' | tail -n 6)"
    eq 'true true false false false true' \
        "$(config '.history[] | .empty_layer // false' | tail -n 6 | tr '\n' ' ' | sed 's/ $//')"
    eq buildkit.dockerfile.v0 "$(config '.history[-1].comment')"
    eq "$(config '[.history[] | select(.empty_layer | not)] | length')" "$(config '.rootfs.diff_ids | length')"
}

t_dockerignore_decides_what_the_context_is() {
    mkdir -p ctx/node_modules/x ctx/src ctx/docs
    touch ctx/node_modules/x/f ctx/src/a.c ctx/src/a.o ctx/docs/keep.md ctx/docs/drop.md ctx/.hidden ctx/README.md
    cat >ctx/.dockerignore <<'END'
# comment
node_modules
**/*.o
docs/*
!docs/keep.md
/README.md
Dockerfile
.dockerignore
END
    dockerfile <<'END'
FROM scratch
COPY . /
END
    tree files
    eq ".hidden docs/keep.md src/a.c" "$(cd files && find . -type f -printf '%P\n' | sort | tr '\n' ' ' | sed 's/ $//')"
    printf 'src\n' >ctx/Dockerfile.dockerignore
    tree files
    [ -e files/README.md ] || fail "Dockerfile.dockerignore does not go first"
    [ ! -e files/src ] || fail "Dockerfile.dockerignore is not obeyed"
}

t_an_ignored_source_is_said_to_be_missing() {
    touch ctx/f
    echo f >ctx/.dockerignore
    printf 'FROM base:1\nCOPY f /\n' | dockerfile
    build_fails
    says "/f"
    says "not found"
}

t_instructions_are_read_in_any_case_with_comments_and_continuations() {
    dockerfile <<'END'
# escape=`
# a comment
from base:1 as final
run echo one `
    # between
    two `
    > /f
Env a=b
cmd ["cat", "/f"]
END
    build -t t
    eq "one two" "$(inside)"
}
