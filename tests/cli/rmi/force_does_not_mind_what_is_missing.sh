shale rmi -f nosuch
