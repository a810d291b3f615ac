dockerfile 'FROM scratch' 'COPY Dockerfile /'
"$SHALE" build -q . 2>&1 >/dev/null | grep -c "the image stays in shale's store"
