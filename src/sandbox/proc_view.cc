#include "sandbox/proc_view.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/unique_fd.h"

namespace sterna::sandbox {
namespace {

constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// Most of them are root's anyway; a mount more costs less than being wrong about one. What a kernel lacks is
// left out.
constexpr const char* kCoveredFiles[] = {
    "proc/kcore",       "proc/kallsyms",     "proc/keys",          "proc/key-users",
    "proc/timer_list",  "proc/sched_debug",  "proc/latency_stats", "proc/sysrq-trigger",
    "proc/kmsg",        "proc/modules",      "proc/config.gz",     "proc/cmdline",
    "proc/interrupts",  "proc/iomem",        "proc/ioports",       "proc/diskstats",
    "proc/partitions",  "proc/locks",        "proc/swaps",         "proc/slabinfo",
    "proc/vmallocinfo", "proc/pagetypeinfo", "proc/kpagecount",    "proc/kpageflags",
    "proc/buddyinfo",   "proc/zoneinfo",     "proc/softirqs",      "proc/schedstat",
    "proc/consoles",    "proc/devices",      "proc/misc",          "proc/crypto",
    "proc/dma",         "proc/mdstat",       "proc/mtrr",          "proc/fb",
    "proc/execdomains", "proc/bootconfig",   "proc/allocinfo",     "proc/sys/kernel/ns_last_pid"};
constexpr const char* kCoveredFolders[] = {"proc/acpi", "proc/asound", "proc/bus", "proc/driver",  "proc/fs",
                                           "proc/irq",  "proc/scsi",   "proc/tty", "proc/pressure"};

StepError here(const char* step) {
  return {step, errno};
}

bool bind(const char* source, const char* target) {
  return ::mount(source, target, nullptr, MS_BIND, nullptr) == 0 || errno == ENOENT || errno == ENOTDIR;
}

StepError write_limit(const char* path, std::string_view value) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? StepError{} : here("open a limit of the user namespace");
  if (::write(file.get(), value.data(), value.size()) < 0) return here("limit the user namespace");
  return {};
}

}  // namespace

StepError mount_proc() {
  return ::mount("proc", "proc", "proc", kFlags, "hidepid=2") == 0 ? StepError{} : here("mount proc");
}

StepError keep_whole_proc() {
  return bind("proc", kHiddenProc) ? StepError{} : here("keep a whole /proc");
}

StepError cover_proc() {
  for (const char* file : kCoveredFiles) {
    if (!bind("dev/null", file)) return here("cover files of /proc");
  }
  for (const char* folder : kCoveredFolders) {
    if (!bind("var/empty", folder)) return here("cover folders of /proc");
  }
  return {};
}

// Beside their own namespace these count for its maker's too, which is one user for all functions.
StepError limit_user_namespace() {
  const struct {
    const char* path;
    const char* value;
  } limits[] = {{"/proc/sys/user/max_inotify_instances", "4"},
                {"/proc/sys/user/max_inotify_watches", "4096"},
                {"/proc/sys/user/max_fanotify_groups", "0"}};
  for (const auto& limit : limits) {
    if (const StepError error = write_limit(limit.path, limit.value)) return error;
  }
  return {};
}

StepError close_user_namespaces() {
  return write_limit("/proc/sys/user/max_user_namespaces", "0");
}

}  // namespace sterna::sandbox
