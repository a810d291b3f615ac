shale run
shale run --frobnicate x; echo "status $?" >&2
shale run localhost:1/nosuch true; echo "status $?" >&2
shale run -t x </dev/null; echo "status $?" >&2
shale run -e =x x; echo "status $?" >&2
