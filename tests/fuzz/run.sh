#!/bin/bash
# run.sh SECONDS: builds tests/fuzz/fuzz_FOLDER_WHAT.c with clang's libFuzzer, ASan and UBSan, and runs each for that
# long, beginning with the inputs in tests/data/fuzz/FOLDER_WHAT/. What crashed once is kept there as a file and is
# replayed first, every time (and by `make replay` without a fuzzer). Ends with "N passed, N failed".
#
#   T='dockerfile_*'   only these              JOBS           how many at a time (default: one for each processor)
#   LONGER=60          the targets named below, which read what strangers write, run at least so long
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-30}
longer="dockerfile_parse dockerfile_expand dockerfile_ignore"
clang=$(command -v clang-14 || command -v clang) || { echo "no clang: install clang-14"; exit 1; }
out=${FUZZ_OUT:-out/fuzz}
mkdir -p "$out"
san='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'

build() {
    make --no-print-directory -j"$(nproc)" CC="$clang" OUT="$out" CFLAGS="-O1 $san" LDFLAGS='-fsanitize=fuzzer,address,undefined' "$@"
}

fuzz() { # fuzz WHAT: says how it went into $out/WHAT.result
    local what=$1 time=$seconds
    [[ " $longer " != *" $what "* ]] || [ "${LONGER:-0}" -le "$time" ] || time=$LONGER
    mkdir -p "$out/corpus/$what"
    set -- "$out/corpus/$what"
    [ ! -d "tests/data/fuzz/$what" ] || set -- "$@" "tests/data/fuzz/$what"
    if "$out/fuzz/fuzz_$what" -max_total_time="$time" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 \
        -artifact_prefix="$out/crash-$what-" "$@" >"$out/$what.log" 2>&1; then
        echo "ok - $what ($time s)"
    else
        tail -n 60 "$out/$what.log"
        echo "not ok - $what (the input is at $out/crash-$what-*)"
    fi >"$out/$what.result"
}

# The long ones first: the others run beside them.
all=$longer
for source in tests/fuzz/fuzz_*.c; do
    what=$(basename "$source" .c)
    what=${what#fuzz_}
    [[ " $longer " == *" $what "* ]] || all="$all $what"
done
wanted=
for what in $all; do
    # shellcheck disable=SC2053 # a pattern is wanted
    [[ -z "${T:-}" || $what == $T ]] && wanted="$wanted $what"
done
rm -f "$out"/*.result
# shellcheck disable=SC2086 # words are wanted
build -k $(printf " $out/fuzz/fuzz_%s" $wanted) >"$out/make.log" 2>&1 || tail -n 40 "$out/make.log"
for what in $wanted; do
    if [ -x "$out/fuzz/fuzz_$what" ]; then
        fuzz "$what" &
    else
        echo "not ok - $what does not build" >"$out/$what.result"
    fi
    while [ "$(jobs -pr | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done
done
wait
for what in $wanted; do
    cat "$out/$what.result"
done
passed=$(cat "$out"/*.result | grep -c '^ok - ')
failed=$(cat "$out"/*.result | grep -c '^not ok - ')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
