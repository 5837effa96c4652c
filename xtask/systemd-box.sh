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

KIND=systemd-box
SELF=$(readlink -f "$0")
NAME=${SYSTEMD_BOX_NAME:-box}
OWNER=${SYSTEMD_BOX_OWNER:-}
UPPER=${SYSTEMD_BOX_UPPER:-disk}
NET=${SYSTEMD_BOX_NET:-private}
TIMEOUT=${SYSTEMD_BOX_TIMEOUT:-30}
BIND=${SYSTEMD_BOX_BIND:-}
NAMESPACES=(--pid --mount --cgroup --ipc --uts)
ENTER=(-p -m -C -i -u)
[ "$NET" = host ] || { NAMESPACES+=(--net); ENTER+=(-n); }
MANAGER=(systemctl)
# shellcheck source=box-life.sh
. "$(dirname "$SELF")/box-life.sh"

# ---- setting a box up -------------------------------------------------------------------

check_machine() {
    check_machine_for_boxes pivot_root
    grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || cannot_work_here "the kernel has no overlayfs"
    local error
    error=$(unshare "${NAMESPACES[@]}" --fork --propagation private bash -ec \
        'mount -t tmpfs probe /mnt; cd /mnt; mkdir l u w m; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w probe m' 2>&1) ||
        cannot_work_here "namespaces or overlays are refused: $error"
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
    check_machine
    claim_box
    local outer
    outer=$(start_init)
    await_child "$outer" systemd
    # A process it cannot see in its root cgroup keeps systemd from enabling controllers there.
    echo "$outer" >"$(box_cgroup "$DIR")/entered/cgroup.procs" || boot_failed "cannot move $outer out of the box's root"
    await_boot "$(recorded "$DIR/pid")"
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

become_init() {
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

do_verb "$@"
