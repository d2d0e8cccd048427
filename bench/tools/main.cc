// Async load for the bench: `accept` counts acceptances a second, `through` follows invocations to their
// callbacks. Prints one line of JSON on stdout. Exit code 1 and a message on stderr when it could not
// measure.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>

#include "ledger.h"
#include "load.h"
#include "receiver.h"

namespace {

using namespace sterna;
using namespace sterna::bench;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kTurn{10};

struct Settings {
  std::string protocol = "http";
  std::uint16_t port = 0;
  std::string target;  // path of async-invoke, subject or key
  unsigned connections = 1;
  std::size_t body_bytes = 64;
  double seconds = 1;
  std::uint64_t count = 0;       // end after this many; 0: after `seconds`
  std::uint64_t window = 1;      // through: accepted invocations without a callback
  std::string callback;          // accept: URL; empty: none
  double patience_seconds = 60;  // how long the last answers and callbacks may take
  std::string sync_file;         // through: time an fdatasync of 1 KiB of this file between the calls
};

double percentile(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::ranges::nth_element(values, at);
  return *at;
}

json latencies(const std::vector<double>& values) {
  return {{"p50_ms", percentile(values, 50)}, {"p99_ms", percentile(values, 99)}};
}

std::unique_ptr<Protocol> protocol_for(const Settings& settings, const std::string& callback) {
  const std::string body(settings.body_bytes, 'x');
  if (settings.protocol == "nats") return nats_protocol(settings.target, body);
  if (settings.protocol == "redis") return redis_protocol(settings.target, body);
  return http_protocol({.path = settings.target, .callback = callback, .body = body});
}

double seconds_between(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

// Overwrites 1 KiB of a file that has its size already: the cheapest durable write there is.
class SyncProbe {
 public:
  explicit SyncProbe(const std::string& path) {
    if (path.empty()) return;
    file_.reset(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const std::string zeros(kSize, '\0');
    if (!file_ || ::pwrite(file_.get(), zeros.data(), kSize, 0) != static_cast<ssize_t>(kSize) ||
        ::fsync(file_.get()) != 0) {
      throw std::system_error(errno, std::generic_category(), path);
    }
  }

  void measure() {
    if (!file_) return;
    const std::string block(kBlock, 'x');
    const auto from = now();
    const auto at = static_cast<off_t>(times_.size() * kBlock % kSize);
    if (::pwrite(file_.get(), block.data(), kBlock, at) != static_cast<ssize_t>(kBlock) ||
        ::fdatasync(file_.get()) != 0) {
      throw std::system_error(errno, std::generic_category(), "fdatasync");
    }
    times_.push_back(bench::milliseconds(from, now()));
  }

  const std::vector<double>& times() const { return times_; }

 private:
  static constexpr std::size_t kBlock = 1024;
  static constexpr std::size_t kSize = 4 << 20;

  UniqueFd file_;
  std::vector<double> times_;
};

// The last acceptances of a measurement may take as long as a slow disk does.
void drain(Poller& poller, const Load& load, double patience_seconds) {
  const auto began = now();
  while (load.in_flight() > 0) {
    if (seconds_between(began, now()) > patience_seconds) throw std::runtime_error("answers did not come");
    poller.turn(kTurn);
  }
}

json accept(const Settings& settings) {
  Poller poller;
  const auto protocol = protocol_for(settings, settings.callback);
  std::uint64_t sent_count = 0;
  std::uint64_t accepted = 0;
  std::vector<double> took;
  const auto began = now();
  auto last = began;
  const auto enough = [&] {
    return settings.count > 0 ? sent_count >= settings.count
                              : seconds_between(began, now()) >= settings.seconds;
  };
  Load load(poller, *protocol, settings.port, settings.connections,
            {.may_send =
                 [&] {
                   if (enough()) return false;
                   ++sent_count;
                   return true;
                 },
             .on_reply =
                 [&](const Reply& reply, Time sent, Time at) {
                   accepted += reply.accepted ? 1 : 0;
                   took.push_back(bench::milliseconds(sent, at));
                   last = at;
                 }});
  load.resume();
  while (!enough()) poller.turn(kTurn);
  drain(poller, load, settings.patience_seconds);
  return {{"accepted", accepted},
          {"refused", load.refused()},
          {"first_refusal", load.first_refusal()},
          {"seconds", seconds_between(began, last)},
          {"accept", latencies(took)}};
}

// Follows calls to their callbacks. At most `window` accepted ones are without a callback at any time.
class Through {
 public:
  explicit Through(const Settings& settings)
      : settings_(settings),
        probe_(settings.sync_file),
        expected_(settings.body_bytes, 'x'),
        receiver_(poller_, [this](std::string_view id, std::string_view body) { on_callback(id, body); }),
        protocol_(protocol_for(settings, receiver_.url())),
        load_(poller_, *protocol_, settings.port, settings.connections,
              {.may_send = [this] { return may_send(); },
               .on_reply = [this](const Reply& reply, Time sent, Time at) { on_reply(reply, sent, at); }}) {}

  json run() {
    began_ = now();
    last_progress_ = began_;
    while (!enough()) {
      if (seconds_between(last_progress_, now()) > settings_.patience_seconds) {
        throw std::runtime_error("no callback came for a long time");
      }
      load_.resume();  // callbacks that came in the last turn have made room
      poller_.turn(kTurn);
    }
    const auto ended = now();
    const auto completed = ledger_.completed();
    const auto accepted = ledger_.accepted_count();
    drain(poller_, load_, settings_.patience_seconds);
    const auto waits_from = now();
    while (ledger_.outstanding() > 0 && seconds_between(waits_from, now()) < settings_.patience_seconds) {
      poller_.turn(kTurn);
    }
    return report(seconds_between(began_, ended), accepted, completed);
  }

 private:
  bool enough() const {
    if (settings_.count > 0) return ledger_.completed() + load_.refused() >= settings_.count;
    return seconds_between(began_, now()) >= settings_.seconds;
  }

  bool may_send() {
    if (enough() || ledger_.outstanding() + load_.in_flight() >= settings_.window) return false;
    probe_.measure();
    return true;
  }

  void on_reply(const Reply& reply, Time sent, Time at) {
    if (!reply.accepted) return;
    ledger_.accepted(reply.id, sent, at);
    backlog_most_ = std::max(backlog_most_, ledger_.outstanding());
  }

  void on_callback(std::string_view id, std::string_view body) {
    last_progress_ = now();
    ledger_.called_back(std::string(id), body == expected_, last_progress_);
  }

  json report(double seconds, std::uint64_t accepted, std::uint64_t completed) const {
    return {{"accepted", accepted},
            {"completed", completed},
            {"seconds", seconds},
            {"refused", load_.refused()},
            {"first_refusal", load_.first_refusal()},
            {"lost", ledger_.outstanding()},
            {"duplicates", ledger_.duplicates()},
            {"invented", ledger_.invented()},
            {"wrong_bodies", ledger_.wrong_bodies()},
            {"backlog_at_end", accepted - completed},
            {"backlog_most", backlog_most_},
            {"accept", latencies(ledger_.accept_ms())},
            {"callback", latencies(ledger_.callback_ms())},
            {"sync", latencies(probe_.times())}};
  }

  const Settings& settings_;
  SyncProbe probe_;
  std::string expected_;
  Ledger ledger_;
  Poller poller_;
  Receiver receiver_;
  std::unique_ptr<Protocol> protocol_;
  Load load_;
  Time began_;
  Time last_progress_;
  std::uint64_t backlog_most_ = 0;
};

void add_options(CLI::App& command, Settings& settings) {
  command.add_option("--port", settings.port, "Port on 127.0.0.1")->required();
  command.add_option("--target", settings.target, "Path of async-invoke, NATS subject or Redis key")
      ->required();
  command.add_option("--connections", settings.connections, "Connections, each with one request at a time");
  command.add_option("--body-bytes", settings.body_bytes, "Size of the body");
  command.add_option("--seconds", settings.seconds, "How long to send");
  command.add_option("--count", settings.count, "Send this many instead");
}

int run(int argc, char** argv) {
  Settings settings;
  CLI::App program("Async load for the bench");
  program.require_subcommand(1);
  CLI::App& accepts = *program.add_subcommand("accept", "Count acceptances a second");
  add_options(accepts, settings);
  accepts.add_option("--protocol", settings.protocol)->check(CLI::IsMember({"http", "nats", "redis"}));
  accepts.add_option("--callback", settings.callback, "Callback URL of each invocation");
  CLI::App& through = *program.add_subcommand("through", "Follow invocations to their callbacks");
  add_options(through, settings);
  through.add_option("--window", settings.window, "Accepted invocations without a callback, at most");
  through.add_option("--sync-file", settings.sync_file,
                     "Time an fdatasync of 1 KiB of this file before each call");
  CLI11_PARSE(program, argc, argv);
  const json found = accepts.parsed() ? accept(settings) : Through(settings).run();
  fmt::print("{}\n", found.dump(-1, ' ', true, json::error_handler_t::replace));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}
