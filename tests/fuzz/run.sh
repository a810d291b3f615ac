#!/bin/sh
# run.sh SECONDS: builds tests/fuzz/fuzz_FOLDER_WHAT.c with clang's libFuzzer, ASan and UBSan, and runs each for that
# long, beginning with the inputs in tests/data/fuzz/FOLDER_WHAT/. What crashed once is kept there as a file and is
# replayed first, every time. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-30}
clang=$(command -v clang-14 || command -v clang) || { echo "no clang: install clang-14"; exit 1; }
out=out/fuzz
mkdir -p $out
passed=0 failed=0
san='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    what=${name#fuzz_}
    # shellcheck disable=SC2086 # words are wanted
    make --no-print-directory -j"$(nproc)" CC="$clang" OUT=$out CFLAGS="-O1 $san" LDFLAGS='-fsanitize=fuzzer,address,undefined' \
        "$out/fuzz/$name" >"$out/make.log" 2>&1 || { cat "$out/make.log"; echo "not ok - $what does not build"; failed=$((failed + 1)); continue; }
    mkdir -p "$out/corpus/$what"
    set -- "$out/corpus/$what"
    [ ! -d "tests/data/fuzz/$what" ] || set -- "$@" "tests/data/fuzz/$what"
    if "$out/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 \
        -artifact_prefix="$out/crash-$what-" "$@" >"$out/$what.log" 2>&1; then
        echo "ok - $what"
        passed=$((passed + 1))
    else
        tail -n 60 "$out/$what.log"
        echo "not ok - $what (the input is at $out/crash-$what-*)"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
