#include "sandbox/network_visit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace sterna::sandbox {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
// The descriptors are shared, so that what is opened there is open here; the memory too, so that nothing of
// it is copied, but for the thread sanitizer (launch.cc).
#if __has_feature(thread_sanitizer)
constexpr int kCloneFlags = CLONE_FILES | CLONE_VFORK | SIGCHLD;
#else
constexpr int kCloneFlags = CLONE_FILES | CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif

struct Found {
  int questions = -1;
  int filter = -1;
  int error = 0;
};

struct Visit {
  int user_space;
  int network;
  int answer;  // a pipe for what was Found
};

int open_questions() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(kDnsPort);
  ::inet_pton(AF_INET, kOwnResolver, &here.sin_addr);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

// Only system calls: the parent's thread stands still and lends its memory.
int go_there(void* argument) {
  const Visit& visit = *static_cast<const Visit*>(argument);
  Found found;
  // Whoever may enter the user namespace is root in it.
  if (::setns(visit.user_space, CLONE_NEWUSER) == 0 && ::setns(visit.network, CLONE_NEWNET) == 0) {
    found.questions = open_questions();
    if (found.questions >= 0) found.filter = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  }
  if (found.filter < 0) found.error = errno;
  ::_exit(::write(visit.answer, &found, sizeof found) == sizeof found ? 0 : 1);
}

UniqueFd open_namespace(pid_t worker, const char* kind) {
  const std::string path = "/proc/" + std::to_string(worker) + "/ns/" + kind;
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

Result<NameSockets> open_name_sockets(pid_t worker) {
  const auto failed = [](int error) {
    return fail_errno(Component::kPool, "enter a worker's network", error);
  };
  const UniqueFd user_space = open_namespace(worker, "user");
  const UniqueFd network = open_namespace(worker, "net");
  if (!user_space || !network) return failed(errno);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(errno);
  const UniqueFd answer(ends[0]);
  const UniqueFd answer_end(ends[1]);
  Visit visit{user_space.get(), network.get(), answer_end.get()};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  alignas(16) char stack[kStackBytes];
  const pid_t pid = ::clone(go_there, stack + kStackBytes, kCloneFlags, &visit);
  const int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return failed(clone_error);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  Found found;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
      ::read(answer.get(), &found, sizeof found) != sizeof found) {
    return failed(ECHILD);
  }
  NameSockets sockets{.questions = UniqueFd(found.questions), .filter = UniqueFd(found.filter)};
  if (found.error != 0) return failed(found.error);
  return sockets;
}

}  // namespace sterna::sandbox
