// sterna dev: serves one folder, and deploys it again whenever something in it changes.
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iterator>
#include <optional>
#include <utility>

#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/dev_server.h"
#include "cli/dev_view.h"
#include "cli/folder_watch.h"
#include "cli/log_follower.h"
#include "cli/log_reader.h"

namespace sterna::cli {
namespace {

using api::Json;
using std::chrono::milliseconds;

// Editors write some files one after another; what never rests is deployed all the same.
constexpr milliseconds kQuiet{25};
constexpr milliseconds kRestless{500};
constexpr milliseconds kFollowPatience{5'000};

// SIGINT, SIGTERM and SIGHUP as something to poll for. Before the first thread is started, so that all
// inherit it.
UniqueFd end_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

class Session {
 public:
  Session(Target target, const DevArgs& args, FolderWatch watch, UniqueFd signals,
          std::unique_ptr<DevServer> server)
      : target_(std::move(target)),
        args_(args),
        watch_(std::move(watch)),
        signals_(std::move(signals)),
        server_(std::move(server)),
        view_(target_.json ? Output::kJson : Output::kText),
        api_(target_) {}

  Result<int> run() {
    if (auto made = make_space(); !made) return std::unexpected(made.error());
    while (true) {
      if (const Status done = deploy_now(); !done) {
        // Nothing can come of a server that was never there.
        if (!deployed_once_ && done.error().reason == "unreachable") return std::unexpected(done.error());
        view_.trouble(done.error());
      }
      const auto goes_on = wait_for_change();
      if (!goes_on) return std::unexpected(goes_on.error());
      if (!*goes_on) return kExitOk;
      began_ = clock_.now();
    }
  }

 private:
  enum class Event : std::uint8_t { kNothing, kChange, kEnd, kServerEnded };

  // What comes first; kNothing when the limit is over.
  Event wait(std::optional<milliseconds> limit) const {
    std::array<pollfd, 3> waiting{
        {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
         {.fd = watch_.fd(), .events = POLLIN, .revents = 0},
         {.fd = server_ ? server_->ended_fd() : -1, .events = POLLIN, .revents = 0}}};
    poll(waiting.data(), waiting.size(), limit ? static_cast<int>(limit->count()) : -1);
    if (waiting[0].revents != 0) return Event::kEnd;
    if (waiting[2].revents != 0) return Event::kServerEnded;
    return waiting[1].revents != 0 ? Event::kChange : Event::kNothing;
  }

  // Fills changed_; false at the end. A file that is made tells so first and is complete when it is closed.
  Result<bool> wait_for_change() {
    do {
      switch (changed_early_.empty() ? wait(std::nullopt) : Event::kChange) {
        case Event::kEnd:
          return false;
        case Event::kServerEnded:
          return fail(Code::kUnavailable, Component::kGateway, "server_ended",
                      fmt::format("the server has ended: {}", server_->last_words()));
        case Event::kChange:
        case Event::kNothing:
          break;
      }
      auto changed = take_settled(watch_, kQuiet, kRestless, std::exchange(changed_early_, {}));
      if (!changed) return std::unexpected(changed.error());
      changed_ = std::move(*changed);
    } while (changed_.empty());
    return true;
  }

  // Whether something comes within the pause that is more than a file that was made and is not written yet.
  bool is_interrupted(milliseconds pause) {
    const Event event = wait(pause);
    if (event != Event::kChange) return event != Event::kNothing;
    auto changed = watch_.take();
    if (!changed) return true;  // the next look fails in the same way
    changed_early_ = std::move(*changed);
    return !changed_early_.empty();
  }

  // A server of our own has no other space than the default one.
  Status make_space() {
    if (!server_ || target_.space == "default") return {};
    const auto made = api_.send("POST", "/spaces", Json{{"name", target_.space}});
    if (!made) return std::unexpected(made.error());
    return {};
  }

  // Nothing happens when the files are as they were: editors touch files without changing them.
  Status deploy_now() {
    auto code = read_deployable(args_.path, args_.overrides);
    if (!code) return std::unexpected(code.error());
    if (last_ && last_->settings == code->settings && last_->files == code->files) return {};
    forget_passing_files(*code);
    if (!changed_.empty()) view_.changed(changed_);
    const auto place = place_of(target_, *code);
    if (!place) return std::unexpected(place.error());
    last_ = *code;
    auto sent = send_code(api_, *place, std::move(*code));
    if (!sent) {
      last_.reset();  // saving it again tries again
      return std::unexpected(sent.error());
    }
    if (const Status following = follow(last_->settings["name"].get<std::string>(), *place); !following)
      return following;
    // Of a version without a build there is none.
    build_follower_.emplace(
        target_, build_log_path(place->function, sent->function.value("version", std::int64_t{1}), true),
        FollowUntil::kEnd, [this](std::string_view line) { view_.build(line); });
    const auto settled =
        watch_rollout(api_, *place, std::move(sent->function),
                      [this](const Json&, milliseconds pause) { return !is_interrupted(pause); });
    if (!settled) return std::unexpected(settled.error());
    if (rollout_of(*settled) != Rollout::kUnderWay) build_follower_->wait_until_ended(kFollowPatience);
    build_follower_.reset();
    show(*settled);
    return {};
  }

  // Editors write files beside the one that they save, and remove them at once.
  void forget_passing_files(const Deployable& code) {
    std::set<std::string> known = {".", "function.toml", args_.path.filename()};
    for (const PackedFile& file : code.files) known.insert(file.path);
    for (const PackedFile& file : last_ ? last_->files : std::vector<PackedFile>()) known.insert(file.path);
    std::set<std::string> lasting;
    std::ranges::set_intersection(changed_, known, std::inserter(lasting, lasting.end()));
    if (!lasting.empty()) changed_ = std::move(lasting);
  }

  Status follow(const std::string& name, const Place& place) {
    if (follower_ && followed_ == name) return {};
    deployed_once_ = true;
    auto path = logs_path(
        target_, {.name = name, .follow = true, .invocations = true, .tail = 0, .since = {}, .call_id = {}});
    if (!path) return std::unexpected(path.error());
    follower_.reset();
    follower_.emplace(target_, std::move(*path), FollowUntil::kStopped,
                      [this](std::string_view line) { view_.record(line); });
    followed_ = name;
    follower_->wait_until_following(kFollowPatience);
    view_.serving(name, target_.url, target_.url + place.function + "/invoke");
    return {};
  }

  void show(const Json& function) {
    const Duration took = clock_.now() - began_;
    switch (rollout_of(function)) {
      case Rollout::kRunning:
      case Rollout::kStopped:
        return view_.deployed(function, took);
      case Rollout::kFailed:
        return view_.failed(function, took);
      case Rollout::kUnderWay:
        break;  // the next change, or the end, came first
    }
  }

  const SystemClock clock_;
  const Target target_;
  const DevArgs& args_;
  FolderWatch watch_;
  const UniqueFd signals_;
  const std::unique_ptr<DevServer> server_;  // null: somebody else's
  DevView view_;
  Api api_;
  MonotonicTime began_ = clock_.now();
  std::set<std::string> changed_;
  std::set<std::string> changed_early_;  // while a version was on its way
  std::optional<Deployable> last_;       // as it was sent
  bool deployed_once_ = false;
  std::string followed_;  // the function
  // Last: their threads use the others.
  std::optional<LogFollower> follower_;
  std::optional<LogFollower> build_follower_;
};

}  // namespace

Result<int> dev(const Target& target, const DevArgs& args) {
  auto watch = FolderWatch::open(args.path);
  if (!watch) return std::unexpected(watch.error());
  UniqueFd signals = end_signals();
  Target served = target;
  std::unique_ptr<DevServer> server;
  if (args.own_server) {
    auto started = DevServer::start(args.port);
    if (!started) return std::unexpected(started.error());
    server = std::move(*started);
    served.url = server->url();
    served.token.clear();
    served.use_login = false;
  }
  Session session(std::move(served), args, std::move(*watch), std::move(signals), std::move(server));
  return session.run();
}

}  // namespace sterna::cli
