#include "zygote/test_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "sandbox/files.h"
#include "sandbox/landlock.h"
#include "sandbox/secrets.h"

namespace sterna::zygote {

using sandbox::CgroupLayout;

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

std::vector<pid_t> children_of(pid_t pid) {
  const std::string name = std::to_string(pid);
  const auto text = sandbox::read_file("/proc/" + name + "/task/" + name + "/children");
  std::vector<pid_t> children;
  for (const auto word : sandbox::split(text.value_or(""), ' ')) {
    pid_t child = 0;
    std::from_chars(word.data(), word.data() + word.size(), child);
    children.push_back(child);
  }
  return children;
}

std::string TestWorker::ask(const std::string& command) const {
  if (::send(socket.get(), command.data(), command.size(), MSG_NOSIGNAL) < 0) return "<gone>";
  pollfd polled{socket.get(), POLLIN, 0};
  if (::poll(&polled, 1, 10'000) != 1) return "<silent>";
  std::string answer(65536, '\0');
  const ssize_t got = ::recv(socket.get(), answer.data(), answer.size(), 0);
  if (got <= 0) return "<gone>";
  answer.resize(static_cast<std::size_t>(got));
  return answer;
}

void ZygoteFixture::SetUp() {
  char name[] = "/tmp/sterna-zygote-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  dir_ = name;
  std::filesystem::create_directory(dir_ / "root");
  std::filesystem::create_directory(dir_ / "bundle");
  std::ofstream(dir_ / "bundle" / "handler.txt") << "the handler";
  std::ofstream(dir_ / "secret.txt") << "of the server";
  cgroups_ = find_cgroups();
  spawn();
}

CgroupLayout ZygoteFixture::find_cgroups() const {
  std::vector<std::string> warnings;
  const auto self = sandbox::read_file("/proc/self/cgroup").value_or("");
  return sandbox::create_cgroups(sandbox::locate_cgroups("/sys/fs/cgroup", self, dir_.filename().string()),
                                 warnings);
}

void ZygoteFixture::spawn() {
  reports_.clear();
  const auto program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sterna_zygote_test_worker";
  const char* kind = GetParam() == WorkerKind::kFork ? "fork" : "program";
  auto spawned = spawn_zygote({program.string(), kind}, {"PATH=/usr/bin:/bin"});
  ASSERT_TRUE(spawned) << spawned.error().detail;
  zygote_.emplace(std::move(*spawned));
  ASSERT_TRUE(zygote_->configure(
      {.root_dir = (dir_ / "root").string(), .cgroups = cgroups_, .program_uids = kTestUids}));
  ASSERT_TRUE(eventually([&] {
    auto report = zygote_->receive();
    return report && *report && std::holds_alternative<Ready>(**report);
  }));
}

void ZygoteFixture::TearDown() {
  if (zygote_) {
    const pid_t pid = zygote_->pid();
    zygote_.reset();  // the end of the socket ends it
    EXPECT_TRUE(eventually([&] { return ::waitpid(pid, nullptr, WNOHANG) != 0; }));
  }
  EXPECT_TRUE(sandbox::sweep_cgroups(cgroups_, std::chrono::seconds(5)));
  std::filesystem::remove_all(dir_);
}

sandbox::SandboxPlan ZygoteFixture::plan() const {
  sandbox::SandboxPlan plan;
  plan.bundle_dir = (dir_ / "bundle").string();
  plan.host_uid = 200'017;
  plan.host_gid = 200'017;
  plan.hostname = "thumbnail";
  return plan;
}

TestWorker ZygoteFixture::start(const std::string& name, const sandbox::SandboxPlan& plan,
                                const Secrets& secrets, const std::string& parent) {
  int sockets[2] = {-1, -1};
  int pipe_ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  EXPECT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd theirs(sockets[1]);
  const UniqueFd their_output(pipe_ends[1]);
  const UniqueFd claim(::memfd_create("claim", MFD_CLOEXEC));
  UniqueFd packed;
  if (!secrets.empty()) packed = std::move(*sandbox::pack_secrets(secrets));
  const Status sent =
      parent.empty()
          ? zygote_->send_start(name, plan, theirs.get(), claim.get(), their_output.get(), packed.get())
          : zygote_->send_fork(name, plan, parent, theirs.get(), claim.get(), their_output.get());
  EXPECT_TRUE(sent);
  return {name, UniqueFd(sockets[0]), UniqueFd(pipe_ends[0])};
}

TestWorker ZygoteFixture::started(const std::string& name, const sandbox::SandboxPlan& plan,
                                  const Secrets& secrets) {
  TestWorker worker = start(name, plan, secrets);
  await_hello(worker);
  return worker;
}

TestWorker ZygoteFixture::forked(const std::string& name, const std::string& parent,
                                 const sandbox::SandboxPlan& plan) {
  TestWorker worker = start(name, plan, {}, parent);
  await_hello(worker);
  return worker;
}

void ZygoteFixture::await_hello(const TestWorker& worker) {
  char hello[8] = {};
  const ssize_t got = ::recv(worker.socket.get(), hello, sizeof hello, 0);
  if (got == 5) return;
  const auto exited = await<Exited>(worker.name);
  ADD_FAILURE() << "not started: " << (exited ? exited->error : "silent");
}

std::string no_device() {
  return std::strerror(sandbox::landlock_version() > 0 ? EACCES : EPERM);
}

std::string ask_with_egress(const TestWorker& worker, sandbox::EgressStarter& egress,
                            const std::string& command) {
  EXPECT_GT(::send(worker.socket.get(), command.data(), command.size(), MSG_NOSIGNAL), 0);
  while (true) {
    pollfd polled[] = {
        {worker.socket.get(), POLLIN, 0}, {egress.listener_fd(), POLLIN, 0}, {egress.ready_fd(), POLLIN, 0}};
    if (::poll(polled, 3, 10'000) <= 0) return "<silent>";
    if (polled[1].revents != 0) egress.on_listener();
    if (polled[2].revents != 0) egress.on_ready();
    if (polled[0].revents == 0) continue;
    char answer[256];
    const ssize_t got = ::recv(worker.socket.get(), answer, sizeof answer, 0);
    return got > 0 ? std::string(answer, static_cast<std::size_t>(got)) : "<gone>";
  }
}

bool ZygoteFixture::await_children(std::size_t count) const {
  return eventually([&] { return children_of(zygote_->pid()).size() == count; });
}

}  // namespace sterna::zygote
