// A zygote for the tests: its workers obey one-line commands on the worker socket and tell what they see
// inside.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/files.h"
#include "zygote/adopt.h"
#include "zygote/packet.h"
#include "zygote/parent.h"
#include "zygote/parent_words.h"
#include "zygote/zygote.h"

namespace {

using sterna::UniqueFd;
using sterna::zygote::WorkerFds;

std::string errno_name(long result) {
  return result >= 0 ? "ok" : std::strerror(errno);
}

std::string list(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), &::closedir);
  if (!dir) return std::strerror(errno);
  std::set<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] != '.') names.insert(entry->d_name);
  }
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : " ") + name;
  return all.empty() ? "<empty>" : all;
}

std::string numbers(const std::string& path) {
  std::string all;
  const std::string names = list(path);
  for (const auto name : sterna::sandbox::split(names, ' ')) {
    if (name.find_first_not_of("0123456789") == std::string_view::npos)
      all += (all.empty() ? "" : " ") + std::string(name);
  }
  return all;
}

// "mode owner size" of a file.
std::string describe(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::strerror(errno);
  char text[64];
  std::snprintf(text, sizeof text, "%o %u %lld", info.st_mode & 07777, info.st_uid,
                static_cast<long long>(info.st_size));
  return text;
}

std::string fill(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return std::strerror(errno);
  static char block[65536] = {1};
  long written = 0;
  while (true) {
    const ssize_t got = ::write(fd.get(), block, sizeof block);
    if (got <= 0) return std::to_string(written) + " " + std::strerror(errno);
    written += got;
  }
}

std::string allocate(std::size_t mib) {
  for (std::size_t i = 0; i < mib; ++i) {
    volatile char* block = static_cast<char*>(std::malloc(1 << 20));
    if (block == nullptr) return "no memory";
    for (std::size_t at = 0; at < (1 << 20); at += 4096) block[at] = 1;
  }
  return "ok";
}

std::string fork_many() {
  int made = 0;
  while (made < 10'000) {
    const pid_t pid = ::fork();
    if (pid < 0) return std::to_string(made) + " " + std::strerror(errno);
    if (pid == 0) {
      while (true) ::pause();
    }
    ++made;
  }
  return std::to_string(made);
}

std::string connect_to(const std::string& address, std::uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::string("socket: ") + std::strerror(errno);
  timeval patience{2, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  return errno_name(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to));
}

std::string loopback_inside() {
  const UniqueFd server(::socket(AF_INET, SOCK_STREAM, 0));
  if (!server) return std::strerror(errno);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(server.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(server.get(), 1) != 0 ||
      ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return std::strerror(errno);
  }
  return connect_to("127.0.0.1", ntohs(address.sin_port));
}

// Each by a thread of its own, at the same time.
std::string sockets(std::size_t count) {
  std::atomic<std::size_t> made = 0;
  std::vector<std::jthread> threads;
  threads.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&made] {
      if (UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))) ++made;
    });
  }
  threads.clear();
  return std::to_string(made.load());
}

std::string interfaces() {
  std::string all;
  struct if_nameindex* found = ::if_nameindex();
  for (auto* each = found; each != nullptr && each->if_name != nullptr; ++each) {
    all += (all.empty() ? "" : " ") + std::string(each->if_name);
  }
  ::if_freenameindex(found);
  return all;
}

// The default route's gateway: the line of destination 0 in /proc/net/route, in hexadecimal.
std::string gateway() {
  const auto routes = sterna::sandbox::read_file("/proc/net/route");
  for (const auto line : sterna::sandbox::split(routes.value_or(""), '\n')) {
    const auto columns = sterna::sandbox::split(line, '\t');
    if (columns.size() < 3 || columns[1] != "00000000") continue;
    in_addr address{static_cast<in_addr_t>(std::stoul(std::string(columns[2]), nullptr, 16))};
    char text[INET_ADDRSTRLEN];
    return ::inet_ntop(AF_INET, &address, text, sizeof text);
  }
  return "none";
}

std::string capabilities() {
  const auto status = sterna::sandbox::read_file("/proc/self/status");
  std::string found;
  for (const auto line : sterna::sandbox::split(status.value_or(""), '\n')) {
    if (line.starts_with("Cap")) found += std::string(line.substr(8)) + " ";
  }
  return found;
}

// What confines each thread, one made just now among them: the fields when all agree, else those of the odd
// one; and how many threads there are.
std::string threads() {
  std::thread([] { ::pause(); }).detach();
  const std::string ids = numbers("/proc/self/task");
  std::string first;
  std::size_t count = 0;
  for (const auto id : sterna::sandbox::split(ids, ' ')) {
    const auto status = sterna::sandbox::read_file("/proc/self/task/" + std::string(id) + "/status");
    std::string found;
    for (const auto line : sterna::sandbox::split(status.value_or(""), '\n')) {
      const auto words = sterna::sandbox::split(line, '\t');
      for (const char* name : {"Uid:", "CapPrm:", "CapEff:", "CapAmb:", "NoNewPrivs:", "Seccomp:"}) {
        if (words[0] == name) found += std::string(words[0]) + std::string(words[1]) + " ";
      }
    }
    if (first.empty()) first = found;
    if (found != first) return found;
    ++count;
  }
  return first + "x" + std::to_string(count);
}

// A child that leaves an orphan behind, then a wait: subprocess handling as user code does it.
std::string run_child() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::fork() == 0) ::_exit(0);
    ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
    ::_exit(1);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return std::strerror(errno);
  return std::to_string(WEXITSTATUS(status));
}

// Beside a child that does nothing, children in sessions of their own that allocate, one after the other; a
// dot to the output for each that was killed.
std::string greedy_children(std::size_t mib) {
  if (::fork() == 0) {
    while (true) ::pause();
  }
  for (int made = 0; made < 20; ++made) {
    const pid_t pid = ::fork();
    if (pid < 0) return std::strerror(errno);
    if (pid == 0) {
      ::setsid();
      allocate(mib);
      ::_exit(0);
    }
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) return "not killed";
    if (::write(STDOUT_FILENO, ".", 1) != 1) return std::strerror(errno);
  }
  return "lived on";
}

std::string attempt(const std::string& what) {
  if (what == "unshare") return errno_name(::unshare(CLONE_NEWUSER));
  if (what == "setns") return errno_name(::setns(0, 0));
  if (what == "mount") return errno_name(::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr));
  if (what == "ptrace") return errno_name(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr));
  if (what == "bpf") return errno_name(::syscall(SYS_bpf, 0, nullptr, 0));
  if (what == "io_uring") return errno_name(::syscall(SYS_io_uring_setup, 1, nullptr));
  if (what == "keyctl") return errno_name(::syscall(SYS_keyctl, 0, 0, 0, 0, 0));
  if (what == "userfaultfd") return errno_name(::syscall(SYS_userfaultfd, 0));
  if (what == "clone3") return errno_name(::syscall(SYS_clone3, nullptr, 0));
  if (what == "clone_newuser") return errno_name(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  if (what == "packet_socket") return errno_name(::socket(AF_PACKET, SOCK_RAW, 0));
  if (what == "raw_socket") return errno_name(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  if (what == "setuid") return errno_name(::setuid(0));
  if (what == "kill_init") return errno_name(::kill(1, SIGKILL));
  if (what == "init_memory") return errno_name(::open("/proc/1/mem", O_RDWR));
  if (what == "core_limit") {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    return errno_name(::setrlimit(RLIMIT_CORE, &none));
  }
  if (what == "mknod") return errno_name(::mknod("/tmp/disk", S_IFBLK | 0600, 0xfe00));
  return "unknown attempt";
}

// Answers system call `number` with success from now on, without the kernel's doing anything.
std::string fake(unsigned number) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  return errno_name(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

std::string obey(const std::string& verb, const std::string& argument) {
  if (verb == "ids")
    return std::to_string(::getuid()) + " " + std::to_string(::getgid()) + " " + std::to_string(::getpid());
  if (verb == "groups") return std::to_string(::getgroups(0, nullptr));
  if (verb == "list") return list(argument);
  if (verb == "numbers") return numbers(argument);
  if (verb == "read") {
    const std::string text = sterna::sandbox::read_file(argument).value_or(std::strerror(errno));
    return text.empty() ? "<empty>" : text;
  }
  if (verb == "describe") return describe(argument);
  if (verb == "remove") return errno_name(::unlink(argument.c_str()));
  if (verb == "create")
    return errno_name(UniqueFd(::open(argument.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).get());
  if (verb == "exec") return errno_name(::access(argument.c_str(), X_OK));
  if (verb == "exists") return errno_name(::access(argument.c_str(), F_OK));
  if (verb == "fill") return fill(argument);
  if (verb == "allocate") return allocate(std::stoul(argument));
  if (verb == "fork_many") return fork_many();
  if (verb == "hostname") {
    char name[65] = {};
    ::gethostname(name, sizeof name - 1);
    return name;
  }
  if (verb == "attempt") return attempt(argument);
  if (verb == "fake_setns") return fake(SYS_setns);
  if (verb == "adopt_orphans") return errno_name(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  if (verb == "capabilities") return capabilities();
  if (verb == "threads") return threads();
  if (verb == "interfaces") return interfaces();
  if (verb == "gateway") return gateway();
  if (verb == "loopback") return loopback_inside();
  if (verb == "sockets") return sockets(std::stoul(argument));
  if (verb == "run_child") return run_child();
  if (verb == "greedy_children") return greedy_children(std::stoul(argument));
  if (verb == "connect") {
    const std::size_t colon = argument.find(':');
    return connect_to(argument.substr(0, colon),
                      static_cast<std::uint16_t>(std::stoul(argument.substr(colon + 1))));
  }
  if (verb == "environment") return std::getenv(argument.c_str()) != nullptr ? "set" : "unset";
  if (verb == "exit") ::_exit(std::stoi(argument));
  if (verb == "raise") ::kill(::getpid(), std::stoi(argument));
  if (verb == "abort") std::abort();
  return "unknown command";
}

int worker_main(const WorkerFds& fds);

// Makes replicas until the socket closes; each serves as a worker of its own.
int pause_worker(const WorkerFds& fds) {
  while (true) {
    pollfd polled[] = {{fds.orders, POLLIN, 0}, {fds.socket, POLLIN, 0}};
    ::poll(polled, 2, -1);
    if (polled[1].revents != 0) return 0;
    const auto replica = sterna::zygote::fork_replica(fds.orders, {});
    if (!replica) return 3;
    if (!*replica) continue;
    ::close(fds.socket);
    ::close(fds.claim);
    ::close(fds.output);
    return worker_main(**replica);
  }
}

// Does what a replica's fork is to do, but for the fork: stays where it is and says that the replica runs.
int pretend_to_fork(const WorkerFds& fds) {
  using sterna::zygote::Said;
  const auto say = [&](const Said& said) {
    sterna::zygote::send_packet(fds.orders, {reinterpret_cast<const char*>(&said), sizeof said});
  };
  static char scratch[sterna::zygote::kScratchBytes];
  char word = 0;
  sterna::zygote::RawPacket raw;
  if (sterna::zygote::receive_raw(fds.orders, &word, sizeof word, raw) <= 0) return 3;
  const pid_t forked = ::fork();
  if (forked == 0) {
    Said here{.kind = Said::Kind::kHere, .scratch = reinterpret_cast<std::uint64_t>(scratch)};
    for (std::size_t i = sterna::zygote::kReplicaFds; i < raw.fd_count; ++i)
      here.joined[i - sterna::zygote::kReplicaFds] = raw.fds[i];
    say(here);
    sterna::zygote::RawPacket none;
    if (sterna::zygote::receive_raw(fds.orders, &word, sizeof word, none) <= 0) ::_exit(1);
    say({.kind = Said::Kind::kRuns});
    while (true) ::pause();
  }
  for (std::size_t i = 0; i < raw.fd_count; ++i) ::close(raw.fds[i]);
  ::waitpid(forked, nullptr, 0);
  return worker_main(fds);
}

int worker_main(const WorkerFds& fds) {
  if (::send(fds.socket, "hello", 5, MSG_NOSIGNAL) != 5) return 2;
  char buffer[4096];
  while (true) {
    const ssize_t got = ::recv(fds.socket, buffer, sizeof buffer, 0);
    if (got <= 0) return 0;
    const std::string command(buffer, static_cast<std::size_t>(got));
    const std::size_t space = command.find(' ');
    const std::string argument = space == std::string::npos ? "" : command.substr(space + 1);
    if (command == "pause") {
      if (::send(fds.socket, "paused", 6, MSG_NOSIGNAL) != 6) return 2;
      return pause_worker(fds);
    }
    if (command == "pretend") {
      if (::send(fds.socket, "paused", 6, MSG_NOSIGNAL) != 6) return 2;
      return pretend_to_fork(fds);
    }
    const std::string answer = obey(command.substr(0, space), argument);
    if (::send(fds.socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return 2;
  }
}

}  // namespace

// In place of a runtime that has threads from the start.
int program_main() {
  std::thread([] { ::pause(); }).detach();
  std::thread([] { ::pause(); }).detach();
  auto adopted = sterna::zygote::adopt();
  if (!adopted) return 3;
  if (!*adopted) return 0;
  return worker_main({.socket = (*adopted)->socket.get(), .claim = (*adopted)->claim.get()});
}

sterna::zygote::Program this_program() {
  return {.path = "/run/test/sterna_zygote_test_worker", .argv = {"test", "adopt"}, .env = {}};
}

#if __has_feature(address_sanitizer)
// The search for leaks stops the process by ptrace, which no sandbox allows; nor may limits of core files be
// set.
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "detect_leaks=0:disable_coredump=0";
}
#endif

#if __has_feature(thread_sanitizer)
// The sandbox lets nobody set limits of core files, not even to none.
extern "C" const char* __tsan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "disable_coredump=0";
}
#endif

int main(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "";
  if (kind == "adopt") return program_main();
  sterna::zygote::ZygoteConfig config;
  config.runtime = "test";
  if (kind == "program") {
    const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    config.binds.push_back({folder.string(), "/run/test"});
    config.program = this_program();
  }
  return sterna::zygote::run_zygote(3, config, worker_main);
}
