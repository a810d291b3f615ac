shale version --verbose | sed 's/ .*//; s/^$/library/'
