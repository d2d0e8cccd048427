#include "native/http/server_process.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

namespace sterna::native {
namespace {

constexpr Duration kLongestPause = std::chrono::milliseconds(20);
constexpr Duration kStopTimeout = std::chrono::seconds(2);

std::uint16_t port_of(std::string_view text) {
  std::uint16_t port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  return port;
}

bool is_socket(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t end = text.rfind('\n');
  constexpr std::size_t kMaxShown = 500;
  return std::string(text.substr(end == std::string_view::npos ? 0 : end + 1).substr(0, kMaxShown));
}

}  // namespace

ServerProcess::ServerProcess(Desk& desk, Program program, Environment environment, Ports ports,
                             Observer observer)
    : desk_(desk),
      program_(std::move(program)),
      environment_(std::move(environment)),
      ports_(ports),
      observer_(std::move(observer)),
      port_(port_of(environment_.get("PORT"))),
      socket_path_(environment_.get("STERNA_SOCKET")) {}

ServerProcess::~ServerProcess() {
  desk_.loop().cancel(timer_);
}

void ServerProcess::start() {
  if (const Status spawned = spawn(); !spawned) return fail(spawned.error().detail);
  listen_by_ = desk_.loop().clock().now() + kListenTimeout;
  look();
}

Status ServerProcess::spawn() {
  auto out = Pipe::open();
  auto err = Pipe::open();
  if (!out || !err) return std::unexpected((!out ? out : err).error());
  const auto call = [this] { return desk_.only_call(); };
  output_ = std::make_unique<LogPipe>(desk_, std::move(out->read), wire::Stream::kStdout, call);
  errors_ = std::make_unique<LogPipe>(desk_, std::move(err->read), wire::Stream::kStderr, call);
  auto child = Child::start(desk_.loop(), program_.path, program_.argv, environment_,
                            {.in = -1, .out = out->write.get(), .err = err->write.get()},
                            [this](int wait_status) { on_exit(wait_status); });
  if (!child) return std::unexpected(child.error());
  child_ = std::move(*child);
  if (const Status watched = output_->watch(); !watched) return watched;
  return errors_->watch();
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
                       program_.argv.front(), fmt::join(others, ", "), port_);
  }
  return fmt::format(
      "{} did not listen within {} s: it must serve HTTP on the port in the variable PORT ({}) or on "
      "the Unix socket in STERNA_SOCKET",
      program_.argv.front(), std::chrono::duration_cast<std::chrono::seconds>(kListenTimeout).count(), port_);
}

void ServerProcess::drain() {
  output_->drain();
  errors_->drain();
}

void ServerProcess::on_exit(int wait_status) {
  drain();
  if (listening_) return observer_.on_ended(wait_status);
  const std::string said = last_line(errors_->tail().empty() ? output_->tail() : errors_->tail());
  fail(fmt::format("{} {} before it listened on the port in the variable PORT ({}){}{}",
                   program_.argv.front(), describe_end(wait_status), port_, said.empty() ? "" : ": ", said));
}

void ServerProcess::fail(const std::string& why) {
  if (std::exchange(failed_, true)) return;
  if (errors_) drain();
  const std::string output = errors_ ? output_->tail() + errors_->tail() : std::string();
  observer_.on_failed(why, output);
}

void ServerProcess::stop() {
  child_->signal_group(SIGTERM);
  timer_ = desk_.loop().after(kStopTimeout, [this] { observer_.on_ended(0); });
}

}  // namespace sterna::native
