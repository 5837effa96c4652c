#!/bin/bash
# Runs the machine's own systemd as the service manager of an ordinary user (`systemd --user`) in
# fresh namespaces, so that tests can restart real user units without a login and without touching
# the host. systemd need not be PID 1 of the machine.
#
#   user-box.sh up            start the manager, and return once it says running or degraded
#   user-box.sh exec CMD ...  run CMD inside as the user; its exit code is passed on
#   user-box.sh sh SCRIPT     the same through `bash -c`
#   user-box.sh status        print up or down, the host pid of PID 1 and the manager's state
#   user-box.sh down          kill everything inside, remove the box's cgroup and files
#
# Exit codes of `up`: 0 started; 77 cannot work on this machine, the reason is the last line
# on stderr, nothing was left behind; 1 failed, everything was removed. `status` of a box
# that is down exits 3. Wrong usage exits 2.
#
# Environment (give the same USER_BOX_NAME, USER_BOX_UID and USER_BOX_BUS to each verb):
#   USER_BOX_NAME=box        several boxes may be up side by side under different names
#   USER_BOX_OWNER=PID       the box goes down by itself once this process has ended
#   USER_BOX_UID=59999       who the user is; an id that the machine does not know gets a name inside
#   USER_BOX_BUS=session     session: a D-Bus session bus with the manager on it; none: no bus at all,
#                            the manager is reached by its private socket only
#   USER_BOX_TIMEOUT=30      seconds for the start
#   WAZUH_TEST_SKIP_E2E=1    `up` answers 77: somebody asked not to run what needs a box
#
# Inside: the host's files, with the rights of the user; /run and /tmp are private, and there is no
# manager of the system and no system bus. Home is /run/user-box/home, which is on the disk; the target
# folder is shown at /run/user-box/target as well, where every user gets at it. The control group is the one
# that a login would give: user.slice/user-UID.slice/user@UID.service. There is no journal; what the manager
# says is in target/user-box/NAME/boot.log, with the rest of the box's state.
set -u
umask 022

KIND=user-box
SELF=$(readlink -f "$0")
NAME=${USER_BOX_NAME:-box}
OWNER=${USER_BOX_OWNER:-}
USER_ID=${USER_BOX_UID:-59999}
BUS=${USER_BOX_BUS:-session}
TIMEOUT=${USER_BOX_TIMEOUT:-30}
NAMESPACES=(--pid --mount --cgroup --ipc --net)
ENTER=(-p -m -C -i -n)
MANAGER=(systemctl --user)
# shellcheck source=box-life.sh
. "$(dirname "$SELF")/box-life.sh"

RUNTIME_DIR=/run/user/$USER_ID
USER_HOME=/run/user-box/home
BUS_ADDRESS=unix:path=$RUNTIME_DIR/bus
VARIABLES=("PATH=$INSIDE_PATH" "HOME=$USER_HOME" USER=box LOGNAME=box SHELL=/bin/bash LANG=C.UTF-8 "XDG_RUNTIME_DIR=$RUNTIME_DIR")
AS_USER=(setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups env -i -C "$USER_HOME" "${VARIABLES[@]}")

# ---- setting a box up -------------------------------------------------------------------

check_machine() {
    check_machine_for_boxes setpriv busctl
    [ "$BUS" = none ] || command -v dbus-daemon >/dev/null || cannot_work_here "there is no dbus-daemon"
    local error
    error=$(unshare "${NAMESPACES[@]}" --fork --propagation private mount -t tmpfs probe /mnt 2>&1) ||
        cannot_work_here "namespaces are refused: $error"
}

# Becomes CMD inside the box on host pid $1, as the user. Entering namespaces does not change cgroup
# membership, so the process moves itself into a leaf of the box's cgroup first.
enter() {
    local pid=$1
    shift
    echo 0 >"$(box_cgroup "$DIR")/entered/cgroup.procs" || exit 1
    local variables=(TERM="${TERM:-dumb}")
    [ "$BUS" = none ] || variables+=("DBUS_SESSION_BUS_ADDRESS=$BUS_ADDRESS")
    exec nsenter -t "$pid" "${ENTER[@]}" "${AS_USER[@]}" "${variables[@]}" "$@"
}

# Starts the box in the background and prints the pid of its `unshare`. It joins the box's
# cgroup before `--cgroup` makes that cgroup the root of the box's view, and holds neither
# the caller's terminal nor its pipes nor the lock.
start_init() {
    (
        echo 0 >"$(box_cgroup "$DIR")/cgroup.procs" || exit 1
        exec setsid unshare "${NAMESPACES[@]}" --fork --kill-child --propagation private "$SELF" __init
    ) </dev/null >"$DIR/boot.log" 2>&1 9<&- &
    echo $!
}

up() {
    case $USER_ID in *[!0-9]* | "") die "USER_BOX_UID is a number, not $USER_ID" ;; esac
    case $BUS in session | none) ;; *) die "USER_BOX_BUS is session or none, not $BUS" ;; esac
    check_machine
    claim_box
    await_child "$(start_init)" user-box.sh
    await_boot "$(recorded "$DIR/pid")"
    [ "$BUS" = none ] || await_bus "$(recorded "$DIR/pid")"
}

# Waits until the manager is on the bus: without it everything would go over the private socket unnoticed.
await_bus() {
    local owned=
    while [ "$owned" != "b true" ]; do
        [ $SECONDS -lt "$TIMEOUT" ] || boot_failed "the manager is not on the session bus after $TIMEOUT s"
        owned=$(enter "$1" busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus \
            NameHasOwner s org.freedesktop.systemd1 2>/dev/null)
    done
}

# ---- inside the new namespaces, as PID 1 ------------------------------------------------

# A /run of its own, in which the home and the target folder are, too; then a /tmp, below which
# both may lie on the host. What is mounted last hides nothing that is still needed.
make_tree() {
    mkdir -p home/.config/systemd/user run
    chown -R "$USER_ID:$USER_ID" home
    mount -t tmpfs -o mode=755,nosuid,nodev user-box-run run
    # The folder by which programs tell that systemd manages the machine.
    mkdir -p run/systemd/system run/user-box/home run/user-box/target "run$RUNTIME_DIR_IN_RUN"
    chown "$USER_ID:$USER_ID" "run$RUNTIME_DIR_IN_RUN"
    chmod 700 "run$RUNTIME_DIR_IN_RUN"
    mount --bind home run/user-box/home
    mount --bind "$TARGET" run/user-box/target
    mount --rbind run /run
    mount -t tmpfs -o mode=1777,nosuid,nodev user-box-tmp /tmp
    mount -t proc -o nosuid,nodev,noexec proc /proc
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
}

# A user without a name gets one: systemd looks it up.
name_the_user() {
    ! getent passwd "$USER_ID" >/dev/null || return 0
    { cat /etc/passwd && echo "box:x:$USER_ID:$USER_ID::$USER_HOME:/bin/bash"; } >passwd
    mount --bind passwd /etc/passwd
}

# What the administrator of the host enabled for all users must not run in the box, nor sockets of
# other packages; a bus there is only if it was asked for, and then the one that we start.
configure_units() {
    local unit
    [ ! -d /etc/systemd/user ] || mount -t tmpfs -o mode=755 user-box-units /etc/systemd/user
    for unit in /usr/lib/systemd/user/sockets.target.wants/* dbus.socket dbus.service dbus-broker.service; do
        ln -sfn /dev/null "home/.config/systemd/user/${unit##*/}"
    done
    [ "$BUS" = none ] || write_bus_units home/.config/systemd/user
}

# The bus as distributions have it for users: the manager connects to one that is a unit of its own.
write_bus_units() {
    rm -f "$1"/dbus.{socket,service}
    printf '%s\n' '[Socket]' 'ListenStream=%t/bus' \
        "ExecStartPost=-/usr/bin/env systemctl --user set-environment DBUS_SESSION_BUS_ADDRESS=$BUS_ADDRESS" >"$1/dbus.socket"
    printf '%s\n' '[Unit]' Requires=dbus.socket '[Service]' Type=notify \
        "ExecStart=$(command -v dbus-daemon) --session --address=systemd: --nofork --nopidfile --systemd-activation" >"$1/dbus.service"
    mkdir -p "$1/sockets.target.wants"
    ln -s ../dbus.socket "$1/sockets.target.wants/dbus.socket"
}

become_manager() {
    local group=/sys/fs/cgroup/user.slice/user-$USER_ID.slice/user@$USER_ID.service
    mkdir -p "$group"
    chown "$USER_ID:$USER_ID" "$group" "$group"/cgroup.{procs,subtree_control,threads}
    echo 0 >"$group/cgroup.procs"
    exec "${AS_USER[@]}" "$(systemd_binary)" --user --unit=basic.target --log-target=console
}

# As PID 1 systemd would be the manager of a system whatever it is told, so this shell stays PID 1.
become_init() {
    set -e
    RUNTIME_DIR_IN_RUN=${RUNTIME_DIR#/run}
    cd "$DIR"
    name_the_user
    make_tree
    configure_units
    become_manager &
    wait $!
}

do_verb "$@"
