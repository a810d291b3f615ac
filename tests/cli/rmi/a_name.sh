base alpha
shale tag alpha beta:2
shale rmi alpha
shale images --format json | jq -r .Repository
