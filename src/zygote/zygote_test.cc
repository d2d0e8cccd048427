// Real workers in real sandboxes: what they see, what they may, how their end is told.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "sandbox/egress.h"
#include "sandbox/files.h"
#include "zygote/test_fixture.h"

namespace sterna::zygote {
namespace {

TEST_P(ZygoteFixture, WorkerIsTheInnerUserAndNotInit) {
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("ids"), "1000 1000 2");
  EXPECT_EQ(worker.ask("groups"), "0");
  EXPECT_EQ(worker.ask("capabilities"),
            "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 ");
  EXPECT_EQ(worker.ask("hostname"), "thumbnail");
  EXPECT_EQ(worker.ask("numbers /proc"), "2");
  EXPECT_EQ(worker.ask("environment HOME"), "unset");
}

TEST_P(ZygoteFixture, EveryThreadIsConfined) {
  if (kHasThreadOfSanitizer) GTEST_SKIP() << "the sanitizer's thread is not";
  // Fields of /proc/self/task/*/status: threads made before and after the order, and the main one.
  const std::string confined =
      "Uid:1000 CapPrm:0000000000000000 CapEff:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1 "
      "Seccomp:2 ";
  EXPECT_EQ(started("a", plan()).ask("threads"), confined + (GetParam() == WorkerKind::kFork ? "x2" : "x4"));
}

TEST_P(ZygoteFixture, ProgramsHaveAUserEach) {
  if (GetParam() == WorkerKind::kFork) GTEST_SKIP() << "forked workers are the user of their plan";
  const auto first = started("a", plan());
  const auto second = started("b", plan());
  std::set<uid_t> owners;
  for (const char* name : {"a", "b"}) {
    struct stat info{};
    const auto report = await<Started>(name);
    ASSERT_TRUE(report);
    ASSERT_EQ(::stat(("/proc/" + std::to_string(report->pid)).c_str(), &info), 0);
    owners.insert(info.st_uid);
  }
  if (::geteuid() == 0) EXPECT_EQ(owners, (std::set<uid_t>{kTestUids, kTestUids + 1}));
}

TEST_P(ZygoteFixture, HostIsOutOfSight) {
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("list /"), "bin dev etc function lib lib32 lib64 proc run sbin tmp usr var");
  EXPECT_EQ(worker.ask("list /function"), "handler.txt");
  EXPECT_EQ(worker.ask("read /function/handler.txt"), "the handler");
  EXPECT_EQ(worker.ask("exists " + (dir_ / "secret.txt").string()), "No such file or directory");
  EXPECT_EQ(worker.ask("exists /proc/1/root/root"), "No such file or directory");
  EXPECT_EQ(worker.ask("list /tmp"), "<empty>");
  EXPECT_EQ(worker.ask("list /dev"), "fd full null random shm stderr stdin stdout urandom zero");
  EXPECT_EQ(worker.ask("numbers /proc/self/fd"), own_fds());
}

TEST_P(ZygoteFixture, OnlyTmpCanBeWritten) {
  auto small = plan();
  small.tmp_bytes = 1 << 20;
  const auto worker = started("a", small);
  for (const char* path : {"/x", "/function/x", "/etc/x", "/usr/x", "/dev/x", "/function/handler.txt"}) {
    const std::string answer = worker.ask(std::string("create ") + path);
    EXPECT_TRUE(answer == "Read-only file system" || answer == "Permission denied") << path << ": " << answer;
  }
  EXPECT_EQ(worker.ask("create /tmp/x"), "ok");
  EXPECT_EQ(worker.ask("create /dev/shm/x"), "ok");
  const std::string filled = worker.ask("fill /tmp/y");
  EXPECT_TRUE(filled.ends_with(" No space left on device")) << filled;
  if (!kHasThreadOfSanitizer) EXPECT_TRUE(filled.starts_with("1048576 ")) << filled;  // it has a file there
}

TEST_P(ZygoteFixture, ProcTellsNothingOfTheMachine) {
  const auto worker = started("a", plan());
  // Not every kernel has all of them.
  const auto seen = [](const std::string& name) {
    return std::string(::access(("/proc/" + name).c_str(), F_OK) == 0 ? "<empty>" : std::strerror(ENOENT));
  };
  for (const char* file : {"kcore", "kallsyms", "keys", "modules", "cmdline", "sysrq-trigger", "interrupts"})
    EXPECT_EQ(worker.ask(std::string("read /proc/") + file), seen(file)) << file;
  for (const char* folder : {"bus", "fs", "irq"})
    EXPECT_EQ(worker.ask(std::string("list /proc/") + folder), seen(folder)) << folder;
  EXPECT_EQ(worker.ask("exists /run/sandbox/proc"),
            ::geteuid() == 0 ? "Permission denied" : "No such file or directory");
  EXPECT_EQ(worker.ask("read /proc/sys/user/max_inotify_instances"), "4\n");
  // Its init sees to that while the worker begins.
  EXPECT_TRUE(eventually([&] { return worker.ask("read /proc/sys/user/max_user_namespaces") == "0\n"; }));
}

TEST_P(ZygoteFixture, SecretsAreFilesThatOnlyTheFunctionReads) {
  const std::string bytes("\0\n\xff", 3);
  const auto worker = started(
      "a", plan(), {{"EMPTY", ""}, {"KEY", "p4ss"}, {"BYTES", bytes}, {"LARGE", std::string(65536, 'x')}});
  EXPECT_EQ(worker.ask("list /run/secrets"), "BYTES EMPTY KEY LARGE");
  EXPECT_EQ(worker.ask("read /run/secrets/KEY"), "p4ss");
  EXPECT_EQ(worker.ask("read /run/secrets/BYTES"), bytes);
  EXPECT_EQ(worker.ask("describe /run/secrets"), "700 1000 120");
  EXPECT_EQ(worker.ask("describe /run/secrets/KEY"), "400 1000 4");
  EXPECT_EQ(worker.ask("describe /run/secrets/EMPTY"), "400 1000 0");
  EXPECT_EQ(worker.ask("describe /run/secrets/LARGE"), "400 1000 65536");
  EXPECT_EQ(worker.ask("create /run/secrets/x"), "Read-only file system");
  EXPECT_EQ(worker.ask("remove /run/secrets/KEY"), "Read-only file system");
  EXPECT_EQ(worker.ask("numbers /proc/self/fd"), own_fds());
}

TEST_P(ZygoteFixture, SecretsOfOneWorkerAreNotInAnother) {
  const auto with = started("a", plan(), {{"KEY", "p4ss"}});
  const auto without = started("b", plan());
  EXPECT_EQ(with.ask("read /run/secrets/KEY"), "p4ss");
  EXPECT_EQ(without.ask("list /run/secrets"), "<empty>");
}

TEST_P(ZygoteFixture, AsManySecretsAsAFunctionMayHaveFit) {
  Secrets many;
  for (int i = 0; i < 500; ++i) many["S" + std::to_string(i)] = std::string(4096, 'x');
  const auto worker = started("a", plan(), many);
  EXPECT_EQ(worker.ask("describe /run/secrets/S499"), "400 1000 4096");
}

TEST_P(ZygoteFixture, DangerousCallsAreRefused) {
  const auto worker = started("a", plan());
  for (const char* what : {"unshare", "mount", "ptrace", "bpf", "io_uring", "keyctl", "userfaultfd",
                           "clone_newuser", "packet_socket", "raw_socket", "setuid", "core_limit"}) {
    const std::string answer = worker.ask(std::string("attempt ") + what);
    EXPECT_TRUE(answer == "Operation not permitted" || answer == "Invalid argument")
        << what << ": " << answer;
  }
  EXPECT_EQ(worker.ask("attempt clone3"), "Function not implemented");
  EXPECT_EQ(worker.ask("attempt mknod"), no_device());
  EXPECT_EQ(worker.ask("attempt init_memory"), "No such file or directory");
  // Refused, or (without root, where init is the same user) ignored by the kernel: init lives.
  worker.ask("attempt kill_init");
  EXPECT_EQ(worker.ask("numbers /proc"), "2");
}

TEST_P(ZygoteFixture, ChildrenOfUserCodeWork) {
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("run_child"), "7");
  // Its orphan went to init and is gone.
  EXPECT_TRUE(eventually([&] { return worker.ask("numbers /proc") == "2"; }));
}

TEST_P(ZygoteFixture, MemoryLimitKillsAndIsTold) {
  if (cgroups_.memory.empty()) GTEST_SKIP() << "no memory controller";
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("allocate 300"), "<gone>");
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->signal, SIGKILL);
  EXPECT_TRUE(exited->oom);
}

// What is in the pipe, until its end: when all that could write to it are gone.
std::string read_all(const UniqueFd& pipe) {
  std::string text;
  char part[256];
  pollfd polled{pipe.get(), POLLIN, 0};
  while (::poll(&polled, 1, 5000) == 1) {
    const ssize_t got = ::read(pipe.get(), part, sizeof part);
    if (got == 0) return text;
    if (got > 0) text.append(part, static_cast<std::size_t>(got));
  }
  return text + " and no end";
}

TEST_P(ZygoteFixture, AChildKilledForMemoryEndsItsWorker) {
  if (cgroups_.memory.empty()) GTEST_SKIP() << "no memory controller";
  const auto other = started("b", plan());
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("greedy_children 300"), "<gone>");
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->signal, SIGKILL);
  EXPECT_TRUE(exited->oom);
  const std::string killed = read_all(worker.output);
  EXPECT_TRUE(killed.empty() || killed == ".") << killed;
  EXPECT_EQ(other.ask("ids"), "1000 1000 2");
}

// Its user code is killed with its spare's watch, which was there before it.
TEST_P(ZygoteFixture, AChildKilledForMemoryEndsAWorkerThatWasASpare) {
  if (cgroups_.memory.empty()) GTEST_SKIP() << "no memory controller";
  ASSERT_TRUE(zygote_->send_spares(Network::kNone, 1));
  ASSERT_TRUE(await_children(1));
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("greedy_children 300"), "<gone>");
  EXPECT_TRUE(await<Exited>("a").value_or(Exited{}).oom);
}

TEST_P(ZygoteFixture, GrownMemoryLimitHolds) {
  if (kHasThreadOfSanitizer) GTEST_SKIP() << "the sanitizer's own memory is several times the program's";
  auto big = plan();
  big.memory_bytes = 512 * sandbox::kMiB;
  EXPECT_EQ(started("a", big).ask("allocate 300"), "ok");
}

// 20 processes are allowed and the worker is one; a program's two threads and a sanitizer's are others.
void expect_bounded(const std::string& answer, WorkerKind kind) {
  if (kHasThreadOfSanitizer) {
    EXPECT_TRUE(answer.ends_with(" Resource temporarily unavailable")) << answer;
    return;
  }
  EXPECT_EQ(answer, kind == WorkerKind::kFork ? "19 Resource temporarily unavailable"
                                              : "17 Resource temporarily unavailable");
}

TEST_P(ZygoteFixture, ForkBombIsBounded) {
  auto few = plan();
  few.max_pids = 20;
  const auto worker = started("a", few);
  expect_bounded(worker.ask("fork_many"), GetParam());
  ASSERT_TRUE(zygote_->send_kill("a"));
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->signal, SIGKILL);
  EXPECT_FALSE(exited->oom);
}

TEST_P(ZygoteFixture, EndsAreTold) {
  EXPECT_EQ(started("code", plan()).ask("exit 3"), "<gone>");
  EXPECT_EQ(await<Exited>("code").value().code, 3);
  EXPECT_EQ(started("signal", plan()).ask("raise 15"), "<gone>");
  EXPECT_EQ(await<Exited>("signal").value().signal, SIGTERM);
  EXPECT_EQ(started("abort", plan()).ask("abort"), "<gone>");
  EXPECT_EQ(await<Exited>("abort").value().signal, SIGABRT);
  {
    const auto worker = started("end", plan());
  }
  EXPECT_EQ(await<Exited>("end").value().code, 0);
}

TEST_P(ZygoteFixture, MissingBundleIsToldAndTheSpareStays) {
  ASSERT_TRUE(zygote_->send_spares(Network::kNone, 1));
  ASSERT_TRUE(await_children(1));
  const auto spare = children_of(zygote_->pid());
  auto wrong = plan();
  wrong.bundle_dir = (dir_ / "nothing").string();
  const auto worker = start("a", wrong);
  const auto exited = await<Exited>("a");
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->error, "open the bundle: No such file or directory");
  EXPECT_EQ(children_of(zygote_->pid()), spare);
}

TEST_P(ZygoteFixture, SparesAreUsedAndRefilled) {
  ASSERT_TRUE(zygote_->send_spares(Network::kNone, 2));
  ASSERT_TRUE(await_children(2));
  const auto worker = started("a", plan());
  const auto report = await<Started>("a");
  ASSERT_TRUE(report);
  EXPECT_GT(report->pid, 1);
  EXPECT_TRUE(await_children(3));
  auto host = plan();
  host.network = Network::kHost;
  const auto other = started("b", host);
  EXPECT_FALSE(await<Started>("b").value().spare);
}

TEST_P(ZygoteFixture, NamesAreUsedOnce) {
  const auto first = started("a", plan());
  const auto second = start("a", plan());
  EXPECT_EQ(await<Exited>("a").value().error, "start: the worker's name is empty or in use");
  EXPECT_EQ(first.ask("ids"), "1000 1000 2");
}

TEST_P(ZygoteFixture, GroupsGoWithTheirWorkers) {
  if (cgroups_.version == sandbox::CgroupVersion::kNone) GTEST_SKIP() << "no cgroups";
  const std::string group = cgroups_.directories().front() + "/" + sandbox::group_name(zygote_->pid(), 1);
  {
    const auto worker = started("a", plan());
    EXPECT_TRUE(sandbox::is_directory(group));
  }
  ASSERT_TRUE(await<Exited>("a"));
  EXPECT_TRUE(eventually([&] { return !sandbox::is_directory(group); }));
}

TEST_P(ZygoteFixture, NothingOutlivesAKilledZygote) {
  ASSERT_TRUE(zygote_->send_spares(Network::kNone, 1));
  const auto worker = started("a", plan());
  const auto report = await<Started>("a");
  ASSERT_TRUE(report);
  ::kill(zygote_->pid(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return worker.ask("ids") == "<gone>"; }));
  EXPECT_TRUE(eventually([&] { return ::kill(report->pid, 0) != 0; }));
  EXPECT_TRUE(sandbox::sweep_cgroups(cgroups_, std::chrono::seconds(5)));
  for (const auto& directory : cgroups_.directories()) EXPECT_FALSE(sandbox::is_directory(directory));
}

TEST_P(ZygoteFixture, NextZygoteRemovesTheGroupsOfAKilledOne) {
  if (cgroups_.version == sandbox::CgroupVersion::kNone) GTEST_SKIP() << "no cgroups";
  const std::string group = cgroups_.directories().front() + "/" + sandbox::group_name(zygote_->pid(), 1);
  const auto worker = started("a", plan());
  ::kill(zygote_->pid(), SIGKILL);
  ::waitpid(zygote_->pid(), nullptr, 0);
  ASSERT_TRUE(eventually([&] { return worker.ask("ids") == "<gone>"; }));
  ASSERT_TRUE(sandbox::is_directory(group));
  ASSERT_TRUE(eventually([&] {
    spawn();
    return !sandbox::is_directory(group);
  }));
  EXPECT_EQ(started("a", plan()).ask("ids"), "1000 1000 2");
}

TEST_P(ZygoteFixture, ZygotesShareALayout) {
  const auto first = started("a", plan());
  auto other = std::move(*zygote_);
  spawn();
  EXPECT_EQ(started("a", plan()).ask("ids"), "1000 1000 2");
  const pid_t pid = other.pid();
  {
    const auto end = std::move(other);
  }
  ::waitpid(pid, nullptr, 0);
}

TEST_P(ZygoteFixture, SweepKillsWhatIsLeft) {
  if (cgroups_.version == sandbox::CgroupVersion::kNone) GTEST_SKIP() << "no cgroups";
  const auto worker = started("a", plan());
  EXPECT_TRUE(sandbox::sweep_cgroups(cgroups_, std::chrono::seconds(5)));
  EXPECT_EQ(worker.ask("ids"), "<gone>");
}

// A machine without cgroups: rlimits stand in.
class NoCgroups : public ZygoteFixture {
 protected:
  sandbox::CgroupLayout find_cgroups() const override { return {}; }
};

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;  // needs terabytes of address space, which a limit of memory forbids
#else
constexpr bool kSanitized = false;
#endif

TEST_P(NoCgroups, MemoryIsLimited) {
  if (kSanitized) GTEST_SKIP() << "the program is sanitized";
  EXPECT_EQ(started("a", plan()).ask("allocate 400"), "no memory");
}

TEST_P(NoCgroups, ForkBombIsBounded) {
  if (kSanitized && GetParam() == WorkerKind::kProgram) GTEST_SKIP() << "the program is sanitized";
  auto few = plan();
  few.max_pids = 20;
  expect_bounded(started("a", few).ask("fork_many"), GetParam());
}

// A listener on the host's loopback that a sandbox must not reach.
class HostListener {
 public:
  HostListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(fd_.get(), 4), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = std::to_string(ntohs(address.sin_port));
  }
  const std::string& port() const { return port_; }

 private:
  UniqueFd fd_;
  std::string port_;
};

TEST_P(ZygoteFixture, NetworkNoneHasOnlyItsOwnLoopback) {
  const HostListener listener;
  const auto worker = started("a", plan());
  EXPECT_EQ(worker.ask("interfaces"), "lo");
  EXPECT_EQ(worker.ask("loopback"), "ok");
  EXPECT_EQ(worker.ask("connect 127.0.0.1:" + listener.port()), "Connection refused");
}

TEST_P(ZygoteFixture, NetworkHostReachesTheHost) {
  const HostListener listener;
  auto host = plan();
  host.network = Network::kHost;
  EXPECT_EQ(started("a", host).ask("connect 127.0.0.1:" + listener.port()), "ok");
}

class EgressTest : public ZygoteFixture {
 protected:
  void SetUp() override {
    ZygoteFixture::SetUp();
    if (!sandbox::egress_available()) GTEST_SKIP() << "pasta cannot be used here";
    auto egress = plan();
    egress.network = Network::kEgress;
    worker_ = started("a", egress);
    auto report = await<Started>("a");
    ASSERT_TRUE(report);
    ASSERT_TRUE(report->listener);
    pid_ = report->pid;
    starter_.emplace(std::move(report->listener), pid_, clock_, std::vector<int>());
  }
  std::string ask(const std::string& command) { return ask_with_egress(worker_, *starter_, command); }
  // Until so many threads of the worker stand in a call that was answered to nobody yet.
  bool await_threads(std::size_t count) const {
    const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
    return eventually([&] {
      std::size_t found = 0;
      for (const auto& each : std::filesystem::directory_iterator(tasks)) {
        const auto call = sandbox::read_file(each.path().string() + "/syscall");
        if (call && call->starts_with(std::to_string(SYS_socket) + " ")) ++found;
      }
      return found >= count;
    });
  }

  SystemClock clock_;
  TestWorker worker_;
  pid_t pid_ = 0;
  std::optional<sandbox::EgressStarter> starter_;
};

TEST_P(EgressTest, ComesUpOnTheFirstSocket) {
  EXPECT_EQ(ask("ids"), "1000 1000 2");
  EXPECT_EQ(starter_->state(), sandbox::EgressStarter::State::kIdle);
  EXPECT_EQ(ask("loopback"), "ok");
  EXPECT_EQ(starter_->state(), sandbox::EgressStarter::State::kUp) << starter_->error();
  EXPECT_NE(ask("interfaces"), "lo");
}

TEST_P(EgressTest, HostLoopbackStaysOutOfReach) {
  const HostListener listener;
  EXPECT_EQ(ask("connect 127.0.0.1:" + listener.port()), "Connection refused");
  const std::string gateway = ask("gateway");
  ASSERT_NE(gateway, "none") << "no default route inside";
  EXPECT_NE(ask("connect " + gateway + ":" + listener.port()), "ok");
}

// Whether a process has `word` in its command line.
bool runs_with(const std::string& word) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto text = sandbox::read_file(entry.path().string() + "/cmdline");
    if (text && text->find(word) != std::string::npos) return true;
  }
  return false;
}

TEST_P(EgressTest, PastaEndsWithItsStarter) {
  const std::string netns = "/proc/" + std::to_string(pid_) + "/ns/net";
  EXPECT_EQ(ask("loopback"), "ok");
  EXPECT_TRUE(runs_with(netns));
  starter_.reset();
  EXPECT_TRUE(eventually([&] { return !runs_with(netns); }));
}

TEST_P(EgressTest, PastaEndsThoughItsHolderWasKilled) {
  const std::string netns = "/proc/" + std::to_string(pid_) + "/ns/net";
  EXPECT_EQ(ask("loopback"), "ok");
  std::size_t holders = 0;
  for (const pid_t child : children_of(::getpid())) {
    const auto command = sandbox::read_file("/proc/" + std::to_string(child) + "/cmdline");
    if (!command || command->find("sterna-egress") == std::string::npos) continue;
    ++holders;
    ::kill(child, SIGKILL);
  }
  ASSERT_EQ(holders, 1U);
  EXPECT_TRUE(runs_with(netns));
  starter_.reset();
  EXPECT_TRUE(eventually([&] { return !runs_with(netns); }));
}

TEST_P(EgressTest, CallsAreTakenAFewAtATime) {
  constexpr std::size_t kCalls = 20;
  const std::string command = "sockets " + std::to_string(kCalls);
  ASSERT_GT(::send(worker_.socket.get(), command.data(), command.size(), MSG_NOSIGNAL), 0);
  // All threads have come to their call before the network is up: then none can go on.
  std::size_t most = 0;
  std::size_t taken = 0;
  while (taken < kCalls) {
    pollfd polled{starter_->listener_fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&polled, 1, 10'000), 1) << taken;
    if (starter_->state() == sandbox::EgressStarter::State::kIdle) {
      ASSERT_TRUE(await_threads(kCalls));
    }
    const std::size_t now = starter_->on_listener();
    most = std::max(most, now);
    taken += now;
  }
  EXPECT_EQ(taken, kCalls);
  EXPECT_EQ(most, sandbox::EgressStarter::kCallsAtOnce);
  EXPECT_EQ(ask("ids"), std::to_string(kCalls)) << "the answer to the command before";
}

TEST_P(EgressTest, PastaEndsWithAKilledServer) {
  const std::string netns = "/proc/" + std::to_string(pid_) + "/ns/net";
  // A process in the server's place, killed while the network is up.
  int up[2];
  ASSERT_EQ(::pipe2(up, O_CLOEXEC), 0);
  const UniqueFd up_end(up[0]);
  const pid_t server = ::fork();
  if (server == 0) {
    ask("loopback");
    EXPECT_EQ(::write(up[1], "u", 1), 1);
    while (true) ::pause();
  }
  ::close(up[1]);
  char byte = 0;
  ASSERT_EQ(::read(up_end.get(), &byte, 1), 1);
  ASSERT_TRUE(runs_with(netns));
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return !runs_with(netns); }));
}

TEST_P(EgressTest, FailureIsAnErrorOfTheCall) {
  // A process that does not exist has no namespaces to join.
  sandbox::EgressStarter broken(UniqueFd(::fcntl(starter_->listener_fd(), F_DUPFD_CLOEXEC, 3)), 999'999'999,
                                clock_, {});
  EXPECT_EQ(ask_with_egress(worker_, broken, "connect 127.0.0.1:1"), "socket: Network is unreachable");
  EXPECT_EQ(broken.state(), sandbox::EgressStarter::State::kFailed);
  EXPECT_NE(broken.error(), "");
}

constexpr auto kKinds = [] { return ::testing::Values(WorkerKind::kFork, WorkerKind::kProgram); };
const auto kKindName = [](const auto& info) {
  return std::string(info.param == WorkerKind::kFork ? "Fork" : "Program");
};
INSTANTIATE_TEST_SUITE_P(Workers, ZygoteFixture, kKinds(), kKindName);
INSTANTIATE_TEST_SUITE_P(Workers, NoCgroups, kKinds(), kKindName);
INSTANTIATE_TEST_SUITE_P(Workers, EgressTest, kKinds(), kKindName);

}  // namespace
}  // namespace sterna::zygote
