base alpha
shale tag alpha beta
shale images -q | grep -cE '^[0-9a-f]{12}$'
shale images -q --no-trunc | grep -cE '^sha256:[0-9a-f]{64}$'
