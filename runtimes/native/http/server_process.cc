#include "native/http/server_process.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace sterna::native {
namespace {

constexpr Duration kLongestPause = std::chrono::milliseconds(20);

std::uint16_t port_of(std::string_view text) {
  std::uint16_t port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  return port;
}

bool is_socket(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

ServerProcess::ServerProcess(Desk& desk, Program program, Environment environment, Ports ports, Trial trial,
                             Observer observer)
    : desk_(desk),
      ports_(ports),
      trial_(trial),
      observer_(std::move(observer)),
      port_(port_of(environment.get("PORT"))),
      socket_path_(environment.get("STERNA_SOCKET")),
      process_(desk, std::move(program), std::move(environment),
               [this](int wait_status) { on_exit(wait_status); }) {}

ServerProcess::~ServerProcess() {
  desk_.loop().cancel(timer_);
}

void ServerProcess::start() {
  if (const Status started = process_.start(); !started) return fail(started.error().detail);
  listen_by_ = desk_.loop().clock().now() + kListenTimeout;
  look();
}

std::optional<Target> ServerProcess::find_target() const {
  if (is_socket(socket_path_)) return Target::unix_socket(socket_path_);
  for (const Listener& each : tcp_listeners()) {
    if (each.port == port_) return Target::tcp(each.family, port_);
  }
  return std::nullopt;
}

void ServerProcess::look() {
  if (failed_) return;
  const auto target = find_target();
  if (target && (trial_ == Trial::kNo || stands_trial(*target))) {
    listening_ = true;
    knock_.reset();
    return observer_.on_listening(*target);
  }
  if (target) {
    has_listened_ = true;
  } else {
    listens_since_.reset();
    if (desk_.loop().clock().now() >= listen_by_) return fail(why_not_listening());
  }
  timer_ = desk_.loop().after(pause_, [this] { look(); });
  pause_ = std::min(pause_ * 2, kLongestPause);
}

// One whose connections nobody has taken until the start has to be over may be slow: its calls will wait for
// it.
bool ServerProcess::stands_trial(const Target& target) {
  const MonotonicTime now = desk_.loop().clock().now();
  if (!listens_since_) listens_since_ = now;
  if (now - *listens_since_ < kTrialTime) return false;
  return is_answered(target) || now >= listen_by_;
}

bool ServerProcess::is_answered(const Target& target) {
  if (target.address()->sa_family == AF_UNIX) return true;  // the kernel does not tell who waits there
  std::vector<Listener> listeners = tcp_listeners();
  std::erase_if(listeners, [this](const Listener& each) { return each.port != port_; });
  if (knock_) return std::ranges::none_of(listeners, [](const Listener& each) { return each.waiting > 0; });
  if (std::ranges::none_of(listeners, [](const Listener& each) { return is_shared(each.inode); }))
    return true;
  knock_.reset(::socket(target.address()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool fails =
      !knock_ || (::connect(knock_.get(), target.address(), target.size()) != 0 && errno != EINPROGRESS);
  return fails;  // nothing to be learned so
}

std::string ServerProcess::why_not_listening() const {
  std::vector<std::uint16_t> others;
  for (const Listener& each : tcp_listeners()) others.push_back(each.port);
  if (!others.empty() && ports_ == Ports::kOwn) {
    return fmt::format("{} listens on port {}, not on {}: let it take the port from the variable PORT",
                       process_.name(), fmt::join(others, ", "), port_);
  }
  const std::string said = process_.last_words();
  return fmt::format(
      "{} did not listen within {} s: it must serve HTTP on the port in the variable PORT ({}) or on "
      "the Unix socket in STERNA_SOCKET{}{}",
      process_.name(), std::chrono::duration_cast<std::chrono::seconds>(kListenTimeout).count(), port_,
      said.empty() ? "" : "; its last line: ", said);
}

void ServerProcess::on_exit(int wait_status) {
  if (listening_) return observer_.on_ended(wait_status);
  const std::string said = process_.last_words();
  const std::string when =
      has_listened_ ? "soon after it had begun to listen"
                    : fmt::format("before it listened on the port in the variable PORT ({})", port_);
  fail(fmt::format("{} {} {}{}{}", process_.name(), describe_end(wait_status), when, said.empty() ? "" : ": ",
                   said));
}

void ServerProcess::fail(const std::string& why) {
  if (std::exchange(failed_, true)) return;
  process_.drain();
  observer_.on_failed(why);
}

}  // namespace sterna::native
