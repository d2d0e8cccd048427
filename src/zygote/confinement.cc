#include "zygote/confinement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sterna::zygote {
namespace {

using sandbox::StepError;

// /proc/PID/status, of which a process can choose its name only, and that without line ends.
class Account {
 public:
  explicit Account(pid_t process) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/status", process);
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    const ssize_t length = file ? ::read(file.get(), text_, sizeof text_ - 1) : -1;
    text_[length > 0 ? length : 0] = '\0';
  }

  bool says(const char* line) const { return std::strstr(text_, line) != nullptr; }

  // The number behind "\nname:\t"; -1 when it is not there.
  int number(const char* field) const {
    const char* const found = std::strstr(text_, field);
    return found == nullptr ? -1 : static_cast<int>(std::strtol(found + std::strlen(field), nullptr, 10));
  }

 private:
  char text_[4096];
};

// Real, effective, saved, and of files.
bool is_inner_user(const Account& account) {
  static_assert(sandbox::kInnerUid == 1000 && sandbox::kInnerGid == 1000);
  return account.says("\nUid:\t1000\t1000\t1000\t1000\n") && account.says("\nGid:\t1000\t1000\t1000\t1000\n");
}

bool has_no_capability(const Account& account) {
  for (const char* set :
       {"\nCapInh:\t0000000000000000\n", "\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n",
        "\nCapBnd:\t0000000000000000\n", "\nCapAmb:\t0000000000000000\n"}) {
    if (!account.says(set)) return false;
  }
  return true;
}

}  // namespace

int filters_of(pid_t process) {
  return Account(process).number("\nSeccomp_filters:\t");
}

StepError check_fork(pid_t fork, int filters) {
  const Account account(fork);
  if (account.number("\nThreads:\t") != 1) return {"trust a parent whose fork has threads", EPERM};
  if (filters < 0 || account.number("\nSeccomp_filters:\t") != filters)
    return {"trust a parent that filters its own system calls", EPERM};
  return {};
}

StepError check_namespaces(pid_t process, Moved moved, std::span<const UniqueFd> made) {
  for (std::size_t i = 0; i < made.size(); ++i) {
    const ReplicaNamespace& each = kReplicaNamespaces[i];
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/ns/%s", process,
                  moved == Moved::kFork ? each.of_children : each.name);
    struct stat is{};
    struct stat wanted{};
    if (::stat(path, &is) != 0 || ::fstat(made[i].get(), &wanted) != 0)
      return {"look at the replica's namespaces", errno};
    if (is.st_dev != wanted.st_dev || is.st_ino != wanted.st_ino)
      return {"find the replica in its namespaces", EPERM};
  }
  return {};
}

StepError check_confined(pid_t process, int filters) {
  const Account account(process);
  const bool filtered = account.says("\nNoNewPrivs:\t1\n") && account.says("\nSeccomp:\t2\n") &&
                        filters > 0 && account.number("\nSeccomp_filters:\t") >= filters;
  if (filtered && is_inner_user(account) && has_no_capability(account)) return {};
  return {"confine the replica", EPERM};
}

StepError check_is_child(pid_t process) {
  if (Account(process).number("\nPPid:\t") == ::getpid()) return {};
  return {"become the replica's parent process", EPERM};
}

}  // namespace sterna::zygote
