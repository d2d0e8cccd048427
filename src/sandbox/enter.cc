#include "sandbox/enter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.h"
#include "sandbox/landlock.h"
#include "sandbox/proc_view.h"
#include "sandbox/root.h"

namespace sterna::sandbox {
namespace {

constexpr std::uint64_t kMaxPendingSignals = 1024;  // and timers
constexpr std::uint64_t kMaxLockedBytes = std::uint64_t{64} * 1024;
constexpr std::uint64_t kStackAllowance = 192 * kMiB;  // threads' stacks count as data, used or not

StepError here(const char* step) {
  return {step, errno};
}

StepError loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return here("open a socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  const int result = ::ioctl(fd, SIOCSIFFLAGS, &request);
  const StepError error = result == 0 ? StepError{} : here("bring loopback up");
  ::close(fd);
  return error;
}

bool mount_tmpfs(const char* target, std::uint64_t bytes, unsigned long flags) {
  char options[96];
  std::snprintf(options, sizeof options, "mode=1777,size=%llu,nr_inodes=%u",
                static_cast<unsigned long long>(bytes), kMaxTmpFiles);
  return ::mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | flags, options) == 0;
}

// What every sandbox has of its own besides /proc, below the working directory.
StepError mount_own(std::uint64_t tmp_bytes) {
  if (!mount_tmpfs("tmp", tmp_bytes, 0)) return here("mount /tmp");
  if (!mount_tmpfs("dev/shm", kShmBytes, MS_NOEXEC)) return here("mount /dev/shm");
  return {};
}

// The host's mounts came along locked into one piece. Binding the new root onto itself gives a mount that may
// be pivoted to.
StepError make_root(const char* root_dir, std::uint64_t tmp_bytes) {
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return here("make mounts private");
  if (::mount(root_dir, root_dir, nullptr, MS_BIND | MS_REC, nullptr) != 0) return here("bind the root");
  if (::chdir(root_dir) != 0) return here("enter the root");
  // Before the host's proc is gone: the kernel mounts a new one only where a whole one is in view.
  if (const StepError error = mount_proc()) return error;
  if (const StepError error = keep_whole_proc()) return error;
  if (const StepError error = cover_proc()) return error;
  if (const StepError error = mount_own(tmp_bytes)) return error;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return here("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return here("detach the host's root");
  if (::chdir("/") != 0) return here("enter /");
  return {};
}

StepError unshare_namespaces(NetworkSpace network) {
  const int own_network = network == NetworkSpace::kOwn ? CLONE_NEWNET : 0;
  if (::unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | own_network) != 0) {
    return here("unshare namespaces");
  }
  return own_network != 0 ? loopback_up() : StepError{};
}

StepError drop_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return here("clear ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return here("drop capabilities");
  return {};
}

// `worker` 0 is the caller.
bool set_limit(pid_t worker, __rlimit_resource resource, std::uint64_t value) {
  const rlimit limit{value, value};
  return ::prlimit(worker, resource, &limit, nullptr) == 0;
}

StepError set_memory_limit(const EnterOrder& order, pid_t worker) {
  switch (order.memory_limit) {
    case MemoryLimit::kGroup:
      return {};
    case MemoryLimit::kAddressSpace:
      return set_limit(worker, RLIMIT_AS, order.memory_bytes) ? StepError{} : here("set RLIMIT_AS");
    case MemoryLimit::kData:
      break;
  }
  return set_limit(worker, RLIMIT_DATA, order.memory_bytes + kStackAllowance) ? StepError{}
                                                                              : here("set RLIMIT_DATA");
}

StepError set_limits(const EnterOrder& order, pid_t worker) {
  rlimit files{};
  if (::prlimit(worker, RLIMIT_NOFILE, nullptr, &files) != 0) return here("read RLIMIT_NOFILE");
  const auto open_files = std::min<std::uint64_t>(order.max_open_files, files.rlim_max);
  if (!set_limit(worker, RLIMIT_NOFILE, open_files)) return here("set RLIMIT_NOFILE");
  // 0 would not keep the kernel from piping a core to the host's handler; 1 does, and the filter keeps it 1.
  if (!set_limit(worker, RLIMIT_CORE, 1)) return here("set RLIMIT_CORE");
  // What the kernel counts for the maker of the user namespace too, who is the same for all functions.
  if (!set_limit(worker, RLIMIT_MSGQUEUE, 0)) return here("set RLIMIT_MSGQUEUE");
  if (!set_limit(worker, RLIMIT_SIGPENDING, kMaxPendingSignals)) return here("set RLIMIT_SIGPENDING");
  if (!set_limit(worker, RLIMIT_MEMLOCK, kMaxLockedBytes)) return here("set RLIMIT_MEMLOCK");
  rlimit file_size{};
  if (::prlimit(worker, RLIMIT_FSIZE, nullptr, &file_size) != 0) return here("read RLIMIT_FSIZE");
  const auto file_bytes =
      std::min<std::uint64_t>(max_file_bytes(order.tmp_bytes, order.memory_bytes), file_size.rlim_max);
  if (!set_limit(worker, RLIMIT_FSIZE, file_bytes)) return here("set RLIMIT_FSIZE");
  if (const StepError error = set_memory_limit(order, worker)) return error;
  if (order.limit_processes != 0 && !set_limit(worker, RLIMIT_NPROC, order.max_pids))
    return here("set RLIMIT_NPROC");
  return {};
}

StepError restrict_files(Files files) {
  const int version = landlock_version();
  const FunctionFiles function = files == Files::kBuild ? FunctionFiles::kWritable : FunctionFiles::kReadOnly;
  const UniqueFd rules(version == 0                  ? -ENOMSG
                       : files == Files::kOfReplicas ? make_scope_rules(version)
                                                     : make_write_rules(version, function));
  if (rules.get() == -ENOMSG) return {};  // this kernel has none
  if (!rules) return {"make the rules for files", -rules.get()};
  const int error = restrict_by(rules.get());
  return error == 0 ? StepError{} : StepError{"restrict files", error};
}

}  // namespace

StepError become_inner_user() {
  if (::syscall(SYS_setresgid, kInnerGid, kInnerGid, kInnerGid) != 0) return here("setresgid");
  if (::syscall(SYS_setresuid, kInnerUid, kInnerUid, kInnerUid) != 0) return here("setresuid");
  if (const StepError error = drop_capabilities()) return error;
  // Changing the user made /proc/self root's; the function may look at itself.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return here("set dumpable");
  return {};
}

StepError drop_bounding_set() {
  for (unsigned long capability = 0; capability <= 63; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // beyond the kernel's last
    return here("drop the capability bounding set");
  }
  return {};
}

StepError prepare(const char* root_dir, NetworkSpace network, std::uint64_t default_tmp_bytes,
                  Isolation isolation) {
  const bool isolated = isolation == Isolation::kFull;
  if (!isolated && ::unshare(CLONE_NEWNS) != 0) return here("unshare the mounts");
  if (isolated) {
    if (const StepError error = unshare_namespaces(network)) return error;
  }
  if (const StepError error = make_root(root_dir, default_tmp_bytes)) return error;
  // Without a user namespace of its own these limits would be the machine's.
  if (isolated) {
    if (const StepError error = limit_user_namespace()) return error;
  }
  if (const StepError error = drop_bounding_set()) return error;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return here("set no_new_privs");
  ::umask(022);
  return {};
}

StepError prepare_replica(NetworkSpace network, std::uint64_t tmp_bytes) {
  if (const StepError error = unshare_namespaces(network)) return error;
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return here("make mounts private");
  if (::chdir("/") != 0) return here("enter /");
  if (const StepError error = mount_proc()) return error;
  if (const StepError error = cover_proc()) return error;
  if (const StepError error = mount_own(tmp_bytes)) return error;
  if (const StepError error = limit_user_namespace()) return error;
  return drop_bounding_set();
}

EnterOrder make_order(const SandboxPlan& plan, bool has_memory_group, bool has_pids_group) {
  EnterOrder order;
  order.tmp_bytes = plan.tmp_bytes;
  order.memory_bytes = plan.memory_bytes;
  order.max_open_files = plan.max_open_files;
  order.max_pids = plan.max_pids;
  order.memory_limit = has_memory_group ? MemoryLimit::kGroup : MemoryLimit::kAddressSpace;
  order.limit_processes = has_pids_group ? 0 : 1;
  order.may_pause = plan.may_pause ? 1 : 0;
  order.bundle_writable = plan.bundle_writable ? 1 : 0;
  order.network = plan.network;
  order.filtered = plan.network == Network::kEgress ? 1 : 0;
  order.named = order.filtered != 0 && !plan.egress.names.empty() ? 1 : 0;
  plan.hostname.copy(order.hostname, sizeof order.hostname - 1);
  return order;
}

int open_bundle(const char* bundle_dir, BundleAccess access) {
  const int tree = ::open_tree(AT_FDCWD, bundle_dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return -errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (access == BundleAccess::kReadOnly) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  if (::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    const int error = errno;
    ::close(tree);
    return -error;
  }
  return tree;
}

StepError furnish(const EnterOrder& order, int bundle_fd, pid_t worker) {
  if (::move_mount(bundle_fd, "", AT_FDCWD, "/function", MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return here("mount the bundle");
  if (!mount_tmpfs("/tmp", order.tmp_bytes, MS_REMOUNT)) return here("size /tmp");
  if (order.isolation == Isolation::kNone) return {};
  if (order.named != 0 && ::mount(kOwnResolverFile, "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0)
    return here("mount resolv.conf");
  if (::sethostname(order.hostname, std::strlen(order.hostname)) != 0) return here("set the hostname");
  return set_limits(order, worker);
}

StepError become_function(const SeccompProgram& filter, SocketRule rule, Files files, int* listener) {
  if (const StepError error = restrict_files(files)) return error;
  if (const StepError error = become_inner_user()) return error;
  const int installed = install_filter(filter, rule);
  if (installed < 0) return {"install the system call filter", -installed};
  *listener = rule == SocketRule::kNotify ? installed : -1;
  return {};
}

StepError enter(const EnterOrder& order, int bundle_fd, const SeccompProgram& filter, int* listener) {
  if (const StepError error = furnish(order, bundle_fd, 0)) return error;
  if (order.isolation == Isolation::kNone) return become_inner_user();
  const SocketRule rule = order.network == Network::kEgress ? SocketRule::kNotify : SocketRule::kAllow;
  const Files files = order.may_pause != 0         ? Files::kOfReplicas
                      : order.bundle_writable != 0 ? Files::kBuild
                                                   : Files::kOwn;
  return become_function(filter, rule, files, listener);
}

StepError hide_init() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return here("clear dumpable");
  return {};
}

StepError drop_init(Isolation isolation) {
  if (isolation == Isolation::kFull) {
    if (const StepError error = close_user_namespaces()) return error;
  }
  if (const StepError error = drop_capabilities()) return error;
  return hide_init();
}

}  // namespace sterna::sandbox
