# Registries that ask who we are, with certificates of their own, and through a proxy: docker-registry on loopback.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

# make_certs: a CA, a certificate of it for the registry and one for us.
make_certs() {
    needs openssl
    mkdir -p pki
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
        -keyout pki/ca.key -out pki/ca.crt 2>pki/log || fail "making a CA: $(cat pki/log)"
    local who
    for who in server client; do
        printf 'subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1\n' >pki/ext
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$who" \
            -keyout "pki/$who.key" -out "pki/$who.csr" 2>pki/log || fail "asking: $(cat pki/log)"
        openssl x509 -req -in "pki/$who.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 2 \
            -extfile pki/ext -out "pki/$who.crt" 2>pki/log || fail "signing: $(cat pki/log)"
    done
}

# start_closed [YAML]: a registry with TLS and the user "user" with the password "hunter2 is long"; YAML is added to
# its tls section.
start_closed() {
    local port
    needs docker-registry
    make_certs
    python3 -W ignore -c 'import crypt; print("user:" + crypt.crypt("hunter2 is long", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >htpasswd
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >closed.yml <<END
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: $W/closed } }
auth: { htpasswd: { realm: here, path: $W/htpasswd } }
http: { addr: "127.0.0.1:$port", tls: { certificate: $W/pki/server.crt, key: $W/pki/server.key ${1:-} } }
END
        docker-registry serve closed.yml >closed.log 2>&1 &
        closed_pid=$!
        trap 'kill $closed_pid 2>/dev/null || :' EXIT
        for _ in $(seq 50); do
            kill -0 $closed_pid 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                CLOSED=localhost:$port
                return
            fi
            sleep 0.1
        done
    done
    fail "docker-registry does not start: $(tail -n 2 closed.log)"
}

# fill: app:1 into the registry.
fill() {
    printf 'FROM base:1\nRUN echo closed > /pushed\n' >pushed.Dockerfile
    shale build --progress=plain --load=false -f pushed.Dockerfile -o type=oci,dest=app.tar ctx 2>fill.log ||
        { cat fill.log; fail "building app"; }
    mkdir -p skopeo.d
    cp pki/ca.crt skopeo.d/
    cp pki/client.crt skopeo.d/client.cert
    cp pki/client.key skopeo.d/
    skopeo --insecure-policy copy -q --dest-cert-dir skopeo.d --dest-creds 'user:hunter2 is long' \
        oci-archive:app.tar "docker://$CLOSED/app:1" 2>fill.log || { cat fill.log; fail "filling the registry"; }
    export SHALE_ROOT=$W/empty.$RANDOM SHALE_CONFIG=$W/shale.conf DOCKER_CONFIG=$W/docker
    printf 'registry-certs = %s\n' "$W/certs.d" >shale.conf
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen\n' "$CLOSED" | dockerfile
}

trust() { # trust [HOST:PORT]
    mkdir -p "certs.d/${1:-$CLOSED}"
    cp pki/ca.crt "certs.d/${1:-$CLOSED}/ca.crt"
}

log_in() { # log_in PASSWORD [HOST:PORT]
    mkdir -p "$DOCKER_CONFIG"
    printf '{"auths":{"%s":{"auth":"%s"}}}' "${2:-$CLOSED}" "$(printf 'user:%s' "$1" | base64 -w0)" >"$DOCKER_CONFIG/config.json"
    chmod 600 "$DOCKER_CONFIG/config.json"
}

t_tls_and_a_password() {
    start_closed
    fill
    # Neither a CA nor a password.
    build_fails
    says "$CLOSED speaks https: put its CA into certs.d/$CLOSED, or name it as insecure-registry"
    trust
    build_fails
    says "pull access denied for $CLOSED/app, repository does not exist or may require authorization"
    log_in 'wrong and long'
    build_fails
    says "pull access denied for $CLOSED/app"
    log_in 'hunter2 is long'
    SHALE_LOG=debug build -t t
    eq closed "$(inside cat /seen)"
    # What was said there is nowhere here.
    local secret
    for secret in 'hunter2' "$(printf 'user:hunter2 is long' | base64 -w0)"; do
        hasnt log "$secret"
        ! grep -rqaF -- "$secret" "$SHALE_ROOT" || fail "'$secret' is in the store"
    done
}

t_an_unknown_ca_is_refused_and_an_insecure_host_is_not() {
    start_closed
    fill
    log_in 'hunter2 is long'
    mkdir -p "certs.d/$CLOSED"
    build_fails
    says "certificate"
    printf 'insecure-registry = other.test, %s\n' "$CLOSED" >>shale.conf
    build -t t
    eq closed "$(inside cat /seen)"
}

t_a_login_of_another_tool_for_one_repository() {
    start_closed
    fill
    trust
    mkdir -p "$DOCKER_CONFIG"
    skopeo login --authfile "$DOCKER_CONFIG/config.json" --cert-dir skopeo.d -u user --password-stdin "$CLOSED/app" \
        <<<'hunter2 is long' >login.log 2>&1 || { cat login.log; fail "skopeo login"; }
    has "$DOCKER_CONFIG/config.json" "$CLOSED/app"
    build -t t
    eq closed "$(inside cat /seen)"
    printf 'FROM %s/apple:1\n' "$CLOSED" | dockerfile
    build_fails
    says "pull access denied for $CLOSED/apple"
}

t_a_certificate_of_ours() {
    start_closed ", clientcas: [ $PWD/pki/ca.crt ]"
    fill
    trust
    log_in 'hunter2 is long'
    build_fails
    cp pki/client.crt "certs.d/$CLOSED/me.cert"
    build_fails
    says "me.cert' has no 'me.key' beside it"
    cp pki/client.key "certs.d/$CLOSED/me.key"
    build -t t
    eq closed "$(inside cat /seen)"
}

t_a_credential_helper() {
    start_closed
    fill
    trust
    mkdir -p "$DOCKER_CONFIG" bin
    printf '{"credsStore":"e2e"}' >"$DOCKER_CONFIG/config.json"
    build_fails
    says "there is no program 'docker-credential-e2e' in PATH"
    cat >bin/docker-credential-e2e <<'END'
#!/bin/sh
read -r host
echo "$1 $host" >>"$W/asked"
[ -e "$W/locked" ] && { echo 'the keyring is locked'; exit 1; }
echo "{\"ServerURL\":\"$host\",\"Username\":\"user\",\"Secret\":\"hunter2 is long\"}"
END
    chmod +x bin/docker-credential-e2e
    export W PATH=$W/bin:$PATH
    touch locked
    build_fails
    says "the credential helper 'docker-credential-e2e' failed: the keyring is locked (exit 1)"
    rm locked asked
    build -t t
    eq closed "$(inside cat /seen)"
    eq "get $CLOSED" "$(cat asked)" "what the helper was asked"
}

t_through_a_proxy() {
    start_closed
    fill
    python3 "$PROJECT/tests/e2e/lib/proxy.py" "$W/proxy.log" >proxy.port &
    proxy_pid=$!
    trap 'kill $closed_pid $proxy_pid 2>/dev/null || :' EXIT
    for _ in $(seq 100); do
        if [ -s proxy.port ]; then break; fi
        sleep 0.1
    done
    local name=registry.test:${CLOSED#*:}
    trust "$name"
    log_in 'hunter2 is long' "$name"
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen\n' "$name" | dockerfile
    https_proxy=http://127.0.0.1:$(cat proxy.port) build -t t
    eq closed "$(inside cat /seen)"
    has proxy.log "CONNECT $name"
    hasnt proxy.log Authorization
}

t_a_mirror_of_docker_hub() {
    start_registry
    printf 'FROM base:1\nRUN echo mirrored > /pushed\n' >pushed.Dockerfile
    shale build --progress=plain --load=false -f pushed.Dockerfile -o type=oci,dest=app.tar ctx 2>fill.log ||
        { cat fill.log; fail "building app"; }
    skopeo_copy oci-archive:app.tar "docker://$REGISTRY/shale/e2e:1"
    export SHALE_ROOT=$W/empty.$RANDOM SHALE_CONFIG=$W/shale.conf
    printf 'registry-mirror = http://%s\n' "$REGISTRY" >shale.conf
    printf 'FROM shale/e2e:1\nRUN cat /pushed > /seen\n' | dockerfile
    build -t t
    eq mirrored "$(inside cat /seen)"
}

# start_token: a registry in the clear that wants tokens of tokenserver.py.
start_token() {
    local port
    needs openssl
    needs docker-registry
    mkdir -p pki
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout pki/token.key -out pki/token.crt 2>pki/log ||
        fail "making a key: $(cat pki/log)"
    python3 "$PROJECT/tests/e2e/lib/tokenserver.py" pki/token.key pki/token.crt tokens >token.port &
    token_pid=$!
    trap 'kill $token_pid 2>/dev/null || :' EXIT
    for _ in $(seq 100); do
        if [ -s token.port ]; then break; fi
        sleep 0.1
    done
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >token.yml <<END
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: $W/tokened } }
auth: { token: { realm: "http://127.0.0.1:$(cat token.port)/token", service: e2e, issuer: e2e, rootcertbundle: $W/pki/token.crt } }
http: { addr: "127.0.0.1:$port" }
END
        docker-registry serve token.yml >token.log 2>&1 &
        closed_pid=$!
        trap 'kill $closed_pid $token_pid 2>/dev/null || :' EXIT
        for _ in $(seq 50); do
            kill -0 $closed_pid 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                CLOSED=localhost:$port
                return
            fi
            sleep 0.1
        done
    done
    fail "docker-registry does not start: $(tail -n 2 token.log)"
}

t_tokens_for_a_password_and_for_an_identity() {
    start_token
    printf 'FROM base:1\nRUN echo closed > /pushed\n' >pushed.Dockerfile
    shale build --progress=plain --load=false -f pushed.Dockerfile -o type=oci,dest=app.tar ctx 2>fill.log ||
        { cat fill.log; fail "building app"; }
    skopeo_copy --dest-creds 'user:hunter2 is long' oci-archive:app.tar "docker://$CLOSED/team/app:1"
    export SHALE_ROOT=$W/empty.$RANDOM DOCKER_CONFIG=$W/docker
    printf 'FROM %s/team/app:1\nRUN cat /pushed > /seen\n' "$CLOSED" | dockerfile
    rm tokens
    build_fails
    says "pull access denied for $CLOSED/team/app, repository does not exist or may require authorization"
    eq "GET nobody repository:team/app:pull" "$(cat tokens)"
    log_in 'wrong and long'
    build_fails
    says "server message: incorrect username or password"
    rm tokens
    log_in 'hunter2 is long'
    build -t t
    eq closed "$(inside cat /seen)"
    eq "GET user repository:team/app:pull" "$(cat tokens)" "one token for the whole pull"
    rm tokens
    printf '{"auths":{"%s":{"identitytoken":"an-identity"}}}' "$CLOSED" >"$DOCKER_CONFIG/config.json"
    export SHALE_ROOT=$W/empty.$RANDOM
    build -t t
    eq closed "$(inside cat /seen)"
    eq "POST user repository:team/app:pull" "$(cat tokens)"
}

t_a_push_says_who_it_is_and_what_it_mounts_from() {
    start_token
    export DOCKER_CONFIG=$W/docker
    printf 'FROM base:1\nRUN echo pushed > /pushed\n' | dockerfile
    build -t "$CLOSED/team/app:1"
    local status=0
    shale push "$CLOSED/team/app:1" >out 2>log || status=$?
    eq 1 $status "exit status of a push by nobody"
    has log "push access denied for $CLOSED/team/app, repository does not exist or may require authorization"
    log_in 'hunter2 is long'
    shale push "$CLOSED/team/app:1" >out 2>log || { cat log; fail "shale push"; }
    printf 'FROM %s/team/app:1\nCOPY more /\n' "$CLOSED" | dockerfile
    echo more >ctx/more
    export SHALE_ROOT=$W/empty.$RANDOM
    build --pull -t "$CLOSED/team/next:1"
    : >tokens
    shale push "$CLOSED/team/next:1" >out 2>log || { cat log; fail "shale push of what was built on it"; }
    has tokens "GET user repository:team/next:pull,push repository:team/app:pull"
    skopeo --insecure-policy inspect --tls-verify=false --creds 'user:hunter2 is long' \
        "docker://$CLOSED/team/next:1" >/dev/null || fail "skopeo does not see what was pushed"
}

t_a_push_to_tls_with_a_ca_of_its_own() {
    start_closed
    fill
    trust
    log_in 'hunter2 is long'
    build -t "$CLOSED/again:1"
    shale push "$CLOSED/again:1" >out 2>log || { cat log; fail "shale push"; }
    printf 'FROM %s/again:1\nRUN cat /seen > /seen2\n' "$CLOSED" | dockerfile
    export SHALE_ROOT=$W/empty.$RANDOM
    build -t t
    eq closed "$(inside cat /seen2)"
}
