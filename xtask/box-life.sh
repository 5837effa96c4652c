# What every kind of box has in common: names, locks, cgroups, and that nothing of it is left.
#
# Sourced, with these variables set: KIND (the script's name without .sh), SELF (its path), NAME and
# OWNER of the box, TIMEOUT, the seconds for the boot, and MANAGER, the words that ask the manager inside. Sets TARGET, BASE and DIR, the folder in
# which the state of the box is kept. The script ends with `do_verb "$@"`.
#
# Files in DIR: pid (the process whose namespaces are entered), owner, keeper, booted.

readonly CANNOT_WORK_HERE=77
REPO=$(dirname "$(dirname "$SELF")")
TARGET=${CARGO_TARGET_DIR:-$REPO/target}
case $TARGET in /*) ;; *) TARGET=$REPO/$TARGET ;; esac
BASE=$TARGET/$KIND
DIR=$BASE/$NAME
INSIDE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { echo "$KIND: $*" >&2; }
die() { say "$*"; exit 1; }
cannot_work_here() { say "cannot work here: $*"; exit $CANNOT_WORK_HERE; }

# ---- facts about processes and cgroups --------------------------------------------------

# The start time (field 22 of stat) tells a process from a later one with the same pid.
start_time() { awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }
is_alive() { [ -n "${2:-}" ] && [ "$(start_time "$1")" = "$2" ]; }

# Prints the pid written to FILE as "PID START_TIME", if that very process still lives.
recorded() {
    local pid start
    read -r pid start 2>/dev/null <"$1" || return 1
    is_alive "$pid" "$start" && echo "$pid"
}
record() { echo "$2 $(start_time "$2")" >"$1"; }

cgroup2_mount() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

# The checksum of the folder keeps two checkouts on one machine apart.
box_cgroup() {
    local sum
    sum=$(printf %s "$1" | cksum)
    echo "$(cgroup2_mount)/$KIND-${1##*/}-${sum%% *}"
}

# Ends every process in a cgroup subtree and removes it.
remove_cgroup() {
    [ -d "$1" ] || return 0
    local try procs
    for try in $(seq 500); do
        if [ -w "$1/cgroup.kill" ]; then
            echo 1 >"$1/cgroup.kill"
        else
            procs=$(find "$1" -name cgroup.procs -exec cat {} +)
            # shellcheck disable=SC2086 # one word per pid
            [ -z "$procs" ] || kill -KILL $procs 2>/dev/null
        fi
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$1" ] || return 0
        sleep 0.01
    done
    say "could not remove $1 after $try tries"
    return 1
}

# ---- taking a box apart -----------------------------------------------------------------

# Removes what belongs to the box whose state is in folder $1. All mounts live in the box's
# own mount namespace and go with its last process.
remove_box() {
    local dir=$1 keeper
    remove_cgroup "$(box_cgroup "$dir")" || return 1
    keeper=$(recorded "$dir/keeper") && [ "$keeper" != $$ ] && kill -KILL -- "-$keeper" 2>/dev/null
    rm -rf --one-file-system "$dir" || return 1
    rmdir "$BASE" 2>/dev/null || true # other boxes may be there
}

# One `up` or `down` at a time per box. The lock is on the folder itself, so that it leaves no
# file behind; the folder may be replaced while we wait, hence the second look.
lock_box() {
    local try=0
    while :; do
        # A box that goes at this moment may take the folder above along.
        until mkdir -p "$DIR" 2>/dev/null; do
            [ $((try += 1)) -lt 100 ] || { mkdir -p "$DIR" || die "cannot make $DIR"; }
        done
        exec 9<"$DIR" && flock -w 120 9 || die "another process has held $DIR for 120 s"
        [ "$DIR" -ef /proc/self/fd/9 ] && return
    done
}

# Boxes of other names that nobody can want any more: their PID 1 or their owner is gone.
sweep() {
    local dir
    for dir in "$BASE"/*/; do
        dir=${dir%/}
        [ -d "$dir" ] && [ "$dir" != "$DIR" ] || continue
        # A folder that is locked is just being brought up or taken down.
        exec 8<"$dir" || continue
        if flock -n 8; then
            if ! recorded "$dir/pid" >/dev/null || { [ -e "$dir/owner" ] && ! recorded "$dir/owner" >/dev/null; }; then
                remove_box "$dir"
            fi
        fi
        exec 8<&-
    done
}

down() {
    [ -d "$DIR" ] || return 0
    [ "$(id -u)" = 0 ] || die "taking down $NAME takes root"
    lock_box
    remove_box "$DIR"
}

# Takes the box down when nobody is left who would: when `up` (pid $1, started at $2) died
# before the box was booted, and later when the owner died.
keep() {
    while is_alive "$1" "$2"; do sleep 0.2; done
    if [ -e "$DIR/booted" ]; then
        [ -n "$OWNER" ] || exit 0
        while recorded "$DIR/owner" >/dev/null; do sleep 0.5; done
    fi
    # By now the name may belong to another box; that one has its own keeper.
    [ "$(recorded "$DIR/keeper")" = $$ ] && down
}

# ---- setting a box up -------------------------------------------------------------------

boot_failed() {
    say "$1"
    [ -s "$DIR/boot.log" ] && cat "$DIR/boot.log" >&2
    remove_box "$DIR"
    exit 1
}

systemd_binary() {
    local file
    for file in /usr/lib/systemd/systemd /lib/systemd/systemd; do
        [ -x "$file" ] && { echo "$file"; return; }
    done
    return 1
}

# Refuses where no box of any kind can work; the further arguments are programs that it needs.
check_machine_for_boxes() {
    [ -z "${WAZUH_TEST_SKIP_E2E:-}" ] || cannot_work_here "WAZUH_TEST_SKIP_E2E is set"
    [ "$(id -u)" = 0 ] || cannot_work_here "namespaces, mounts and cgroups take root"
    local tool
    for tool in unshare nsenter mount flock setsid systemctl awk "$@"; do
        command -v "$tool" >/dev/null || cannot_work_here "there is no $tool"
    done
    systemd_binary >/dev/null || cannot_work_here "there is no systemd binary in /lib/systemd or /usr/lib/systemd"
    [ -n "$(cgroup2_mount)" ] || cannot_work_here "no cgroup2 hierarchy is mounted"
}

# Takes the name: from here on DIR is locked and empty, but for the keeper and the owner, and whatever
# happens to this process the box goes. Makes the box's cgroup, with one for processes that enter.
claim_box() {
    case $NAME in *[!a-z0-9-]* | "" | -* ) die "the name $NAME may only have a-z, 0-9 and -" ;; esac
    sweep
    lock_box
    recorded "$DIR/pid" >/dev/null && die "$NAME is already up"
    remove_box "$DIR" || die "cannot remove what an earlier $NAME left"
    lock_box
    [ -z "$(ls -A "$DIR")" ] || die "another \`up\` of $NAME came first"
    setsid "$SELF" __keep $$ "$(start_time $$)" </dev/null >/dev/null 2>&1 9<&- &
    record "$DIR/keeper" $!
    disown
    trap 'boot_failed "interrupted"' INT TERM HUP
    if [ -n "$OWNER" ]; then
        record "$DIR/owner" "$OWNER"
        recorded "$DIR/owner" >/dev/null || boot_failed "there is no process $OWNER to be the owner"
    fi
    if ! mkdir -p "$(box_cgroup "$DIR")/entered" 2>/dev/null; then
        remove_box "$DIR"
        cannot_work_here "no cgroup can be made in $(cgroup2_mount)"
    fi
}

# Waits until the child of `unshare` ($1) runs the program called $2, and records its pid.
await_child() {
    local child=
    while :; do
        read -r child _ 2>/dev/null <"/proc/$1/task/$1/children"
        # Before `unshare` runs, there may be children of the shell that becomes it.
        [ -n "$child" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = unshare ] &&
            [ "$(cat "/proc/$child/comm" 2>/dev/null)" = "$2" ] && break
        kill -0 "$1" 2>/dev/null || boot_failed "the box ended before $2 ran"
        [ $SECONDS -lt "$TIMEOUT" ] || boot_failed "$2 did not run within $TIMEOUT s"
        sleep 0.01
    done
    record "$DIR/pid" "$child"
}

# Waits until the manager of the box with PID 1 $1 has started its units.
await_boot() {
    local pid=$1 state
    while :; do
        state=$(enter "$pid" "${MANAGER[@]}" is-system-running 2>/dev/null)
        case $state in running | degraded) break ;; esac
        recorded "$DIR/pid" >/dev/null || boot_failed "PID 1 of the box died"
        if [ $SECONDS -ge "$TIMEOUT" ]; then
            (enter "$pid" "${MANAGER[@]}" list-jobs) >&2
            boot_failed "still ${state:-silent} after $TIMEOUT s"
        fi
        sleep 0.02
    done
    : >"$DIR/booted"
    say "$NAME is $state, PID 1 is host pid $pid"
}

# ---- the verbs --------------------------------------------------------------------------

# Does what the words say. The script has `enter`, and `become_init`, which becomes PID 1 inside.
do_verb() {
    local verb=${1:-} pid
    [ $# -eq 0 ] || shift
    case $verb in
        up) up ;;
        exec | sh)
            [ $# -gt 0 ] || { say "$verb wants something to run"; exit 2; }
            pid=$(recorded "$DIR/pid") || die "$NAME is not up"
            [ "$verb" = exec ] || set -- bash -c "$@"
            enter "$pid" "$@"
            ;;
        status)
            if pid=$(recorded "$DIR/pid"); then
                echo "up, PID 1 is host pid $pid, $(enter "$pid" "${MANAGER[@]}" is-system-running)"
            else
                echo down
                exit 3
            fi
            ;;
        down) down ;;
        __init) become_init ;;
        __keep) keep "$@" ;;
        *)
            sed -n '2,/^set -u/ { /^#/ s/^# \{0,1\}//p }' "$SELF" >&2
            exit 2
            ;;
    esac
}
