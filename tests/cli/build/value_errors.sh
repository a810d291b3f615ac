bad() { shale build "$@" . && echo "accepted $*"; }
bad -t A
bad -t 'a b'
bad -t ''
bad --network foo
bad --platform foo/bar/baz/q
bad --platform linux/amd64,foo/bar/baz/q
bad --label =x
bad --build-arg ''
bad --build-arg =x
bad --add-host foo
bad --add-host foo:bar
bad --no-cache --no-cache-filter a
bad --progress foo
bad --progress tty
bad -q --progress plain
bad --iidfile none/id
bad --metadata-file none/m
true
