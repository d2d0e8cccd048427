"""What a hostile function tries. It runs as a program inside the sandbox, one attack after the other, and prints as JSON what
each has reached: an empty list when it was kept in. A refused call is an OSError, which is how most of them end.

Input: JSON with what to look for, see test_escape.py.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pathlib
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
ATTACKS = []
LIMIT = 1 << 16


def attack(function):
    ATTACKS.append(function)
    return function


def call(number, *arguments):
    """A system call; answers its result, or raises what the kernel says."""
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) if isinstance(each, int) else each for each in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def succeeded(tries):
    """The names of those that did not fail."""
    reached = []
    for name, action in tries.items():
        try:
            result = action()
            reached.append(f"{name}: {result!r}"[:200])
        except OSError:
            pass
    return reached


def let_through(number, action):
    """`action` in a process with a filter of its own, whose listener lets system call `number` go on; answers its errno, 0 when it went well."""

    def step(code, yes, no, value):
        return struct.pack("HBBI", code, yes, no, value)

    steps = [step(0x20, 0, 0, 0), step(0x15, 0, 1, number), step(0x06, 0, 0, 0x7FC00000), step(0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            socket.send_fds(theirs, [b"x"], [call(317, 1, 8, program)])
            action()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    theirs.close()
    with ours:
        _, listeners, _, _ = socket.recv_fds(ours, 1, 1)
    for listener in listeners:
        if select.select([listener], [], [], 2)[0]:
            note = bytearray(80)
            with contextlib.suppress(OSError):  # nobody asked: the child has ended
                fcntl.ioctl(listener, 0xC0502100, note)
                fcntl.ioctl(listener, 0xC0182101, bytearray(note[:8] + struct.pack("<qiI", 0, 0, 1)))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def readable(path):
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as file:
                return file.read(LIMIT)
    except OSError:
        pass
    return b""


def files_below(*folders):
    for folder in folders:
        for base, _, names in os.walk(folder, followlinks=False):
            yield from (os.path.join(base, name) for name in names)


@attack
def secrets_code_and_environment_of_others(wanted):
    places = ("/function", "/tmp", "/run", "/var", "/etc", "/dev", "/home", "/root", "/srv", "/opt", "/mnt", "/proc/self", "/proc/1")
    found = [path for path in files_below(*places) if any(m.encode() in readable(path) for m in wanted["markers"])]
    found += [name for name, value in os.environ.items() if any(m in value for m in wanted["markers"])]
    return [path for path in found if path != "/proc/self/environ"]


@attack
def processes_of_others(wanted):
    reached = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        for part in ("environ", "cmdline", "maps"):
            text = readable(f"/proc/{name}/{part}") or b""
            try:
                text = pathlib.Path(f"/proc/{name}/{part}").read_bytes()
            except OSError:
                continue
            reached += [f"{name}/{part}" for m in wanted["markers"] + [wanted["data_dir"]] if m.encode() in text]
    return reached


@attack
def the_data_directory(wanted):
    return [path for path in (wanted["data_dir"], os.path.dirname(wanted["data_dir"])) if os.path.exists(path)]


@attack
def files_of_the_host(_):
    paths = """/etc/shadow /etc/gshadow /etc/ssh /etc/machine-id /root /home /boot /sys /var/lib /var/log /var/run/docker.sock
        /run/systemd /run/docker.sock /run/dbus /mnt /media /srv /proc/1/root/etc /proc/1/cwd /proc/1/environ /proc/1/mem /proc/1/fd
        /proc/kcore /proc/kallsyms /proc/keys /proc/modules /proc/cmdline /proc/interrupts /proc/iomem /proc/timer_list
        /run/sandbox/proc /proc/sched_debug /proc/config.gz /proc/diskstats /proc/vmallocinfo /proc/kmsg /proc/slabinfo""".split()

    def look(path):
        if os.path.isdir(path):
            return os.listdir(path)
        with open(path, "rb") as file:
            return file.read(64)

    return [each for each in succeeded({path: lambda path=path: look(path) for path in paths}) if not each.endswith((": b''", ": []"))]


@attack
def writing_where_nothing_may_be_written(_):
    mine = ("/tmp", "/dev/shm")
    reached = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split(" ")[4]
        if place.startswith(mine) or place.startswith("/proc") or not os.path.isdir(place):
            continue
        reached += succeeded({place: lambda: os.close(os.open(os.path.join(place, ".x"), os.O_CREAT | os.O_WRONLY, 0o600))})
    for path in ("/usr/bin/env", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache", "/function/attacks.py"):
        reached += succeeded({path: lambda path=path: os.close(os.open(path, os.O_WRONLY)), f"chmod {path}": lambda path=path: os.chmod(path, 0o777)})
    for knob in ("kernel/core_pattern", "kernel/hostname", "vm/drop_caches", "kernel/sysrq", "net/ipv4/ip_forward", "user/max_user_namespaces"):
        reached += succeeded({knob: lambda knob=knob: os.write(os.open(f"/proc/sys/{knob}", os.O_WRONLY), b"0")})
    return reached


@attack
def what_controls_the_machine(_):
    def open_control(path):
        fd = os.open(path, os.O_WRONLY)
        if os.fstat(fd).st_rdev == os.makedev(1, 3):  # covered with /dev/null
            raise OSError(errno.ENOENT, "covered")
        return fd

    paths = ("/proc/sysrq-trigger", "/proc/acpi/wakeup", "/sys/power/state", "/sys/fs/cgroup/cgroup.procs", "/proc/irq/default_smp_affinity")
    paths += ("/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/sys/kernel/ns_last_pid")
    return succeeded({path: lambda path=path: open_control(path) for path in paths})


# Of the machine, and left because programs need it: docs/SECURITY.md has the list too.
TOLD = {"cgroups", "cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version", "version_signature", "vmstat"}
OWN = {"mounts", "net", "self", "sys", "sysvipc", "thread-self"}


@attack
def what_tells_about_the_machine(_):
    files = []
    for name in os.listdir("/proc"):
        path = os.path.join("/proc", name)
        if not name.isdigit() and name not in TOLD | OWN:
            files += files_below(path) if os.path.isdir(path) else [path]
    return [path for path in files if readable(path)]


@attack
def devices(_):
    reached = []
    harmless = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)}
    for path in files_below("/dev"):
        try:
            info = os.stat(path)
        except OSError:
            continue
        if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode) and (os.major(info.st_rdev), os.minor(info.st_rdev)) not in harmless:
            reached.append(path)
    made = {"mem": (stat.S_IFCHR, 1, 1), "disk": (stat.S_IFBLK, 254, 0), "tun": (stat.S_IFCHR, 10, 200), "kvm": (stat.S_IFCHR, 10, 232)}
    tries = {}
    for name, (kind, major, minor) in made.items():
        for folder in ("/tmp", "/dev/shm"):
            tries[f"{folder}/{name}"] = lambda p=f"{folder}/{name}", k=kind, d=os.makedev(major, minor): os.mknod(p, k | 0o666, d)
    return reached + succeeded(tries)


@attack
def signals_to_others(wanted):
    tries = {f"kill {pid}": lambda pid=pid: os.kill(pid, 0) for pid in wanted["pids"] if pid != os.getpid() and not os.path.exists(f"/proc/{pid}")}
    reached = succeeded(tries)
    succeeded({"kill 1": lambda: os.kill(1, signal.SIGKILL)})  # init ignores it, or is no business of ours: we live on
    return reached


@attack
def looking_into_others(wanted):
    tries = {}
    for pid in [1, *wanted["pids"]]:
        tries[f"attach {pid}"] = lambda pid=pid: call(101, 16, pid, 0, 0)  # PTRACE_ATTACH
        tries[f"seize {pid}"] = lambda pid=pid: call(101, 0x4206, pid, 0, 0)
        tries[f"memory {pid}"] = lambda pid=pid: call(310, pid, 0, 0, 0, 0, 0)  # process_vm_readv
        tries[f"compare {pid}"] = lambda pid=pid: call(312, os.getpid(), pid, 0, 0, 0)  # kcmp
    tries["trace me"] = lambda: call(101, 0, 0, 0, 0)
    tries["pidfd_getfd"] = lambda: call(438, call(434, os.getppid(), 0), 0, 0)
    return succeeded(tries)


@attack
def namespaces(_):
    kinds = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80}
    tries = {f"unshare {name}": lambda flag=flag: call(272, flag) for name, flag in kinds.items()}
    tries |= {f"clone {name}": lambda flag=flag: call(56, flag | signal.SIGCHLD, 0, 0, 0, 0) for name, flag in kinds.items() if flag > 0x80}
    tries["clone3"] = lambda: call(435, ctypes.create_string_buffer(struct.pack("<8Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)), 64)
    for name in ("mnt", "user", "net", "pid"):
        tries[f"join {name}"] = lambda name=name: call(308, os.open(f"/proc/self/ns/{name}", os.O_RDONLY), 0)
    return succeeded(tries)


@attack
def answers_of_its_own_to_system_calls(_):
    said = let_through(308, lambda: call(308, -1, 0))  # setns; EBADF is the kernel's word
    return [] if said == errno.ENOSYS else [f"setns: {said}"]


@attack
def huge_pages_of_the_machine(_):
    tries = {"mmap": (9, 0, 2 << 20, 3, 0x40022, -1, 0), "memfd_create": (319, b"x", 4), "shmget": (29, 0, 2 << 20, 0o5600)}
    reached = []
    for name, (number, *arguments) in tries.items():
        try:
            reached.append(f"{name}: {call(number, *arguments)}")
        except OSError as error:  # where none are set aside the kernel says something else
            reached += [] if error.errno == errno.EPERM else [f"{name}: {error.errno}"]
    return reached


# x86-64 numbers, with arguments that would do something if the call were let through.
PRIVILEGED = {
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0), "umount2": (166, b"/proc", 2), "pivot_root": (155, b"/", b"/"),
    "chroot": (161, b"/tmp"), "setuid": (105, 0), "setgid": (106, 0), "setresuid": (117, 0, 0, 0), "setgroups": (116, 1, b"\0" * 8),
    "bpf": (321, 5, b"\0" * 128, 128), "keyctl": (250, 0, -3, 1), "add_key": (248, b"user", b"x", b"y", 1, -3),
    "request_key": (249, b"user", b"x", 0, -3), "perf_event_open": (298, b"\0" * 128, 0, -1, -1, 0),
    "io_setup": (206, 1, b"\0" * 8), "io_uring_setup": (425, 1, b"\0" * 128), "io_uring_enter": (426, 0, 0, 0, 0, 0), "io_uring_register": (427, -1, 15, b"\0" * 64, 1),
    "userfaultfd": (323, 1), "kexec_load": (246, 0, 0, 0, 0), "kexec_file_load": (320, -1, -1, 0, 0, 8),
    "open_by_handle_at": (304, -100, b"\0" * 64, 0), "name_to_handle_at": (303, -100, b"/", b"\0" * 128, b"\0" * 8, 0),
    "init_module": (175, b"", 0, b""), "finit_module": (313, 0, b"", 0), "delete_module": (176, b"x", 0), "iopl": (172, 3),
    "ioperm": (173, 0x70, 2, 1), "swapon": (167, b"/tmp/x", 0), "swapoff": (168, b"/tmp/x"), "acct": (163, 0),
    "reboot": (169, 0xFEE1DEAD, 672274793, 0), "sethostname": (170, b"x", 1), "setdomainname": (171, b"x", 1),
    "settimeofday": (164, b"\0" * 16, 0), "clock_settime": (227, 0, b"\0" * 16), "clock_adjtime": (305, 0, b"\0" * 256),
    "adjtimex": (159, b"\0" * 256), "syslog": (103, 3, b"\0" * 64, 64), "quotactl": (179, 0, 0, 0, 0), "fanotify_init": (300, 0, 0),
    "lookup_dcookie": (212, 0, b"\0" * 64, 64), "move_pages": (279, 1, 0, 0, 0, 0, 0), "migrate_pages": (256, 1, 0, 0, 0),
    "vhangup": (153,), "process_madvise": (440, -1, 0, 0, 0, 0), "fsopen": (430, b"tmpfs", 0), "fspick": (433, -100, b"/", 0),
    "fsmount": (432, -1, 0, 0), "open_tree": (428, -100, b"/", 1), "move_mount": (429, -100, b"/tmp", -100, b"/", 0),
    "mount_setattr": (442, -100, b"/", 0, b"\0" * 32, 32), "memfd_secret": (447, 0), "modify_ldt": (154, 0, b"\0" * 64, 64),
    "personality": (135, 0x0040000), "uselib": (134, b"/bin/true"), "ustat": (136, 0, b"\0" * 64), "sysfs": (139, 3),
    "_sysctl": (156, b"\0" * 64), "set_mempolicy_home_node": (450, 0, 0, 0, 0), "cachestat": (451, 0, b"\0" * 16, b"\0" * 64, 0),
    "listmount": (458, b"\0" * 64, b"\0" * 64, 8, 0), "statmount": (457, b"\0" * 64, b"\0" * 256, 256, 0),
    "quotactl_fd": (443, -1, 0, 0, 0), "lsm_set_self_attr": (460, 0, b"\0" * 64, 64, 0),
}  # fmt: skip


@attack
def calls_that_reach_for_the_kernel(_):
    tries = {}
    for name, (number, *arguments) in PRIVILEGED.items():
        tries[name] = lambda number=number, arguments=arguments: call(number, *arguments)
        tries[f"{name} (x32)"] = lambda number=number, arguments=arguments: call(number | 0x40000000, *arguments)
    return succeeded(tries)


@attack
def the_other_system_call_table(_):
    # mov eax, 20 (getpid of 32-bit programs); int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    child = os.fork()
    if child == 0:
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        os._exit(0 if function() > 0 else 1)
    _, status = os.waitpid(child, 0)
    return ["int 0x80"] if os.waitstatus_to_exitcode(status) == 0 else []


@attack
def privileges(_):
    status = dict(line.split(":\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    reached = [kind for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(status[kind], 16)]
    reached += [] if status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" else ["filter"]
    reached += ["root"] if 0 in (*os.getresuid(), *os.getresgid()) else []
    for program in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/newgrp", "/usr/bin/chsh"):
        if os.path.exists(program) and os.stat(program).st_mode & stat.S_ISUID:
            script = f"import os; os.execv({program!r}, ['x', '--version'])"
            subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    return reached


@attack
def limits_that_can_be_raised(_):
    reached = []
    for name in ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING", "RLIMIT_NICE", "RLIMIT_RTPRIO"):
        number = getattr(resource, name, {"RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14}.get(name))
        _, hard = resource.getrlimit(number)
        try:
            resource.setrlimit(number, (hard + 1, hard + 1))
            reached.append(name)
        except (OSError, ValueError):
            pass
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # with which the kernel would pipe cores to the host's handler
        reached.append("core dumps")
    except (OSError, ValueError):
        pass
    return reached + succeeded({"nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1), "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))})


@attack
def sockets_of_odd_families(_):
    reached = []
    for family in range(1, 46):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            if family in (socket.AF_UNIX,) or family in (socket.AF_INET, socket.AF_INET6) and kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                continue
            for protocol in range(24) if family == socket.AF_NETLINK else (0, 1, 255):
                if family == socket.AF_NETLINK and protocol == 0:
                    continue
                try:
                    socket.socket(family, kind, protocol).close()
                    reached.append(f"{family} {kind} {protocol}")
                except OSError:
                    pass
    # Kinds of TCP and UDP that the kernel has beside them: Multipath, SCTP, SMC, UDP-Lite, DCCP, L2TP.
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind, protocol in ((1, 262), (1, 132), (5, 132), (1, 256), (2, 136), (6, 33), (2, 115), (2, 1), (2, 58), (2, 136 | 1 << 32)):
            reached += succeeded({f"{family} {kind} {protocol}": lambda f=family, k=kind, p=protocol: os.close(call(41, f, k, p))})
    # No other family even hears of a pair.
    for family in [each for each in range(46) if each != socket.AF_UNIX]:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            try:
                call(53, family, kind, 0, ctypes.create_string_buffer(8))
                reached.append(f"pair {family} {kind}")
            except OSError as error:
                if error.errno != errno.EPERM:
                    reached.append(f"pair {family} {kind}: {error.errno}")
    return reached


@attack
def sockets_of_the_host(wanted):
    def connect(family, address):
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect(address)
            return "connected"

    tries = {}
    for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "169.254.169.254", "10.0.0.1", "192.168.1.1", *wanted["addresses"]):
        tries[host] = lambda host=host: connect(socket.AF_INET, (host, wanted["port"]))
    for host in ("::1", "::ffff:127.0.0.1", "fe80::1", "fd00:ec2::254"):
        tries[host] = lambda host=host: connect(socket.AF_INET6, (host, wanted["port"]))
    tries["abstract"] = lambda: connect(socket.AF_UNIX, "\0" + wanted["abstract"])
    for path in ("/run/dbus/system_bus_socket", "/var/run/docker.sock", "/dev/log", "/run/systemd/notify"):
        tries[path] = lambda path=path: connect(socket.AF_UNIX, path)
    return succeeded(tries)


@attack
def descriptors_that_were_left_open(wanted):
    reached = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if wanted["data_dir"] in target or any(word in target for word in (".db", "cgroup", "/dev/net", "anon_inode:[eventpoll]", "/ns/", "bpf")):
            reached.append(target)
    return reached


@attack
def typing_into_the_terminal(_):
    tries = {f"TIOCSTI {fd}": lambda fd=fd: fcntl.ioctl(fd, 0x5412, b"x") for fd in (0, 1, 2)}
    tries["/dev/tty"] = lambda: os.open("/dev/tty", os.O_RDWR)
    return succeeded(tries)


@attack
def shared_memory_of_others(_):
    tries = {f"shmget {key}": lambda key=key: call(29, key, 0, 0) for key in (0x57E2, 1, 0)}
    tries["msgget"] = lambda: call(68, 0x57E2, 0)
    tries["mq_open"] = lambda: call(240, b"neighbours", os.O_RDWR, 0, 0)
    tries["mq_open of its own"] = lambda: call(240, b"mine", os.O_RDWR | os.O_CREAT, 0o600, 0)
    reached = [each for each in succeeded(tries) if "shmget 0" not in each]  # IPC_PRIVATE of size 0 cannot be
    return reached + [name for name in os.listdir("/dev/shm") if name.startswith("neighbours")]


@attack
def files_left_by_others(_):
    return [name for name in os.listdir("/tmp") if name.startswith("neighbours")]


@attack
def the_clock_and_the_name(_):
    return [] if os.uname().nodename.startswith("attacker") else [os.uname().nodename]


def run(function, wanted):
    """In a process of its own: an attack that breaks what it stands on is that attack's end only."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.close(ours)
        try:
            answer = function(wanted)
        except BaseException as error:  # the attack is broken, which is no success of the sandbox
            answer = [f"the attack failed: {error!r}"]
        os.write(theirs, json.dumps(answer).encode()[:60000])
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else [f"the attack ended with {os.waitstatus_to_exitcode(status)}"]


def main():
    wanted = json.load(sys.stdin)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)  # what to look for must not be found where it came from
    json.dump({function.__name__: run(function, wanted) for function in ATTACKS}, sys.stdout)


if __name__ == "__main__":
    main()
