shale help | grep '^  debug'
shale debug --help | head -n 1
