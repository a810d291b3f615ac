commands bb
dockerfile 'FROM bb' 'RUN printf "\033[31mred\033[0m\033[2J\ttab\b\nmore"; printf "\nno newline"'
shale build --progress plain . 2>&1 | sed -n '/RUN/,/DONE/p'
