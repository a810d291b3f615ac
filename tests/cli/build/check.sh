printf 'FROM scratch as base\nCMD x\n# check=skip=all\nMAINTAINER me\nENV a \\\n\n b\nCOPY out /\n' >Dockerfile
echo out >.dockerignore
shale build --check --progress none --iidfile id .
