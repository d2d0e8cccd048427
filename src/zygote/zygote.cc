#include "zygote/zygote.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <tuple>

#include "zygote/brood.h"
#include "zygote/packet.h"

namespace sterna::zygote {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Spares are made when nothing has been asked for this long, so that a burst of starts is not held up by
// forks.
constexpr std::chrono::milliseconds kIdle{8};

// At least so long, and 0 when it has come.
int ms_until(SteadyClock::time_point when) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - SteadyClock::now());
  return static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count());
}

// For exec, which a child calls that may not allocate.
std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& each : strings) out.push_back(const_cast<char*>(each.c_str()));
  out.push_back(nullptr);
  return out;
}

class Zygote {
 public:
  Zygote(int control_fd, const ZygoteConfig& config, const ChildMain& child_main)
      : control_(control_fd), config_(config), child_main_(child_main) {}

  int run();

 private:
  Status set_up(const Configure& configure);
  std::optional<Configure> first_message();
  bool read_control();
  void handle(const Request& request, const std::vector<UniqueFd>& fds);
  void report(const Report& report, int listener) const;
  int tidy_in_ms() const;
  int timeout_ms() const;
  void wait_and_serve();

  UniqueFd control_;
  const ZygoteConfig& config_;
  const ChildMain& child_main_;
  std::string root_dir_;
  sandbox::Privilege privilege_ = sandbox::Privilege::kRoot;
  sandbox::SeccompProgram plain_filter_;
  sandbox::SeccompProgram notify_filter_;
  std::unique_ptr<ChildSetup> setup_;
  std::unique_ptr<Brood> brood_;
  UniqueFd signals_;
  SteadyClock::time_point last_message_ = SteadyClock::now();
  bool work_waits_ = false;
  bool closed_ = false;
};

void Zygote::report(const Report& report, int listener) const {
  const int fds[] = {listener};
  // A server that does not read is gone or going; the closing of the socket tells.
  send_packet(control_.get(), encode(report), {fds, listener >= 0 ? 1U : 0U});
}

std::optional<Configure> Zygote::first_message() {
  Packet packet;
  if (receive_packet(control_.get(), packet) != Received::kPacket) return std::nullopt;
  auto request = decode_request(packet.bytes);
  if (!request || !std::holds_alternative<Configure>(*request)) {
    report(Failed{"the first message must be configure"}, -1);
    return std::nullopt;
  }
  return std::get<Configure>(std::move(*request));
}

Status Zygote::set_up(const Configure& configure) {
  root_dir_ = configure.root_dir;
  // Inherited by every child; without root the kernel refuses it.
  ::setgroups(0, nullptr);
  auto privilege = sandbox::enter_private_mounts();
  if (!privilege) return std::unexpected(privilege.error());
  privilege_ = *privilege;
  if (config_.program && privilege_ == sandbox::Privilege::kRoot && configure.program_uids == 0) {
    return fail(Code::kInvalid, Component::kWorker, "bad_control_message",
                "configure: program_uids is missing");
  }
  if (auto status = sandbox::build_root(root_dir_, config_.binds, privilege_); !status) return status;
  using enum sandbox::OwnListeners;
  // A program is under the first filter before it knows its network, and installs the second itself
  // (adopt.h).
  const auto listeners = config_.program ? kAllowed : kTraced;
  for (auto [rule, own, filter] : {std::tuple(sandbox::SocketRule::kAllow, listeners, &plain_filter_),
                                   std::tuple(sandbox::SocketRule::kNotify, kTraced, &notify_filter_)}) {
    auto made = sandbox::make_filter(rule, own);
    if (!made) return std::unexpected(made.error());
    *filter = std::move(*made);
  }
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  setup_ =
      std::make_unique<ChildSetup>(ChildSetup{.config = config_,
                                              .child_main = child_main_,
                                              .root_dir = root_dir_,
                                              .plain_filter = plain_filter_,
                                              .notify_filter = notify_filter_,
                                              .isolation = configure.isolation,
                                              .own_users = configure.isolation == sandbox::Isolation::kFull ||
                                                           privilege_ == sandbox::Privilege::kUser,
                                              .program_argv = {},
                                              .program_env = {}});
  if (config_.program) {
    setup_->program_argv = pointers(config_.program->argv);
    setup_->program_env = pointers(config_.program->env);
  }
  ::sigprocmask(SIG_BLOCK, &child_signal, &setup_->signal_mask);
  signals_.reset(::signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno(Component::kWorker, "signalfd", errno);
  return {};
}

void Zygote::handle(const Request& request, const std::vector<UniqueFd>& fds) {
  if (const auto* start = std::get_if<Start>(&request)) brood_->start(*start, fds);
  if (const auto* kill = std::get_if<Kill>(&request)) brood_->kill(kill->worker);
  if (const auto* spares = std::get_if<Spares>(&request)) brood_->set_spares(*spares);
  if (std::holds_alternative<Ping>(request)) report(Pong{}, -1);
}

// Handles one message; false when there was none.
bool Zygote::read_control() {
  Packet packet;
  const Received received = receive_packet(control_.get(), packet);
  closed_ = closed_ || received == Received::kClosed;
  if (received != Received::kPacket) return false;
  last_message_ = SteadyClock::now();
  work_waits_ = true;
  auto request = decode_request(packet.bytes);
  if (request) {
    handle(*request, packet.fds);
  } else {
    std::fprintf(stderr, "sterna zygote: refused a control message: %s\n", request.error().detail.c_str());
  }
  return true;
}

// -1: there is nothing to tidy.
int Zygote::tidy_in_ms() const {
  if (!work_waits_) return -1;
  return brood_->bare() ? 0 : ms_until(last_message_ + kIdle);
}

int Zygote::timeout_ms() const {
  const int tidy = tidy_in_ms();
  if (brood_->end_killed_due() == SteadyClock::time_point::max()) return tidy;
  const int look = ms_until(brood_->end_killed_due());
  return tidy < 0 ? look : std::min(tidy, look);
}

void Zygote::wait_and_serve() {
  std::vector<pollfd> polled{{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  for (const int socket : brood_->sockets()) polled.push_back({socket, POLLIN, 0});
  const std::size_t first_event = polled.size();
  for (const int event : brood_->memory_events()) polled.push_back({event, POLLIN, 0});
  const int events = ::poll(polled.data(), polled.size(), timeout_ms());
  if (events < 0) return;
  for (std::size_t i = first_event; i < polled.size(); ++i) {
    if (polled[i].revents != 0) brood_->on_memory_event(polled[i].fd, SteadyClock::now());
  }
  if (brood_->end_killed_due() != SteadyClock::time_point::max()) brood_->end_killed(SteadyClock::now());
  if (events == 0) {
    if (tidy_in_ms() == 0) work_waits_ = brood_->tidy();
    return;
  }
  // Starts first: someone waits for them.
  if (polled[0].revents != 0) {
    while (read_control()) {
    }
  }
  for (std::size_t i = 2; i < first_event; ++i) {
    if (polled[i].revents != 0) brood_->read_child(polled[i].fd);
  }
  if (polled[1].revents != 0) {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) > 0) {
    }
    brood_->reap();
    work_waits_ = true;
  }
}

int Zygote::run() {
  // Both: the socket's end is seen between two messages, the signal also when this process is stuck.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const auto configure = first_message();
  if (!configure) return 1;
  if (auto status = set_up(*configure); !status) {
    report(Failed{status.error().detail}, -1);
    return 1;
  }
  brood_ = std::make_unique<Brood>(*setup_, configure->cgroups, privilege_, configure->program_uids,
                                   [this](const Report& each, int listener) { report(each, listener); });
  ::fcntl(control_.get(), F_SETFL, O_NONBLOCK);
  report(Ready{config_.runtime}, -1);
  while (!closed_) wait_and_serve();
  brood_.reset();
  ::sigprocmask(SIG_SETMASK, &setup_->signal_mask, nullptr);
  return 0;
}

}  // namespace

int run_zygote(int control_fd, const ZygoteConfig& config, const ChildMain& child_main) {
  return Zygote(control_fd, config, child_main).run();
}

}  // namespace sterna::zygote
