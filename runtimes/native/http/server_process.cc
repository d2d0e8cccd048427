#include "native/http/server_process.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
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

ServerProcess::ServerProcess(Desk& desk, Program program, Environment environment, Ports ports,
                             Observer observer)
    : desk_(desk),
      ports_(ports),
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
  if (const auto target = find_target()) {
    listening_ = true;
    return observer_.on_listening(*target);
  }
  if (desk_.loop().clock().now() >= listen_by_) return fail(why_not_listening());
  timer_ = desk_.loop().after(pause_, [this] { look(); });
  pause_ = std::min(pause_ * 2, kLongestPause);
}

std::string ServerProcess::why_not_listening() const {
  std::vector<std::uint16_t> others;
  for (const Listener& each : tcp_listeners()) others.push_back(each.port);
  if (!others.empty() && ports_ == Ports::kOwn) {
    return fmt::format("{} listens on port {}, not on {}: let it take the port from the variable PORT",
                       process_.name(), fmt::join(others, ", "), port_);
  }
  return fmt::format(
      "{} did not listen within {} s: it must serve HTTP on the port in the variable PORT ({}) or on "
      "the Unix socket in STERNA_SOCKET",
      process_.name(), std::chrono::duration_cast<std::chrono::seconds>(kListenTimeout).count(), port_);
}

void ServerProcess::on_exit(int wait_status) {
  if (listening_) return observer_.on_ended(wait_status);
  const std::string said = process_.last_words();
  fail(fmt::format("{} {} before it listened on the port in the variable PORT ({}){}{}", process_.name(),
                   describe_end(wait_status), port_, said.empty() ? "" : ": ", said));
}

void ServerProcess::fail(const std::string& why) {
  if (std::exchange(failed_, true)) return;
  process_.drain();
  observer_.on_failed(why);
}

}  // namespace sterna::native
