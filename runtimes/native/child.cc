#include "native/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sterna::native {
namespace {

class Actions {
 public:
  Actions() { ::posix_spawn_file_actions_init(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }

  void place(int fd, int number) {
    if (fd < 0) {
      ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
    } else {
      ::posix_spawn_file_actions_adddup2(&actions_, fd, number);
    }
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// A group of its own, and signals as at a fresh start.
class Attributes {
 public:
  Attributes() {
    ::posix_spawnattr_init(&attributes_);
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

std::string remedy(int error) {
  switch (error) {
    case ENOEXEC:
      return "it is no program for this machine; begin a script with a line such as #!/bin/sh";
    case ENOENT:
      return "the interpreter or the loader that it names is not there; link it statically, or name one "
             "below "
             "/usr in its first line";
    case EACCES:
      return "it is not executable";
    case EAGAIN:
      return "limits.max_pids is reached";
    case ENOMEM:
      return "limits.memory_mb is reached";
    case E2BIG:
      return "the environment and arguments are too large";
    default:
      return std::strerror(error);
  }
}

}  // namespace

Result<Pipe> Pipe::open() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(Component::kWorker, "pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<std::unique_ptr<Child>> Child::start(net::Loop& loop, const std::string& program,
                                            const std::vector<std::string>& argv,
                                            const Environment& environment, const Streams& streams,
                                            std::function<void(int)> on_exit) {
  Actions actions;
  actions.place(streams.in, 0);
  actions.place(streams.out, 1);
  actions.place(streams.err, 2);
  const Attributes attributes;
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), actions.get(), attributes.get(), words.data(),
                                  environment.pointers().data());
  if (error != 0) {
    return fail(Code::kInvalid, Component::kFunction, "command_failed",
                fmt::format("{} cannot be run: {}", program, remedy(error)));
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::unique_ptr<Child> child(new Child(loop, pid, std::move(pidfd), std::move(on_exit)));
  if (!child->pidfd_) return fail_errno(Component::kWorker, "pidfd_open", errno);
  if (const Status added = loop.add(child->pidfd_.get(), *child, EPOLLIN); !added)
    return std::unexpected(added.error());
  return child;
}

Child::Child(net::Loop& loop, pid_t pid, UniqueFd pidfd, std::function<void(int)> on_exit)
    : loop_(loop), pid_(pid), pidfd_(std::move(pidfd)), on_exit_(std::move(on_exit)) {}

Child::~Child() {
  if (ended_) return;
  signal_group(SIGKILL);
  if (pidfd_) loop_.remove(pidfd_.get(), *this);
  ::waitpid(pid_, nullptr, 0);
}

void Child::signal_group(int signal) const {
  ::kill(-pid_, signal);
}

void Child::on_event(std::uint32_t) {
  siginfo_t info{};
  // Looked at first, reaped after: the group keeps its number until then, and nobody else is hit.
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) != 0 || info.si_pid == 0) {
    return;
  }
  signal_group(SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ended_ = true;
  loop_.remove(pidfd_.get(), *this);
  pidfd_.reset();
  on_exit_(status);
}

std::string describe_end(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return fmt::format("was ended by signal {} ({})", signal, ::strsignal(signal));
  }
  return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

}  // namespace sterna::native
