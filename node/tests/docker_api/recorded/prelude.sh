# What every recorded session begins with: words for what it does often, and the sieve that its
# output goes through before it is compared.

IMAGE=registry.invalid/tools:1
# The folder of the sessions.
HERE=$(dirname "${BASH_SOURCE[0]}")

# Creates a service whose updates are quick to judge.
create() {
    docker service create --no-resolve-image --stop-grace-period 1s --update-monitor 1s \
        --rollback-monitor 1s "$@"
}

# The state of a service's update, nothing if it has none.
update_state() {
    docker service inspect --format '{{with .UpdateStatus}}{{.State}}{{end}}' "$1"
}

# The word and the reason of a service's update.
update_status() {
    docker service inspect --format '{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}' "$1"
}

# The variable RELEASE of a service's tasks that are to run, one line for each value.
releases() {
    docker service ps --filter desired-state=running --quiet "$1" | xargs docker inspect \
        --format '{{range .Spec.ContainerSpec.Env}}{{.}}{{end}}' | sort | uniq -c
}

# Tasks that run, as `docker service ls` counts them: "3/3".
replicas() {
    docker service ls --filter name="$1" --format '{{.Replicas}}'
}

# The table of a service's tasks; the one of a single node needs no column for it.
tasks() {
    docker service ps --format '{{.Name}} | {{.DesiredState}} | {{.CurrentState}} | {{.Error}}' "$@"
}

# Waits until a command prints these words.
until_says() {
    wanted=$1
    shift
    for _ in $(seq 400); do
        said=$("$@" 2>&1)
        [ "$said" = "$wanted" ] && return
        sleep 0.1
    done
    echo "not in time: $*: $said"
    return 1
}

# Ids and times differ from run to run; steps of progress come as often as they come. An agent that
# listens on loopback, as in the tests, says that it makes no networks.
sieve() {
    sed -E -e 's/\b[a-z0-9]{25}\b/ID/g' -e 's/ ([Ll]ess than|[Aa]bout|[0-9]+) .*ago\b//' \
        -e '/^[0-9]+\/[0-9]+: /d' \
        -e '/makes no networks: it listens on the loopback/d' -e 's/[[:space:]]+$//' |
        awk '!/^(overall progress|verify): / || $0 != last { print } { last = $0 }'
}
