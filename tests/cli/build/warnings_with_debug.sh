printf 'FROM scratch AS base\nENV a \\\n\n b\nCMD a\n' >Dockerfile
shale build --progress=plain -o type=cacheonly . 2>&1 | sed -n '/WARN/p; /found/,$p'
shale build --progress=plain -o type=cacheonly --debug . 2>&1 | sed -n '/found/,$p' | grep -v '^shale: debug'
