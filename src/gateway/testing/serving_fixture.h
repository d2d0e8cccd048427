// A function behind a real HTTP connection, its workers played by the test.
#pragma once

#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "invoke/function_table.h"
#include "net/testing/http_fixture.h"
#include "pool/testing/fake_launcher.h"

namespace sterna::gateway::testing {

using pool::testing::FakeWorker;
using pool::testing::OwnedFrame;
using std::chrono::milliseconds;
using std::chrono::seconds;
using wire::FrameType;
using wire::More;

class NoStore final : public invoke::VersionStore {
 public:
  void set_building(const std::string&, std::uint32_t) override {}
  void activate(const std::string&, std::uint32_t, bool, const std::string&) override {}
  void fail_version(const std::string&, std::uint32_t, const std::string&) override {}
  void fail_canary(const std::string&, std::uint32_t, const std::string&) override {}
  void set_failed(const std::string&, std::uint32_t, const std::string&) override {}
  void set_running(const std::string&, std::uint32_t) override {}
};

class NoBuilds final : public invoke::VersionBuilder {
 public:
  bool needs_build(const registry::Version&) const override { return false; }
  void build(const registry::Function&, const registry::Version&) override {}
  void cancel(const std::string&) override {}
};

// The function is /spaces/default/functions/f, with the id "id".
class ServingTest : public net::testing::HttpTest {
 protected:
  ServingTest() {
    registry::Space space;
    space.spec.name = "default";
    table_.set_space(std::move(space));
    table_.apply(function());
  }
  // Ends connections and workers; by the destructors of the tests, while what they call is there.
  void end() {
    turn();  // what was closed outside a turn goes before its server
    server_.reset();
    table_.shut_down();
    launcher_.exit_all();
    pass(milliseconds(100));
  }

  static registry::Function function() {
    registry::Function function;
    function.id = "id";
    function.space = "default";
    function.name = "f";
    function.newest.number = 1;
    function.newest.state = registry::VersionState::kActive;
    function.active = function.newest;
    function.status = registry::FunctionStatus::kRunning;
    return function;
  }
  // The one request that a worker has got; the worker is made ready for it.
  OwnedFrame run() {
    std::vector<OwnedFrame> frames;
    EXPECT_TRUE(until([&] { return launcher_.started() > 0; }));
    if (std::exchange(greeted_, launcher_.started()) < launcher_.started()) worker().ready();
    EXPECT_TRUE(until([&] { return !(frames = worker().receive(FrameType::kRequest)).empty(); }));
    worker().begin(frames.front());
    return frames.front();
  }
  // The one that was started last.
  FakeWorker& worker() { return launcher_.worker(launcher_.started() - 1); }
  // Whether the answer's head has that line, without regard to case.
  static bool has_line(const Client& client, const std::string& line) {
    const auto lower = [](std::string text) {
      std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
      return text;
    };
    return lower(client.text).find(lower("\r\n" + line)) != std::string::npos;
  }

  prometheus::Registry prometheus_;
  invoke::InvocationMetrics metrics_{prometheus_};
  UlidGenerator ids_{clock_};
  pool::testing::FakeLauncher launcher_;
  std::size_t greeted_ = 0;  // workers up to this one have been made ready, which they are once
  NoStore store_;
  NoBuilds builder_;
  std::vector<std::string> logs_;
  invoke::FunctionTable table_{
      loop_,
      launcher_,
      ids_,
      {},
      store_,
      builder_,
      [](const registry::Function& of, const registry::Version& version) {
        pool::FunctionConfig config;
        config.id = of.id;
        config.request_buffering = version.spec.request_buffering;
        return config;
      },
      [this](const std::string&, const std::string&, std::string_view, std::string_view, std::string_view,
             std::string_view text) { logs_.emplace_back(text); },
      metrics_};
};

}  // namespace sterna::gateway::testing
