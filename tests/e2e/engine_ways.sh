# The ways to a Docker engine that is not at a unix socket of this machine: ssh, and TCP with TLS. By each of them only
# what lacks is sent, and nothing when nothing lacks.
# shellcheck shell=bash disable=SC2016,SC2154
. "$PROJECT/tests/e2e/engine.sh"

# What engine and watched have set up, by another address: HOST.
load_by() { # load_by HOST [FLAG...]
    local host=$1
    shift
    : >sent
    DOCKER_HOST=$host "$SHALE" build --progress=plain --load --iidfile id "$@" ctx >out 2>log ||
        { sed 's/^/  | /' log >&2; fail "build --load $*"; }
}

# Like only_what_lacks of engine.sh, in short.
only_what_lacks_by() { # only_what_lacks_by HOST
    local all first
    late_copy hello
    load_by "$1" -t "$NAME:1"
    eq 1 "$(loads)" "loads of the first build"
    all=$(sent_bytes)
    same_there hello
    first=$(docker image inspect -f '{{.Id}}' "$NAME:1")
    load_by "$1" -t "$NAME:1"
    eq 0 "$(loads)" "loads when nothing changed"
    late_copy edited
    load_by "$1" -t "$NAME:1" -t "$NAME:2"
    eq 1 "$(loads)" "loads after an edit"
    eq 0 "$(grep -c 'POST /images/.*/tag' sent)" "tags beside the load that sets them"
    [ "$(sent_bytes)" -lt $((all / 4)) ] || { cat sent >&2; fail "$(sent_bytes) of $all bytes were sent"; }
    has log "transferring 1 of 4 layers"
    same_there edited
    docker image rm -f "$NAME:1" "$NAME:2" "$first" >/dev/null
    load_by "$1" -t "$NAME:1"
    has log "transferring 4 of 4 layers"
    same_there edited
}

# --- ssh ---

# The docker client of the other machine, and an ssh that goes nowhere: what it would run there runs here.
stand_in_ssh() {
    mkdir -p bin
    printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v "${SHALE_TEST_DOCKER%% *}")${SHALE_TEST_DOCKER#"${SHALE_TEST_DOCKER%% *}"}" >bin/docker
    cat >bin/ssh <<END
#!/bin/sh
echo "\$*" >>$W/calls
while [ "\$1" != -- ]; do shift; done
shift 2
PATH=$W/bin:\$PATH exec sh -c "\$*" $W/mark
END
    chmod +x bin/docker bin/ssh
    export PATH=$W/bin:$PATH
}

by_ssh() {
    engine "$1"
    watched
    stand_in_ssh
    only_what_lacks_by "ssh://me@build:2222$sockets/proxy.sock"
    eq "-o ConnectTimeout=30 -T -l me -p 2222 -- build docker --host=unix://$sockets/proxy.sock system dial-stdio" \
        "$(sort -u calls)" "what ssh was told"
    nothing_left "$W/mark"
}

t_an_engine_with_graph_drivers_is_reached_by_ssh() {
    by_ssh graph
}

t_an_engine_with_the_containerd_store_is_reached_by_ssh() {
    by_ssh ctrd
}

t_an_ssh_context_is_used_and_what_ssh_says_is_in_the_error() {
    local name=far id
    mkdir -p bin
    id=$(printf %s $name | sha256sum | cut -d ' ' -f 1)
    mkdir -p "docker/contexts/meta/$id"
    echo '{"Name":"far","Endpoints":{"docker":{"Host":"ssh://nobody@far.invalid"}}}' >"docker/contexts/meta/$id/meta.json"
    printf '#!/bin/sh\necho "$*" >calls\nprintf "Warning: x\\033\\r\\nnobody@far: Permission denied (publickey).\\n" >&2\nexit 255\n' >bin/ssh
    chmod +x bin/ssh
    printf 'FROM base:1\n' | dockerfile
    local status=0
    PATH=$W/bin:$PATH DOCKER_CONFIG=$W/docker DOCKER_CONTEXT=far "$SHALE" build --load ctx >out 2>log || status=$?
    eq 1 $status
    has log 'cannot connect to the Docker engine at ssh://nobody@far.invalid: ssh says: Warning: x\x1b; nobody@far: Permission denied (publickey).'
    eq "-o ConnectTimeout=30 -T -l nobody -- far.invalid docker system dial-stdio" "$(cat calls)"
    # One that says nothing and goes on for ever ends with the build.
    printf '#!/bin/sh\nexec sleep 98765\n' >bin/ssh
    PATH=$W/bin:$PATH DOCKER_HOST=ssh://far.invalid "$SHALE" build --load ctx >out 2>log &
    local pid=$!
    for _ in $(seq 100); do pgrep -f '^sleep 98765' >/dev/null && break || sleep 0.1; done
    pgrep -f '^sleep 98765' >/dev/null || fail "ssh was not started: $(cat log)"
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    eq 143 $status
    nothing_left 'sleep 98765'
}

t_without_ssh_and_with_a_hostile_address_one_sentence_says_so() {
    printf 'FROM base:1\n' | dockerfile
    local status=0
    mkdir -p none
    DOCKER_HOST=ssh://build PATH=$W/none "$SHALE" build --load ctx >out 2>log || status=$?
    eq 1 $status
    has log "cannot connect to the Docker engine at ssh://build: no program 'ssh' in PATH"
    local bad
    for bad in 'ssh://-oProxyCommand=id' 'ssh://-l@build' 'ssh://build/run/d.sock;id' 'ssh://$(id)' 'ssh://build:-1' 'ssh://'; do
        status=0
        DOCKER_HOST=$bad "$SHALE" build --load ctx >out 2>log || status=$?
        eq 1 $status "$bad"
        has log "'$bad' is no address of an engine"
    done
    DOCKER_HOST=ssh://me:hunter2@build "$SHALE" build --load ctx >out 2>log || status=$?
    has log "may not have a password"
    hasnt log hunter2
}

# A real server and client, with keys and configurations of their own.
start_sshd() { # sets SSH_PORT and SSHD; the client's wrapper is bin/ssh
    local port key
    command -v sshd >/dev/null || not_here "no sshd (openssh-server; it is not installed for a test, as it would be started)"
    mkdir -p keys /run/sshd
    for key in host user other; do ssh-keygen -q -t ed25519 -N '' -f "keys/$key"; done
    cp keys/user.pub keys/authorized
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "HostKey $W/keys/host" "AuthorizedKeysFile $W/keys/authorized" \
            "PidFile none" "StrictModes no" "UsePAM yes" "PasswordAuthentication no" "KbdInteractiveAuthentication no" \
            "PermitRootLogin prohibit-password" "SetEnv PATH=$W/bin:/usr/bin:/bin" "PrintMotd no" "PrintLastLog no" >sshd_config
        "$(command -v sshd)" -D -e -f "$W/sshd_config" >sshd.log 2>&1 &
        sshd_pid=$!
        for _ in $(seq 50); do
            kill -0 $sshd_pid 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                SSH_PORT=$port
                echo "[127.0.0.1]:$port $(cat keys/host.pub)" >keys/known
                return
            fi
            sleep 0.1
        done
        kill $sshd_pid 2>/dev/null || :
    done
    fail "sshd does not start: $(tail -n 2 sshd.log)"
}

client_of() { # client_of KEY: the real ssh, with that key
    printf 'IdentityFile %s\nIdentitiesOnly yes\nUserKnownHostsFile %s\nGlobalKnownHostsFile /dev/null\n' \
        "$W/keys/$1" "$W/keys/known" >ssh_config
    printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(PATH=/usr/local/bin:/usr/bin:/bin command -v ssh)" "$W/ssh_config" >bin/ssh
}

t_a_real_ssh_server_leads_to_the_engine() {
    engine graph
    watched
    stand_in_ssh
    start_sshd
    trap 'kill $sshd_pid 2>/dev/null; rm -rf "$sockets"; kill $proxy_pid 2>/dev/null; docker image rm -f $NAME:1 $NAME:2 >/dev/null 2>&1 || :' EXIT
    local host=ssh://root@127.0.0.1:$SSH_PORT$sockets/proxy.sock status=0
    client_of user
    only_what_lacks_by "$host"
    client_of other
    DOCKER_HOST=$host "$SHALE" build --load -t "$NAME:1" ctx >out 2>log || status=$?
    eq 1 $status
    has log "Permission denied (publickey)"
    client_of user
    sed -i 's/ ssh-ed25519 .*/ ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGN0aGlzIGlzIG5vdCB0aGUga2V5IG9mIHRoaXMgaG9z/' keys/known
    DOCKER_HOST=$host "$SHALE" build --load -t "$NAME:1" ctx >out 2>log || status=$?
    has log "Host key verification failed."
    nothing_left "$W/ssh_config"
}

# --- TLS ---

certificate() { # certificate NAME SUBJECT EXTENSION: by the CA of the directory keys
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "keys/$1-key.pem" -out "keys/$1.csr" 2>openssl.log &&
        openssl x509 -req -in "keys/$1.csr" -CA keys/ca.pem -CAkey keys/ca-key.pem -CAcreateserial -days 2 \
            -extfile <(echo "$3") -out "keys/$1.pem" 2>openssl.log || fail "openssl: $(cat openssl.log)"
}

certificates() {
    needs openssl
    mkdir -p keys
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout keys/ca-key.pem -out keys/ca.pem 2>openssl.log ||
        fail "openssl: $(cat openssl.log)"
    certificate server "localhost" "${1:-subjectAltName=IP:127.0.0.1}"
    certificate cert client extendedKeyUsage=clientAuth
    mv keys/cert-key.pem keys/key.pem
}

start_tls() { # in front of what watched started; sets TLS_PORT
    coproc TLS { exec python3 "$PROJECT/tests/e2e/lib/tls_proxy.py" "$sockets/proxy.sock" "$W/keys"; }
    tls_pid=$TLS_PID
    trap 'kill $tls_pid 2>/dev/null; rm -rf "$sockets"; kill $proxy_pid 2>/dev/null; docker image rm -f $NAME:1 $NAME:2 >/dev/null 2>&1 || :' EXIT
    read -r TLS_PORT <&"${TLS[0]}" || fail "the TLS proxy does not start"
}

by_tls() {
    engine "$1"
    watched
    certificates
    start_tls
    export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$W/keys
    only_what_lacks_by_tls "tcp://127.0.0.1:$TLS_PORT"
}

# The docker client that looks at the engine must not take the variables.
only_what_lacks_by_tls() {
    docker() { # shellcheck disable=SC2086 # words are wanted
        env -u DOCKER_TLS_VERIFY -u DOCKER_CERT_PATH $SHALE_TEST_DOCKER "$@"
    }
    only_what_lacks_by "$@"
}

t_an_engine_with_graph_drivers_is_reached_by_tls() {
    by_tls graph
}

t_an_engine_with_the_containerd_store_is_reached_by_tls() {
    by_tls ctrd
}

t_a_context_brings_its_certificates_and_may_skip_the_check() {
    engine graph
    watched
    certificates subjectAltName=DNS:elsewhere.invalid
    start_tls
    local id dir status=0
    id=$(printf %s far | sha256sum | cut -d ' ' -f 1)
    dir=docker/contexts/tls/$id/docker
    mkdir -p "docker/contexts/meta/$id" "$dir"
    meta() { echo "{\"Name\":\"far\",\"Endpoints\":{\"docker\":{\"Host\":\"tcp://127.0.0.1:$TLS_PORT\",\"SkipTLSVerify\":$1}}}" >"docker/contexts/meta/$id/meta.json"; }
    by_context() { DOCKER_HOST='' DOCKER_CONFIG=$W/docker DOCKER_CONTEXT=far "$SHALE" build --progress=plain --load -t "$NAME:1" ctx >out 2>log; }
    app hello
    cp keys/ca.pem keys/cert.pem keys/key.pem "$dir"
    meta false
    by_context || status=$?
    eq 1 $status "a certificate of another name"
    has log "cannot connect to the Docker engine at tcp://127.0.0.1:$TLS_PORT: SSL"
    meta true
    by_context || fail "$(cat log)"
    docker run --rm --network none "$NAME:1" >theirs
    has theirs hello
    by_context
    has log CACHED
    # A client that the server does not know.
    rm "$dir/cert.pem" "$dir/key.pem"
    status=0
    by_context || status=$?
    eq 1 $status "no client certificate"
    eq 1 "$(grep -c '^ERROR: ' log)" "sentences"
}
