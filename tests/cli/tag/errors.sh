base alpha
shale tag nosuch x
shale tag alpha B
shale tag alpha "x@sha256:$(printf '%064d' 0)"
shale tag alpha
