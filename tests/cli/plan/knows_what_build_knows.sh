# every option of build, and its own
shale build --help | grep -o -- '--[a-z-]*' | sort >build
shale plan --help | grep -o -- '--[a-z-]*' | sort >plan
comm -23 build plan
comm -13 build plan
