printf 'FROM scratch AS base\nCMD a\n' >Dockerfile
shale build --progress=rawjson -o type=cacheonly . 2>&1 | grep '"warnings"'
