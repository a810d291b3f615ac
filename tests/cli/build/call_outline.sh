cat >Dockerfile <<'EOF'
# GLOBAL is a global thing
ARG GLOBAL=1
ARG NODEF
# VERSION is not it
ARG VERSION=1.${GLOBAL} OTHER=x

# build is the builder
FROM scratch AS build
# FOO sets foo
ARG FOO=bar
ARG GLOBAL
ARG TARGETARCH
ARG NOVAL
# ZED does zed
ARG ZED="a b" YAK
RUN --mount=type=secret,id=tok --mount=type=ssh true
RUN --mount=type=secret,id=req,required=true --mount=type=ssh,id=key,required \
    true

FROM scratch
ARG VERSION
COPY --from=build /x /x

# runtime ships it
FROM --platform=linux/amd64 build AS runtime
ARG LAST=${FOO}x
# check=skip=all
CMD foo
EOF
for format in text json; do
    shale build --call=outline,format=$format --progress=none .
done
echo "--- another target, arguments given"
shale build --call outline --progress=none --target build --build-arg FOO=given --build-arg NOVAL=nv .
echo "--- by its old name"
shale build --print outline --progress=none --target BUILD . | head -n 1
