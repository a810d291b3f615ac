dockerfile 'FROM scratch AS build' 'COPY x'
for call in nothing check,format check,a=b check,ignorestatus=maybe format=json check,outline; do
    shale build --call="$call" .
    echo "exit status $?"
done
shale build --call=outline --progress=none .
shale build --call=targets --progress=none .
dockerfile 'FROM scratch AS build'
shale build --call=outline --progress=none --target buidl .
# a build all the same
shale build --call= --progress=none -o type=cacheonly . && shale build --call=build --progress=none -o type=cacheonly .
