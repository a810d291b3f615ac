commands bb
shale run --rm -e A=b -e HOME_OF_NOBODY -w /tmp bb sh -c 'echo $A $PWD; echo err >&2; exit 3'
