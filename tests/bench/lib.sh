# shellcheck shell=bash disable=SC2154 # dir, name, ctx and the programs are the including script's
# What the benches share: contexts, builders, times. A "way" is a function that does the thing to be timed; its times
# are kept in $dir/times.WAY, one line a round.

# make_context DIR N: N small files in directories of about 50, and a Dockerfile with `COPY . .` last.
make_context() {
    mkdir -p "$1"
    awk -v n="$2" -v dir="$1" 'BEGIN {
        dirs = n < 2000 ? 40 : n / 50
        for (i = 0; i < dirs; i++)
            print "mkdir -p " dir "/src/" int(i / 40) "/" i | "sh"
        close("sh")
        for (i = 0; i < n; i++) {
            file = dir "/src/" int(i % dirs / 40) "/" i % dirs "/" i ".txt"
            printf "file %d\n", i >file
            close(file)
        }
    }'
    echo dependencies >"$1/deps"
    cat >"$1/Dockerfile" <<END
FROM $name-base:1
WORKDIR /app
COPY deps .
RUN cat deps > installed
COPY . .
CMD ["cat", "installed"]
END
}

make_base_root() {
    local applet
    mkdir -p "$dir/root/bin"
    cp "$(command -v busybox)" "$dir/root/bin/busybox"
    for applet in sh ls cat wc; do ln -s busybox "$dir/root/bin/$applet"; done
}

make_base() {
    make_base_root
    tar -C "$dir/root" -cf "$dir/base.tar" .
    "$SHALE" import "$dir/base.tar" "$name-base:1" >/dev/null
    [ -z "${DOCKER_HOST:-}" ] || $DOCKER import "$dir/base.tar" "$name-base:1" >/dev/null
}

# Ways, on the context $ctx.
own() { "$SHALE" build --progress=plain --load=false -t "$name:1" "$ctx"; }
into_engine() { "$SHALE" build --progress=plain --load -t "$name:1" "$ctx"; }
# shellcheck disable=SC2086 # words are wanted
docker_build() { $DOCKER build ${DOCKER_FLAGS:-} --progress=plain -t "$name:2" "$ctx"; }
walk() { "$STAT_WALK" "$ctx"; }
start() { "$SHALE" version; }

run() { # run WAY
    "$1" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
}

time_ms() { # time_ms WAY
    local from=${EPOCHREALTIME/./} us
    run "$1"
    us=$((${EPOCHREALTIME/./} - from))
    printf '%d.%d\n' $((us / 1000)) $((us % 1000 / 100))
}

# measure CHANGE WAY...: RUNS rounds; in each all ways in turn, so that a busy moment hits all, and none always comes after
# the same one. CHANGE is run before each with a word that is never the same.
measure() {
    local change=$1 round way
    shift
    rm -f "$dir"/times.*
    for way in "$@"; do run "$way"; done
    for round in $(seq "$RUNS"); do
        for way in "$@"; do
            "$change" "$round.$way"
            time_ms "$way" >>"$dir/times.$way"
        done
        set -- "${@:2}" "$1"
    done
}

nothing() { :; }
one_file() { echo "edited $RANDOM $1" >"$(find "$ctx/src" -name 7.txt)"; }

middle() { sort -g | sed -n "$(((RUNS + 1) / 2))p"; }
median() { middle <"$dir/times.$1"; }

# ratio WAY OVER...: the median of the rounds' ratios: WAY's time by the sum of the others'.
ratio() {
    local way=$1 over=()
    shift
    for over_way in "$@"; do over+=("$dir/times.$over_way"); done
    paste "$dir/times.$way" "${over[@]}" |
        awk '{ sum = 0; for (i = 2; i <= NF; i++) sum += $i; printf "%.2f\n", $1 / sum }' | middle
}
