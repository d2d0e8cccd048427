#include "server/health_watch.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/log.h"

namespace sterna::server {
namespace {

using gateway::Severity;
using gateway::Trouble;

constexpr Duration kEvery = std::chrono::seconds(1);
// A worker's start takes five descriptors, a secret's file and a log's segment are two more.
constexpr std::size_t kNeededDescriptors = 8;
constexpr Duration kJump = std::chrono::seconds(5);        // of the wall clock against the other one
constexpr Duration kJumpShown = std::chrono::seconds(60);  // people have to see it
constexpr Duration kSlow = std::chrono::seconds(2);        // for one write
constexpr Duration kWriteEvery = std::chrono::minutes(1);

Trouble slow_disk(std::string component, std::string detail) {
  return {.component = std::move(component), .reason = "disk_slow", .detail = std::move(detail)};
}

// Whether a few more descriptors are to be had.
int try_descriptors() {
  std::array<UniqueFd, kNeededDescriptors> held;
  for (UniqueFd& each : held) {
    each.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!each) return errno;
  }
  return 0;
}

}  // namespace

HealthWatch::HealthWatch(net::Loop& loop, gateway::Health& health, const WatchedParts& parts,
                         std::vector<Folder> folders)
    : loop_(loop),
      health_(health),
      parts_(parts),
      folders_(std::move(folders)),
      wall_(loop.clock().wall()),
      now_(loop.clock().now()),
      write_next_(now_) {
  timer_ = loop_.after(kEvery, [this] { tick(); });
}

HealthWatch::~HealthWatch() {
  *alive_ = false;
  loop_.cancel(timer_);
}

void HealthWatch::tick() {
  health_.update("descriptors", descriptors());
  health_.update("clock", clock());
  health_.update("workers", workers());
  health_.update("callbacks", callbacks());
  health_.update("databases", databases());
  health_.update("disk", disk());
  health_.update("log", log());
  health_.update("folders", folder_troubles_);
  check_folders();
  timer_ = loop_.after(kEvery, [this] { tick(); });
}

HealthWatch::Troubles HealthWatch::descriptors() {
  const std::uint64_t refused = http_ == nullptr ? 0 : http_->refused().no_descriptors;
  const bool refuses = std::exchange(refused_, refused) != refused;
  const int error = try_descriptors();
  if (!refuses && error != EMFILE && error != ENFILE) return {};
  return {
      {.component = "gateway",
       .reason = "out_of_descriptors",
       .detail = "the limit of open files is reached; new connections are refused and no workers are started",
       .severity = Severity::kNotReady}};
}

// Schedules stand on the wall clock: what was put off runs earlier or later than it should.
HealthWatch::Troubles HealthWatch::clock() {
  const MonotonicTime now = loop_.clock().now();
  const WallTime wall = loop_.clock().wall();
  const Duration jump = (wall - std::exchange(wall_, wall)) - (now - std::exchange(now_, now));
  if (std::chrono::abs(jump) >= kJump) {
    jump_ = jump;
    jump_until_ = now + kJumpShown;
  }
  if (!jump_ || now >= jump_until_) return {};
  return {
      {.component = "clock",
       .reason = "clock_jumped",
       .detail = fmt::format("the machine's clock was set by {:+.0f} s; delays and schedules moved with it",
                             std::chrono::duration<double>(*jump_).count())}};
}

HealthWatch::Troubles HealthWatch::workers() const {
  Troubles found;
  for (const launch::RuntimeTrouble& each : parts_.launcher.troubles()) {
    found.push_back({.component = "runtime",
                     .reason = "runtime_down",
                     .detail = fmt::format("{} is started again; the log says why it ended", each.runtime),
                     .severity = parts_.launcher.any_runtime() ? Severity::kDegraded : Severity::kNotReady});
  }
  if (parts_.functions.start_trouble()) {
    found.push_back(
        {.component = "pool",
         .reason = "cannot_start_workers",
         .detail = "workers cannot be started for no fault of their functions, and the log says why; those "
                   "that run go on, and starting is tried again"});
  }
  return found;
}

HealthWatch::Troubles HealthWatch::callbacks() const {
  if (!parts_.deliverer.reaches_nobody()) return {};
  return {{.component = "callback",
           .reason = "none_reachable",
           .detail = "none of the last receivers could be reached: look at the name server and the way out; "
                     "deliveries are tried again"}};
}

HealthWatch::Troubles HealthWatch::databases() {
  Troubles found;
  const auto tell = [&](std::string component, const std::optional<Error>& error,
                        std::string_view meanwhile) {
    if (!error) return;
    found.push_back({.component = std::move(component),
                     .reason = error->reason == "disk_full" ? "disk_full" : "write_failed",
                     .detail = fmt::format("{}; {}", error->detail, meanwhile)});
  };
  tell("queue", parts_.queue.writer().write_trouble(), "asynchronous invocations are refused");
  tell("registry", parts_.registry.write_trouble(), "functions, spaces, apps and tokens cannot be changed");
  tell("audit", parts_.audit.write_trouble(), "changes are made, and stand in the server's own log only");
  if (parts_.queue.writer().write_trouble()) parts_.queue.try_write();
  return found;
}

HealthWatch::Troubles HealthWatch::disk() const {
  Troubles found;
  const MonotonicTime now = loop_.clock().now();
  const auto writing = parts_.queue.writer().writing_since();
  if (writing && now - *writing >= kSlow)
    found.push_back(
        slow_disk("queue", "one write takes seconds; asynchronous invocations are accepted late"));
  if (checking_since_ && now - *checking_since_ >= kSlow)
    found.push_back(slow_disk("disk", "the disk of the data directory takes seconds to answer"));
  return found;
}

// Told here because it cannot be told there.
HealthWatch::Troubles HealthWatch::log() {
  if (log::lost() == 0) return {};
  return {{.component = "log",
           .reason = "lines_lost",
           .detail = "what reads the server's own log stands still or takes nothing; new lines are dropped"}};
}

// One round at a time: a disk that hangs must not gather work.
void HealthWatch::check_folders() {
  if (checking_since_) return;
  checking_since_ = loop_.clock().now();
  CheckDepth depth = CheckDepth::kLook;
  if (!folder_troubles_.empty() || *checking_since_ >= write_next_) {
    depth = CheckDepth::kWrite;
    write_next_ = *checking_since_ + kWriteEvery;
  }
  thread_.run([this, depth, alive = alive_] {
    Troubles found;
    for (const Folder& folder : folders_) {
      if (auto trouble = check_folder(folder, depth)) found.push_back(std::move(*trouble));
    }
    if (parts_.registry.write_trouble()) static_cast<void>(parts_.registry.try_write());
    if (parts_.audit.write_trouble()) static_cast<void>(parts_.audit.try_write());
    loop_.post([this, found = std::move(found), alive]() mutable {
      if (!*alive) return;
      folder_troubles_ = std::move(found);
      checking_since_.reset();
    });
  });
}

}  // namespace sterna::server
