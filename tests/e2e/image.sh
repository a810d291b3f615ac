# Images in the store: import, images, tag, rmi, run.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

t_import_takes_every_compression() {
    local tar kind
    tar=$TEMPLATE/base.tar
    gzip -1 -c "$tar" >base.gz
    bzip2 -1 -c "$tar" >base.bz2
    xz -0 -c "$tar" >base.xz
    zstd -1 -q -c "$tar" >base.zst
    for kind in gz bz2 xz zst; do
        shale import base.$kind "from-$kind:1"
        eq "ID=tiny" "$(shale run "from-$kind:1" cat /etc/os-release)" "$kind"
    done
    shale import - from-stdin <"$tar"
    eq "ID=tiny" "$(shale run from-stdin cat /etc/os-release)"
}

t_import_takes_changes() {
    shale import --change 'ENV PATH=/bin a=b' --change 'ENTRYPOINT ["echo"]' --change 'CMD ["x","y"]' \
        --change 'WORKDIR /opt' --change 'USER 1000' --change 'LABEL l=1' "$TEMPLATE/base.tar" changed:1
    eq "x y" "$(shale run changed:1)"
    eq "b 1000 /opt" "$(shale run --entrypoint /bin/sh changed:1 -c 'echo $a $(id -u) $(pwd)')"
}

t_import_refuses_what_is_no_archive() {
    local status=0
    echo "not a tar" >file
    shale import file x:1 >out 2>log || status=$?
    eq 1 $status
    grep -q '^ERROR: .\|^shale: .' log || { cat log; fail "no sentence"; }
    shale import no-such-file x:1 >out 2>log && fail "a missing file was imported"
    has log no-such-file
    shale images >list
    hasnt list "x "
}

t_images_tag_and_rmi_work_on_names_and_ids() {
    printf 'FROM base:1\nRUN echo 1 > /1\n' | dockerfile
    local id
    id=$(shale build -q --load=false -t one:v1 -t two ctx)
    shale images >list
    grep -qE '^one +v1 ' list
    grep -qE '^two +latest ' list
    shale tag one:v1 localhost:5000/three:x
    shale tag "$id" four
    shale images >list
    grep -qE '^localhost:5000/three +x ' list
    grep -qE '^four +latest ' list
    eq 1 "$(shale run four cat /1)"
    shale rmi one:v1 two localhost:5000/three:x
    shale images >list
    hasnt list "one "
    hasnt list "three"
    eq 1 "$(shale run four cat /1)"
    shale rmi no-such:image >out 2>log && fail "an image that is not there was removed"
    has log "no-such:image"
}

t_run_passes_the_exit_code_on() {
    local status=0
    shale run base:1 sh -c 'exit 42' || status=$?
    eq 42 $status
    status=0
    shale run base:1 sh -c 'sh -c "kill -9 \$\$"; exit $?' || status=$?
    eq 137 $status
    status=0
    shale run base:1 no-such-command 2>log || status=$?
    eq 127 $status
    status=0
    shale run no-such-image:1 2>log || status=$?
    eq 125 $status
    has log "no-such-image:1"
}

t_run_connects_the_three_streams() {
    eq in "$(echo in | shale run -i base:1 cat)"
    eq "" "$(echo in | shale run base:1 cat)"
    shale run base:1 sh -c 'echo out; echo err >&2' >stdout 2>stderr
    eq out "$(cat stdout)"
    eq err "$(cat stderr)"
}

t_run_takes_environment_user_directory_and_volumes() {
    mkdir shared
    echo f >shared/f
    eq "1 1000 /opt/full" "$(shale run -e a=1 -u app -w /opt/full base:1 sh -c 'echo $a $(id -u) $(pwd)')"
    shale run -v "$W/shared:/mnt" base:1 sh -c 'cat /mnt/f > /mnt/g'
    eq f "$(cat shared/g)"
    ! shale run -v "$W/shared:/mnt:ro" base:1 touch /mnt/h 2>/dev/null || fail "written through :ro"
    [ ! -e shared/h ] || fail "written through :ro"
}

t_run_leaves_the_image_as_it_was() {
    printf 'FROM base:1\nRUN echo 1 > /1\n' | dockerfile
    build -t t
    shale run t sh -c 'rm -r /opt /1; echo > /new'
    shale run t sh -c 'test -e /1 -a -e /opt -a ! -e /new'
    nothing_left no-mark-of-a-process
}

t_ctrl_c_stops_what_runs() {
    local pid status=0
    env --default-signal=INT,TERM "$SHALE" run base:1 sh -c 'echo started; sleep 4244.1' >out 2>log &
    pid=$!
    for _ in $(seq 100); do
        ! grep -q started out || break
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid || status=$?
    eq 143 $status
    nothing_left 'sleep 4244.1'
}
