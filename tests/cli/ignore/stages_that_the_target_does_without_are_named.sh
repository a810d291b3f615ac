dockerfile 'FROM scratch AS tests' 'COPY tests /tests' 'FROM scratch AS none' 'FROM scratch AS app' 'COPY app* /'
mkdir tests
touch app tests/a b
shale build -q --target app . >/dev/null 2>&1
shale ignore --target app .
