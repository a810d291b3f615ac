# Secrets, SSH agents, privileged steps and limits: what a step gets, and that nothing of it stays.
# shellcheck shell=bash

CANARY=canary-c0ffee-5d1e2f

# The canary is in no file of the store (also not in what SQLite has freed), in no output and no log.
canary_is_nowhere() { # canary_is_nowhere FILE...
    ! grep -rlF -e "$CANARY" "$SHALE_ROOT" >&2 || fail "the secret is in the store"
    ! grep -lF -e "$CANARY" "$@" >&2 || fail "the secret is in an output"
}

t_a_secret_is_seen_by_its_step_and_stays_nowhere() {
    dockerfile <<'END'
FROM base:1
RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B --mount=type=secret,id=a,target=/opt/app/key,mode=0440,uid=5,gid=6 \
    sha256sum </run/secrets/a; echo -n "$B" | sha256sum; stat -c '%a %u %g' /run/secrets/a /opt/app/key; \
    grep -c ' /opt/app/key tmpfs ro,nosuid,nodev,noexec' /proc/mounts; echo x >/opt/app/key || echo kept
RUN ls /run/secrets /opt/app 2>&1 | wc -l; test -z "$B"
END
    printf %s "$CANARY" >s
    sum=$(sha256sum <s)
    SHALE_LOG=debug B=$CANARY build -D --secret id=a,src=s --secret id=b,env=B -o type=oci,dest=oci.tar
    eq 2 "$(grep -c "$sum" log)" "sums of the secret"
    has log "400 0 0"
    has log "440 5 6"
    has log " kept"
    mkdir oci
    tar -C oci -xf oci.tar
    for blob in oci/blobs/sha256/*; do zstdcat -f "$blob" 2>/dev/null || zcat -f "$blob"; done >all
    tree t --secret id=a,src=s --secret id=b,src=s
    [ ! -e t/run/secrets ] && [ ! -e t/opt/app ] || fail "a mount point is in the image"
    canary_is_nowhere log out all oci.tar
}

t_what_a_step_prints_of_a_secret_is_not_shown_and_not_kept() {
    dockerfile <<'END'
FROM base:1
RUN --mount=type=secret,id=a,env=A --mount=type=secret,id=k set -x; echo "<$A>"; cat /run/secrets/k >&2; \
    printf '%s' "${A%e2f}"; sleep 0.3; printf '%s\n' "${A#"${A%e2f}"}"; printf '%s' "${A%e2f}"
RUN --mount=type=secret,id=a,env=A sh -c "exit 3 # $A" && /bin/false "$A" || nosuch "$A"
END
    printf '%s\n' first "$CANARY" >k
    for progress in plain rawjson tty; do
        A=$CANARY SHALE_LOG=debug "$SHALE" build --no-cache --progress=$progress --load=false --secret id=a,env=A \
            --secret id=k,src=k -D ctx >out 2>log && fail "the build succeeds"
        canary_is_nowhere out log
        [ $progress = plain ] || continue
        has log "<***>"
        has log first
        grep -q '^#[0-9]* [0-9.]* canary-c0ffee-5d1$' log || fail "what was held back does not come out at the end"
        has log "nosuch: not found"
    done
}

t_a_step_that_crashes_leaves_no_core_file_with_its_secrets() {
    printf 'FROM base:1\nRUN --mount=type=secret,id=a,env=A ulimit -c; sh -c "kill -SEGV \\$\\$"; ls; ulimit -c unlimited\n' | dockerfile
    ulimit -c unlimited
    A=$CANARY build --secret id=a,env=A
    grep -q '^#[0-9]* [0-9.]* 0$' log || fail "core files are not off"
    hasnt log " core"
    canary_is_nowhere log out
}

t_a_runtime_that_refuses_a_variable_does_not_show_it() {
    printf 'FROM base:1\nRUN --mount=type=secret,id=a,env==x true\n' | dockerfile
    A=$CANARY build_fails --secret id=a,env=A
    canary_is_nowhere log out
}

t_a_secret_of_another_value_changes_no_key() {
    printf 'FROM base:1\nRUN --mount=type=secret,id=a,required cat /run/secrets/a | wc -c >/n\n' | dockerfile
    echo one >s
    build --secret id=a,src=s
    echo another >s
    build --secret id=a,src=s
    cached 'RUN --mount'
}

t_a_required_secret_must_be_given_and_another_need_not() {
    printf 'FROM base:1\nRUN --mount=type=secret,id=a test ! -e /run/secrets/a\n' | dockerfile
    build
    printf 'FROM base:1\nRUN --mount=type=secret,id=a,required true\n' | dockerfile
    build_fails
    says "secret a: not found"
}

t_a_secret_of_500_kib_arrives_and_a_larger_one_is_refused() {
    printf 'FROM base:1\nRUN --mount=type=secret,id=a wc -c </run/secrets/a >/n\n' | dockerfile
    head -c 512000 /dev/zero >s
    build --secret id=a,src=s -t t
    eq 512000 "$(inside cat /n)"
    head -c 512001 /dev/zero >s
    build_fails --secret id=a,src=s
    says "secret a too big. max size 500KiB"
}

# ssh-add and what it needs into ctx/ssh.
copy_ssh_add() {
    needs ssh-add
    local lib
    mkdir -p ctx/ssh
    cp "$(command -v ssh-add)" ctx/ssh/ssh-add
    ldd ctx/ssh/ssh-add | grep -o '/[^ ]*' | while read -r lib; do
        mkdir -p "ctx/ssh/root$(dirname "$lib")"
        cp "$lib" "ctx/ssh/root$lib"
    done
}

start_agent() { # sets SSH_AUTH_SOCK and SSH_AGENT_PID; ends with the test
    needs ssh-agent
    ssh-keygen -q -t ed25519 -N '' -C key-of-the-test -f key
    eval "$(ssh-agent -a "$W/a.sock")" >/dev/null
    trap 'kill "$SSH_AGENT_PID" 2>/dev/null || :' EXIT
    ssh-add -q key
}

SSH_DOCKERFILE='FROM base:1
COPY ssh/root /
COPY ssh/ssh-add /bin/ssh-add
'

t_a_step_can_use_the_agent_and_not_change_it() {
    copy_ssh_add
    start_agent
    { echo "$SSH_DOCKERFILE"; cat <<'END'; } | dockerfile
RUN --mount=type=ssh,mode=0660,gid=7 ssh-add -l >/keys; stat -c '%F %a %u %g' "$SSH_AUTH_SOCK" >>/keys; \
    ssh-add -D 2>/dev/null && echo removed >>/keys; ssh-add -x </dev/null 2>/dev/null && echo locked >>/keys; \
    ssh-add -l >>/keys; echo "$SSH_AUTH_SOCK" >>/keys
RUN test -z "$SSH_AUTH_SOCK" && ls /run/buildkit 2>&1 | wc -l >/left
END
    build --ssh default -t t
    inside cat /keys >keys
    eq 2 "$(grep -c key-of-the-test keys)" "times the key was listed"
    hasnt keys removed
    hasnt keys locked
    has keys "socket 660 0 7"
    has keys /run/buildkit/ssh_agent.0
    ssh-add -l | grep -q key-of-the-test || fail "the agent has lost its key"
    nothing_left ssh-add-of-the-test
}

t_keys_in_files_need_no_agent_of_the_user() {
    copy_ssh_add
    needs ssh-keygen
    unset SSH_AUTH_SOCK
    ssh-keygen -q -t ed25519 -N '' -C one -f one
    ssh-keygen -q -t ed25519 -N '' -C two -f two
    chmod 644 two
    { echo "$SSH_DOCKERFILE"; echo 'RUN --mount=type=ssh,id=k ssh-add -l | wc -l >/n'; } | dockerfile
    build --ssh k=one,two -t t
    eq 2 "$(inside cat /n)"
    nothing_left "$SHALE_ROOT"
    ! pgrep -f "ssh-agent -D -a /proc/" >pids || fail "an ssh-agent is left: $(cat pids)"
}

t_an_agent_that_cannot_be_is_refused_before_the_build() {
    needs ssh-keygen
    unset SSH_AUTH_SOCK
    printf 'FROM base:1\nRUN --mount=type=ssh,required true\n' | dockerfile
    build_fails --ssh default
    says "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"
    build_fails --ssh default=nosuch
    says "stat nosuch: no such file or directory"
    ssh-keygen -q -t ed25519 -N secret -f locked
    build_fails --ssh default=locked
    says "ssh: this private key is passphrase protected"
    build_fails
    says "unset ssh forward key default"
}

# A step that holds a secret and an agent, ended from outside, by SIGNAL to shale.
killed_step() { # killed_step SIGNAL
    needs ssh-keygen
    ssh-keygen -q -t ed25519 -N '' -f key
    printf %s "$CANARY" >s
    cat >ctx/Dockerfile <<'END'
FROM base:1
RUN --mount=type=secret,id=a --mount=type=secret,id=a,env=A --mount=type=ssh cp /run/secrets/a /dev/shm/a; echo up; sleep 4242.7
END
    env --default-signal=INT "$SHALE" build --progress=plain --load=false --secret id=a,src=s --ssh default=key ctx \
        >out 2>log &
    local pid=$! n=0
    until grep -qs " up\$" log || [ $((n += 1)) -gt 100 ]; do sleep 0.1; done
    has log " up"
    ! grep -rlF -e "$CANARY" "$SHALE_ROOT" >&2 || fail "the secret is in the store while the step runs"
    kill "-$1" $pid
    wait $pid || :
    printf 'FROM base:1\nRUN true\n' | dockerfile
    n=0 # who is killed leaves its scratch to the next one
    while pgrep -f 'sleep 4242[.]7|ssh-agent -D -a /proc/'"$pid" >pids && [ $((n += 1)) -lt 50 ]; do sleep 0.1; done
    [ ! -s pids ] || fail "processes are left: $(cat pids)"
    build
    nothing_left 'sleep 4242.7'
    canary_is_nowhere log out
}

t_kill_9_leaves_no_secret_and_no_agent() {
    killed_step KILL
}

t_an_interrupt_leaves_no_secret_and_no_agent() {
    killed_step INT
}

t_an_insecure_step_needs_the_word_of_the_command_line() {
    printf 'FROM base:1\nRUN touch /first\nRUN --security=insecure mount -t tmpfs none /tmp && test -c /dev/fuse && grep ^CapAmb /proc/self/status\n' |
        dockerfile
    build_fails
    says "security.insecure is not allowed"
    eq "" "$(how 'RUN touch /first')" "a step before it"
    build_fails --allow security.secure
    says "unknown entitlement security.secure"
    build --allow security.insecure
    ran 'RUN --security=insecure'
    printf 'FROM base:1\nRUN --security=sandbox mount -t tmpfs none /tmp\n' | dockerfile
    build_fails --allow security.insecure
}

t_the_hosts_network_needs_the_word_of_the_command_line() {
    printf 'FROM base:1\nRUN --network=host true\n' | dockerfile
    build_fails
    says "network.host is not allowed"
    build --allow network.host
    build --network host
}

t_limits_reach_the_step_and_its_key() {
    printf 'FROM base:1\nRUN ulimit -n >/l; ulimit -Hn >>/l; grep " /dev/shm " /proc/mounts | grep -o "size=[0-9]*k" >>/l\n' | dockerfile
    build --ulimit nofile=100:200 --shm-size 3m --cgroup-parent e2e-limits -t t
    eq "100 200 size=3072k" "$(inside cat /l | xargs)"
    build --ulimit nofile=100:200 --shm-size 3m
    all_cached
    build --ulimit nofile=101:200 --shm-size 3m
    ran 'RUN ulimit'
    build_fails --ulimit nofile=2:1
    says "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
    find /sys/fs/cgroup -depth -type d -name e2e-limits -exec rmdir {} + 2>/dev/null || :
}
