// A function table over played workers, on a clock that stands still.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "invoke/invocation.h"
#include "pool/testing/fake_launcher.h"

namespace sterna::invoke::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What the table asked to be made durable, one line each.
class StoreRecord final : public VersionStore {
 public:
  std::vector<std::string> lines;
  void set_building(const std::string& id, std::uint32_t version) override {
    lines.push_back("building " + id + " " + std::to_string(version));
  }
  void activate(const std::string& id, std::uint32_t version, bool async,
                const std::string& runtime) override {
    lines.push_back("activate " + id + " " + std::to_string(version) + (async ? " async " : " sync ") +
                    runtime);
  }
  void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) override {
    lines.push_back("fail " + id + " " + std::to_string(version) + " " + reason);
  }
  void fail_canary(const std::string& id, std::uint32_t version, const std::string& reason) override {
    lines.push_back("fail canary " + id + " " + std::to_string(version) + " " + reason);
  }
  void set_failed(const std::string& id, std::uint32_t version, const std::string& reason) override {
    lines.push_back("failed " + id + " " + std::to_string(version) + " " + reason);
  }
  void set_running(const std::string& id, std::uint32_t version) override {
    lines.push_back("running " + id + " " + std::to_string(version));
  }
  std::string last() const { return lines.empty() ? "" : lines.back(); }
};

// What the table asked to be built, one line each. With `builds`, versions without a layer need that.
class BuilderRecord final : public VersionBuilder {
 public:
  std::vector<std::string> lines;
  bool builds = false;
  bool needs_build(const registry::Version& version) const override {
    return builds && version.layer.empty();
  }
  void build(const registry::Function& function, const registry::Version& version) override {
    lines.push_back("build " + function.id + " " + std::to_string(version.number));
  }
  void cancel(const std::string& id) override { lines.push_back("cancel " + id); }
};

// One invocation and its outcome.
class TestRun final : public OutcomeObserver {
 public:
  explicit TestRun(FunctionTable& table) : invocation(table, *this) {}
  Invocation invocation;
  std::string body;
  std::optional<std::string> failure;  // its reason

  void on_answer(const wire::ResponseHead&, std::string_view part, wire::More) override { body += part; }
  void on_part(std::string_view part, wire::More) override { body += part; }
  void on_failure(const FailureInfo& info) override { failure = std::string(info.reason); }
};

class TableTest : public ::testing::Test {
 protected:
  ~TableTest() override {
    table_.shut_down();
    launcher_.exit_all();
    pass(seconds(1));
    EXPECT_TRUE(table_.idle());
  }

  void settle() {
    for (int i = 0; i < 4; ++i) loop_.turn(Duration::zero());
  }
  void pass(Duration time) {
    clock_.advance(time);
    settle();
  }
  pool::testing::FakeWorker& worker(std::size_t index) { return launcher_.worker(index); }

  static registry::Version version(std::int64_t number, registry::VersionState state) {
    registry::Version made;
    made.number = number;
    made.bundle = "bundle-" + std::to_string(number);
    made.state = state;
    return made;
  }
  // As the registry would tell it: `newest` has that state, `active` is 0 for none.
  static registry::Function function(std::int64_t newest, registry::VersionState state, std::int64_t active,
                                     const std::string& name = "motion") {
    registry::Function made;
    made.id = "id-" + name;
    made.space = "default";
    made.name = name;
    made.newest = version(newest, state);
    if (active != 0) made.active = version(active, registry::VersionState::kActive);
    made.status = active != 0 ? registry::FunctionStatus::kRunning : registry::FunctionStatus::kPending;
    return made;
  }
  static registry::Function running(std::int64_t number, const std::string& name = "motion") {
    return function(number, registry::VersionState::kActive, number, name);
  }
  static registry::Function running_with(std::int64_t number, const std::string& secret) {
    registry::Function made = running(number);
    made.secret_values["KEY"] = secret;
    return made;
  }
  static registry::Function stopped(std::int64_t number) {
    registry::Function made = running(number);
    made.status = registry::FunctionStatus::kStopped;
    return made;
  }

  FunctionEntry& entry(const std::string& name = "motion") { return *table_.find("default", name); }
  TestRun& invoke(const std::string& name = "motion") {
    TestRun& run = runs_.emplace_back(table_);
    run.invocation.start(entry(name), "call-" + std::to_string(runs_.size()), {}, nullptr, loop_.now());
    settle();
    return run;
  }
  // Lets the worker answer the calls that it has.
  void answer(std::size_t index, std::string_view body) {
    for (const auto& request : worker(index).receive(wire::FrameType::kRequest)) {
      worker(index).begin(request);
      worker(index).respond(request, body, milliseconds(1));
    }
    settle();
  }
  bool told_to_leave(std::size_t index) { return !worker(index).receive(wire::FrameType::kShutdown).empty(); }

  ManualClock clock_;
  net::Loop loop_{clock_};
  UlidGenerator ids_{clock_};
  pool::testing::FakeLauncher launcher_;
  StoreRecord store_;
  BuilderRecord builder_;
  std::vector<std::string> logs_;
  std::string refusal_;  // of all configs made from now on
  prometheus::Registry prometheus_;
  InvocationMetrics metrics_{prometheus_};
  pool::PoolLimits limits_{.queue_length = 100, .max_workers_total = 2};
  FunctionTable table_{loop_,
                       launcher_,
                       ids_,
                       limits_,
                       store_,
                       builder_,
                       [this](const registry::Function& of, const registry::Version& version) {
                         pool::FunctionConfig config;
                         config.id = of.id;
                         config.space = of.space;
                         config.name = of.name;
                         config.version = static_cast<std::uint32_t>(version.number);
                         config.timeout = version.spec.limits.timeout;
                         config.max_replicas = static_cast<std::uint32_t>(version.spec.limits.max_replicas);
                         if (const auto concurrency = version.spec.limits.concurrency)
                           config.concurrency = static_cast<std::uint32_t>(*concurrency);
                         config.refusal = refusal_;
                         config.bundle_dir = version.bundle;
                         config.secrets = of.secret_values;
                         return config;
                       },
                       [this](const std::string&, const std::string& name, std::string_view,
                              std::string_view stream, std::string_view call_id, std::string_view text) {
                         logs_.push_back(name + " " + std::string(stream) + " " + std::string(call_id) +
                                         ": " + std::string(text));
                       },
                       metrics_};
  std::deque<TestRun> runs_;
};

}  // namespace sterna::invoke::testing
