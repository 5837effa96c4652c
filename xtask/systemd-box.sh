#!/bin/bash
# Boots the machine's own systemd as PID 1 of fresh namespaces over an overlay, so that
# tests can restart real units without a virtual machine and without touching the host.
#
#   systemd-box.sh up            boot, and return once the manager says running or degraded
#   systemd-box.sh exec CMD ...  run CMD inside; its exit code is passed on
#   systemd-box.sh sh SCRIPT     the same through `bash -c`
#   systemd-box.sh status        print up or down, the host pid of PID 1 and the manager's state
#   systemd-box.sh down          kill everything inside, remove the box's cgroup and files
#
# Exit codes of `up`: 0 booted; 77 cannot work on this machine, the reason is the last line
# on stderr, nothing was left behind; 1 failed, everything was removed. `status` of a box
# that is down exits 3. Wrong usage exits 2.
#
# Environment (give the same SYSTEMD_BOX_NAME to each verb):
#   SYSTEMD_BOX_NAME=box     several boxes may be up side by side under different names
#   SYSTEMD_BOX_OWNER=PID    the box goes down by itself once this process has ended
#   SYSTEMD_BOX_UPPER=disk   where changes to /usr, /etc and /var go: disk (fsync costs what it does
#                            on the host; memory where the disk's file system refuses) or memory
#   SYSTEMD_BOX_NET=private  private (only lo) or host
#   SYSTEMD_BOX_TIMEOUT=30   seconds for the boot
#   SYSTEMD_BOX_BIND=DIR     one more host folder to show inside at its own place, read-write
#   WAZUH_TEST_SKIP_E2E=1    `up` answers 77: somebody asked not to run what needs a box
#
# Inside: the host's /usr, /etc, /var with a writable layer on top (no change reaches the
# host), the repository and its target folder read-write at their own place, everything else
# empty. State is kept in target/systemd-box/NAME. A box is only as isolated as root in
# namespaces is: it is for our own tests, not for hostile code.
set -u
umask 022

readonly CANNOT_WORK_HERE=77
SELF=$(readlink -f "$0")
REPO=$(dirname "$(dirname "$SELF")")
TARGET=${CARGO_TARGET_DIR:-$REPO/target}
case $TARGET in /*) ;; *) TARGET=$REPO/$TARGET ;; esac
NAME=${SYSTEMD_BOX_NAME:-box}
OWNER=${SYSTEMD_BOX_OWNER:-}
UPPER=${SYSTEMD_BOX_UPPER:-disk}
NET=${SYSTEMD_BOX_NET:-private}
TIMEOUT=${SYSTEMD_BOX_TIMEOUT:-30}
BIND=${SYSTEMD_BOX_BIND:-}
BASE=$TARGET/systemd-box
DIR=$BASE/$NAME
INSIDE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NAMESPACES=(--pid --mount --cgroup --ipc --uts)
ENTER=(-p -m -C -i -u)
[ "$NET" = host ] || { NAMESPACES+=(--net); ENTER+=(-n); }

say() { echo "systemd-box: $*" >&2; }
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
    echo "$(cgroup2_mount)/systemd-box-${1##*/}-${sum%% *}"
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
    while :; do
        mkdir -p "$DIR" || die "cannot make $DIR"
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

check_machine() {
    [ -z "${WAZUH_TEST_SKIP_E2E:-}" ] || cannot_work_here "WAZUH_TEST_SKIP_E2E is set"
    [ "$(id -u)" = 0 ] || cannot_work_here "namespaces, overlays and cgroups take root"
    local tool
    for tool in unshare nsenter pivot_root mount flock setsid systemctl awk; do
        command -v "$tool" >/dev/null || cannot_work_here "there is no $tool"
    done
    systemd_binary >/dev/null || cannot_work_here "there is no systemd binary in /lib/systemd or /usr/lib/systemd"
    [ -n "$(cgroup2_mount)" ] || cannot_work_here "no cgroup2 hierarchy is mounted"
    grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || cannot_work_here "the kernel has no overlayfs"
    local error
    error=$(unshare "${NAMESPACES[@]}" --fork --propagation private bash -ec \
        'mount -t tmpfs probe /mnt; cd /mnt; mkdir l u w m; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w probe m' 2>&1) ||
        cannot_work_here "namespaces or overlays are refused: $error"
}

systemd_binary() {
    local file
    for file in /usr/lib/systemd/systemd /lib/systemd/systemd; do
        [ -x "$file" ] && { echo "$file"; return; }
    done
    return 1
}

# Becomes CMD inside the box on host pid $1. Entering namespaces does not change cgroup
# membership, so the process moves itself into a leaf of the box's cgroup first.
enter() {
    local pid=$1
    shift
    echo 0 >"$(box_cgroup "$DIR")/entered/cgroup.procs" || exit 1
    exec nsenter -t "$pid" "${ENTER[@]}" --root --wd \
        env -i PATH=$INSIDE_PATH HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        container=systemd-box "$@"
}

boot_failed() {
    say "$1"
    [ -s "$DIR/boot.log" ] && cat "$DIR/boot.log" >&2
    remove_box "$DIR"
    exit 1
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

# Waits until the child of `unshare` ($1) has become systemd, and records its pid.
await_systemd() {
    local child=
    while :; do
        read -r child _ 2>/dev/null <"/proc/$1/task/$1/children"
        [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ] && break
        kill -0 "$1" 2>/dev/null || boot_failed "the box ended before systemd ran"
        [ $SECONDS -lt "$TIMEOUT" ] || boot_failed "systemd did not run within $TIMEOUT s"
        sleep 0.01
    done
    record "$DIR/pid" "$child"
}

await_boot() {
    local pid=$1 state
    while :; do
        state=$(enter "$pid" systemctl is-system-running 2>/dev/null)
        case $state in running | degraded) break ;; esac
        recorded "$DIR/pid" >/dev/null || boot_failed "PID 1 of the box died"
        if [ $SECONDS -ge "$TIMEOUT" ]; then
            (enter "$pid" systemctl list-jobs) >&2
            boot_failed "still ${state:-silent} after $TIMEOUT s"
        fi
        sleep 0.02
    done
    say "$NAME is $state, PID 1 is host pid $pid"
}

up() {
    case $NAME in *[!a-z0-9-]* | "" | -* ) die "the name $NAME may only have a-z, 0-9 and -" ;; esac
    check_machine
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
    local cgroup outer
    cgroup=$(box_cgroup "$DIR")
    if ! mkdir -p "$cgroup/entered" 2>/dev/null; then
        remove_box "$DIR"
        cannot_work_here "no cgroup can be made in $(cgroup2_mount)"
    fi
    outer=$(start_init)
    await_systemd "$outer"
    # A process it cannot see in its root cgroup keeps systemd from enabling controllers there.
    echo "$outer" >"$cgroup/entered/cgroup.procs" || boot_failed "cannot move $outer to $cgroup/entered"
    await_boot "$(recorded "$DIR/pid")"
    : >"$DIR/booted"
}

# ---- inside the new namespaces, as PID 1 ------------------------------------------------

# Overlays the host folder $1. Where the disk cannot hold the upper layer (it is an overlay
# itself, or below the folder) memory does. Paths are relative: an option's value must hold
# no comma.
overlay() {
    mkdir -p "root/$1"
    [ "$UPPER" = disk ] && overlay_on disk "$1" 2>/dev/null || overlay_on memory "$1"
}

overlay_on() {
    mkdir -p "$1/$2" "$1/.work-$2"
    mount -t overlay -o "lowerdir=/$2,upperdir=$1/$2,workdir=$1/.work-$2" "box-$2" "root/$2"
}

bind_folder() {
    [ -d "$1" ] || return 0
    mkdir -p "root$1"
    mount --bind "$1" "root$1"
}

# One overlay per top folder: an overlay of / with its upper layer below / is refused, and a
# private /tmp and /run are a must, because systemd-tmpfiles cleans them.
make_tree() {
    local d
    mkdir -p root disk memory
    mount -t tmpfs -o mode=755 box-root root
    mount -t tmpfs -o mode=755 box-memory memory
    for d in usr etc var bin sbin lib lib32 lib64 libx32; do
        if [ -L "/$d" ]; then cp -a "/$d" "root/$d"; elif [ -d "/$d" ]; then overlay "$d"; fi
    done
    mkdir -p root/{proc,sys,dev,run,tmp,root,home,mnt,.old}
    chmod 700 root/root
    mount -t tmpfs -o mode=1777,nosuid,nodev box-tmp root/tmp
    mount -t tmpfs -o mode=755,nosuid,nodev box-run root/run
    bind_folder "$REPO"
    [[ $TARGET/ == "$REPO"/* ]] || bind_folder "$TARGET"
    [ -z "$BIND" ] || bind_folder "$BIND"
}

# The kernel's settings are shared with the host, so they are read-only inside; that also
# makes udev, sysctl and module loading switch themselves off. Only the cgroups are writable.
mount_kernel_folders() {
    local f
    mount -t proc -o nosuid,nodev,noexec proc root/proc
    for f in sys sysrq-trigger irq; do
        [ -e "root/proc/$f" ] || continue
        mount --bind "root/proc/$f" "root/proc/$f"
        mount -o remount,bind,ro,nosuid,nodev,noexec "root/proc/$f"
    done
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs root/sys
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 root/sys/fs/cgroup
}

# No disk and no kmsg: journald would import the host's kernel log.
make_devices() {
    local n
    mount -t tmpfs -o mode=755,nosuid box-dev root/dev
    for n in null zero full random urandom tty; do
        : >"root/dev/$n"
        mount --bind "/dev/$n" "root/dev/$n"
    done
    mkdir -p root/dev/pts root/dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts root/dev/pts
    mount -t tmpfs -o mode=1777,nosuid,nodev box-shm root/dev/shm
    ln -s pts/ptmx root/dev/ptmx
    ln -s /proc/self/fd root/dev/fd
    ln -s /proc/self/fd/0 root/dev/stdin
    ln -s /proc/self/fd/1 root/dev/stdout
    ln -s /proc/self/fd/2 root/dev/stderr
}

# What the administrator of the host enabled must not run in the box (a firewall, a disk
# service); which D-Bus implementation is used is such a choice too, and has to stay.
configure_units() {
    local units=root/etc/systemd/system unit
    mkdir -p "$units"
    find "$units" -mindepth 1 -maxdepth 1 ! -name 'dbus*.service' -exec rm -rf {} +
    for unit in systemd-timesyncd.service systemd-tmpfiles-clean.timer systemd-firstboot.service \
        systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service \
        systemd-modules-load.service systemd-remount-fs.service systemd-random-seed.service \
        systemd-hwdb-update.service systemd-machine-id-commit.service systemd-binfmt.service \
        systemd-networkd.socket systemd-logind.service systemd-pstore.service systemd-journal-flush.service \
        systemd-journald-audit.socket systemd-homed.service systemd-userdbd.socket ldconfig.service \
        proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-hugepages.mount dev-mqueue.mount \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
        getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer logrotate.timer \
        fstrim.timer e2scrub_all.timer; do
        ln -sfn /dev/null "$units/$unit"
    done
    mkdir -p root/etc/systemd/journald.conf.d root/etc/systemd/system.conf.d
    printf '%s\n' '[Journal]' Storage=volatile RuntimeMaxUse=64M RateLimitIntervalSec=0 ReadKMsg=no Audit=no \
        ForwardToSyslog=no >root/etc/systemd/journald.conf.d/systemd-box.conf
    printf '%s\n' '[Manager]' DefaultTimeoutStopSec=10s ShowStatus=no >root/etc/systemd/system.conf.d/systemd-box.conf
}

become_systemd() {
    set -e
    local systemd
    systemd=$(systemd_binary)
    cd "$DIR"
    make_tree
    mount_kernel_folders
    make_devices
    echo "box-$NAME" >root/etc/hostname
    echo "box-$NAME" >/proc/sys/kernel/hostname
    rm -f root/etc/machine-id
    tr -d - </proc/sys/kernel/random/uuid >root/etc/machine-id
    : >root/etc/fstab
    configure_units
    cd root
    pivot_root . .old
    umount -l /.old
    rmdir /.old
    exec env -i container=systemd-box PATH=$INSIDE_PATH LANG=C.UTF-8 \
        "$systemd" --system --unit=basic.target --log-target=journal </dev/null >/dev/null 2>&1
}

# ---- the verbs --------------------------------------------------------------------------

verb=${1:-}
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
            echo "up, PID 1 is host pid $pid, $(enter "$pid" systemctl is-system-running)"
        else
            echo down
            exit 3
        fi
        ;;
    down) down ;;
    __init) become_systemd ;;
    __keep) keep "$@" ;;
    *)
        sed -n '2,/^set -u/ { /^#/ s/^# \{0,1\}//p }' "$SELF" >&2
        exit 2
        ;;
esac
