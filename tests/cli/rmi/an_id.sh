base alpha
shale rmi "$(shale images -q)"
shale images -q
base alpha
shale tag alpha beta
id=$(shale images -q)
shale rmi "$id" 2>&1 | sed "s/$id/ID/"
shale rmi -f "$id"
shale images -q
