// A function that asks for sockets without end gets so many of the loop's turns and no more.
#include "launch/egress_network.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "sandbox/seccomp.h"

namespace sterna::launch {
namespace {

constexpr pid_t kNobody = 999'999'999;  // has no namespaces to join: every socket is refused
constexpr std::size_t kThreads = 16;

// A process whose threads ask for sockets all the time.
class Asker {
 public:
  Asker() {
    const auto filter = sandbox::make_filter(sandbox::SocketRule::kNotify);
    answered_ = static_cast<std::atomic<std::size_t>*>(
        ::mmap(nullptr, sizeof *answered_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    new (answered_) std::atomic<std::size_t>(0);
    int ends[2];
    if (!filter || ::pipe2(ends, O_CLOEXEC) != 0) return;
    const UniqueFd read_end(ends[0]);
    const UniqueFd write_end(ends[1]);
    process_ = ::fork();
    if (process_ == 0) ask(*filter, write_end.get());
    int theirs = -1;
    if (::read(read_end.get(), &theirs, sizeof theirs) != sizeof theirs) return;
    const UniqueFd held(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
    listener_.reset(static_cast<int>(::syscall(SYS_pidfd_getfd, held.get(), theirs, 0)));
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;
  ~Asker() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    ::munmap(answered_, sizeof *answered_);
  }

  UniqueFd take_listener() { return std::move(listener_); }
  std::size_t answered() const { return *answered_; }

 private:
  [[noreturn]] void ask(const sandbox::SeccompProgram& filter, int told) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const int listener = sandbox::install_filter(filter, sandbox::SocketRule::kNotify);
    if (::write(told, &listener, sizeof listener) != sizeof listener) ::_exit(1);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([this] {
        while (true) {
          ::socket(AF_INET, SOCK_DGRAM, 0);
          ++*answered_;
        }
      });
    }
    threads.clear();
    ::_exit(0);
  }

  std::atomic<std::size_t>* answered_ = nullptr;
  pid_t process_ = 0;
  UniqueFd listener_;
};

TEST(EgressNetwork, SocketsWithoutEndGetTheirShareOfEachWindow) {
  ManualClock clock;
  net::Loop loop(clock);
  net::Resolver resolver(loop);
  Asker asker;
  UniqueFd listener = asker.take_listener();
  ASSERT_TRUE(listener);
  bool failed = false;
  EgressNetwork network(loop, resolver, std::move(listener), kNobody, {}, {},
                        [&](const std::string&) { failed = true; });
  for (int turns = 0; turns < 10'000 && !failed; ++turns) loop.turn(std::chrono::milliseconds(1));
  ASSERT_TRUE(failed) << "every call is answered at once from now on";
  for (int windows = 0; windows < 3; ++windows) {
    clock.advance(EgressNetwork::kWindow);
    const std::size_t before = asker.answered();
    // Until the share is used up, and as long again in vain: nobody moves the clock.
    for (int turns = 0; turns < 10'000 && asker.answered() < before + EgressNetwork::kCallsInWindow; ++turns)
      loop.turn(std::chrono::milliseconds(1));
    for (int turns = 0; turns < 100; ++turns) loop.turn(std::chrono::milliseconds(1));
    const std::size_t got = asker.answered() - before;
    EXPECT_GE(got, EgressNetwork::kCallsInWindow);
    // More than the share by what one look takes, and by what the threads had to count of the window before.
    EXPECT_LE(got, EgressNetwork::kCallsInWindow + sandbox::EgressStarter::kCallsAtOnce + kThreads);
  }
}

}  // namespace
}  // namespace sterna::launch
