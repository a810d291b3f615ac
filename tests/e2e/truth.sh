# A store that knows something never gives what an empty one would not: random Dockerfiles, random edits of the context.
# TRUTH_SEED and TRUTH_ROUNDS say which and how many; a failure prints its seed.
# shellcheck shell=bash

t_a_warm_store_gives_what_an_empty_one_gives() {
    python3 "$PROJECT/tests/e2e/lib/truth.py" "$SHALE" "$TEMPLATE/store" "$W/tmp" "${TRUTH_SEED:-$RANDOM}" "${TRUTH_ROUNDS:-6}"
}
