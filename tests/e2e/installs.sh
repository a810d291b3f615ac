# `COPY . .` before an install that is real: what apt-get, pip and npm ask of the copied files, and what brings them to run again.
# shellcheck shell=bash

# installer NAME: the image installer:1 has it, and what it can install.
installer() {
    local status=0
    mkdir root
    python3 -B "$PROJECT/tests/trace/installers.py" "$1" root >said || status=$?
    [ $status -ne 77 ] || not_here "$(cat said)"
    eq 0 $status "status of installers.py: $(cat said)"
    tar -C root --owner=0 --group=0 -cf root.tar .
    shale import --change 'ENV PATH=/usr/local/bin:/bin' root.tar installer:1 >/dev/null
    rm -rf root root.tar
}

# service COMMAND: forty source files, all copied before the command.
service() {
    local i
    mkdir -p ctx/src/deep ctx/docs
    for i in $(seq 40); do echo "print($i)" >"ctx/src/$i.py"; done
    echo words >ctx/docs/index.md
    echo deep >ctx/src/deep/a
    printf 'FROM installer:1\nWORKDIR /app\nCOPY . .\nRUN %s\nCMD ["true"]\n' "$1" | dockerfile
    echo Dockerfile >ctx/.dockerignore
    build -t t
    ran 'RUN'
}

# edits_that_are_no_business_of_it PATH: each way in which a source file can change; PATH is what was installed.
edits_that_are_no_business_of_it() {
    echo 'print("edited")' >ctx/src/7.py
    build -t t
    reused 'RUN'
    eq 'print("edited")' "$(inside cat /app/src/7.py)"
    inside test -e "$1" || fail "'$1' is not in the image"
    echo new >ctx/src/deep/new
    rm ctx/src/8.py
    chmod 755 ctx/src/9.py
    mkdir ctx/assets
    ln -s ../docs ctx/assets/docs
    build -t t
    reused 'RUN'
    has log '5 changed files not read'
    eq new "$(inside cat /app/src/deep/new)"
    inside sh -c '[ ! -e /app/src/8.py ] && [ -x /app/src/9.py ] && [ -L /app/assets/docs ]' || fail "the image has the old files"
    inside test -e "$1" || fail "'$1' is not in the image"
}

# runs_for REASON
runs_for() {
    build -t t
    ran 'RUN'
    has log "=> $1"
}

t_apt_get_install_after_all_is_copied() {
    installer apt
    echo left >ctx/packages
    service 'apt-get -qq update && xargs apt-get -qq -y install <packages'
    edits_that_are_no_business_of_it /usr/share/left/installed
    printf 'left\n\n' >ctx/packages
    runs_for 'read packages, which changed'
    chmod 600 ctx/packages
    runs_for 'read packages, which changed'
}

t_pip_install_after_all_is_copied() {
    installer pip
    echo 'left==1.0' >ctx/requirements.txt
    service 'pip install -q --root-user-action=ignore --no-index --find-links /repo -r requirements.txt && pip show -q left && echo yes >/installed'
    edits_that_are_no_business_of_it /installed
    echo 'left>=1.0' >ctx/requirements.txt
    runs_for 'read requirements.txt, which changed'
}

t_npm_install_after_all_is_copied() {
    installer npm
    echo '{"name":"app","version":"1.0.0","dependencies":{"left":"file:/repo/left.tgz"}}' >ctx/package.json
    service 'npm install --offline --no-audit --no-fund'
    edits_that_are_no_business_of_it /app/node_modules/left/index.js
    echo 'fund=false' >ctx/.npmrc
    runs_for 'looked for .npmrc, which is there now'
    echo '{"name":"app","version":"1.0.1","dependencies":{"left":"file:/repo/left.tgz"}}' >ctx/package.json
    runs_for 'read package.json, which changed'
}
