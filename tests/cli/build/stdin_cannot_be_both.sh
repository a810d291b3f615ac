shale build -f - - </dev/null
