# A store or Dockerfile opened as fd 1 or 2 would be written into.
dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q . 0<&- 1>&- 2>&- || echo "status $?"
shale build -q . >id && grep -cE '^sha256:[0-9a-f]{64}$' id
