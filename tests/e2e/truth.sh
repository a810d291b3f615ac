# A store that knows something never gives what an empty one would not: random Dockerfiles, random edits.
# TRUTH_SEED, TRUTH_EDITS and TRUTH_BATCH say which and how many (make truth); a failure prints how to have it again.
# shellcheck shell=bash

t_the_cached_image_is_the_one_without_a_cache() {
    local edits=500
    case $SHALE in */asan/* | */tsan/* | */valgrind/*) edits=100 ;; esac
    python3 -B "$PROJECT/tests/e2e/lib/truth.py" "$SHALE" "$TEMPLATE/store" "$W/tmp" "${TRUTH_SEED:-$RANDOM}" \
        "${TRUTH_EDITS:-$edits}" "${TRUTH_BATCH:-}"
}
