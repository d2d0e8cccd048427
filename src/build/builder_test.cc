#include "build/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bundle/folder_tree.h"
#include "pool/testing/fake_launcher.h"

namespace sterna::build {
namespace {

namespace fs = std::filesystem;
using pool::testing::FakeWorker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Duration kPatience = std::chrono::seconds(20);

// What became of builds, one line each.
class ResultsRecord final : public BuildResults {
 public:
  std::vector<std::string> lines;
  void set_layer(const std::string& id, std::uint32_t version, const std::string& layer) override {
    lines.push_back(id + " " + std::to_string(version) + " " + (layer.size() == 64 ? "layer" : layer));
  }
  void fail_version(const std::string& id, std::uint32_t version, const std::string& reason) override {
    lines.push_back(id + " " + std::to_string(version) + " " + reason);
  }
};

class BuilderTest : public ::testing::Test {
 protected:
  BuilderTest() {
    bundles_ = std::move(*bundle::BundleStore::open(root_ / "bundles"));
    layers_ = std::move(*LayerStore::open(root_ / "layers", 1U << 30));
    Toolbox tools;
    tools.compiler = Tool{"/usr/bin/c++", "one"};
    builder_ = std::make_unique<Builder>(loop_, launcher_, ids_, *bundles_, *layers_, logs_, std::move(tools),
                                         BuilderSettings{.limits = {}, .parallel = 1}, results_);
  }
  ~BuilderTest() override {
    builder_->shut_down();
    EXPECT_TRUE(until([&] {
      launcher_.exit_all();
      return builder_->idle();
    }));
    builder_.reset();
    bundle::remove_tree(root_);
  }

  bool until(const std::function<bool()>& holds) {
    const MonotonicTime deadline = clock_.now() + kPatience;
    while (!holds()) {
      if (clock_.now() > deadline) return false;
      loop_.turn(std::chrono::milliseconds(5));
    }
    return true;
  }
  bool until_results(std::size_t count) {
    return until([&] { return results_.lines.size() >= count; });
  }

  // A version of the function `id` with that code.
  registry::Version version(const std::string& code, std::int64_t number = 1) {
    registry::Version made;
    made.number = number;
    made.spec.template_name = "cpp";
    made.bundle = *bundles_->put({{"handler.cc", code}}, "default");
    return made;
  }
  void build(const std::string& id, const registry::Version& version,
             const std::string& space_id = "01SPACE") {
    registry::Function function;
    function.id = function.name = id;
    function.space = "default";
    function.space_id = space_id;
    builder_->build(function, version);
  }

  // The request of the build's tool, begun.
  pool::testing::OwnedFrame run(std::size_t index) {
    EXPECT_TRUE(until([&] { return launcher_.started() > index; }));
    FakeWorker& worker = launcher_.worker(index);
    worker.ready();
    std::vector<pool::testing::OwnedFrame> frames;
    EXPECT_TRUE(until([&] { return !(frames = worker.receive(wire::FrameType::kRequest)).empty(); }));
    worker.begin(frames.front());
    return frames.front();
  }
  void end(std::size_t index) {
    FakeWorker& worker = launcher_.worker(index);
    EXPECT_TRUE(until([&] { return worker.killed(); }));
    worker.exit(pool::testing::exit_signal(9));
  }
  // The tool has made the library.
  void succeed(std::size_t index) {
    const auto request = run(index);
    std::ofstream(fs::path(launcher_.worker(index).config().bundle_dir) / "handler.so") << "library";
    launcher_.worker(index).log(&request, "compiled\n");
    launcher_.worker(index).respond(request, "", std::chrono::milliseconds(1));
    end(index);
  }
  void fail(std::size_t index) {
    const auto request = run(index);
    launcher_.worker(index).log(&request, "handler.cc:1:1: error: wrong\n/bin/sh exited with status 1\n");
    launcher_.worker(index).fail(request, wire::FailKind::kRaised, "/bin/sh exited with status 1");
    end(index);
  }
  std::string log_of(const std::string& id, std::int64_t number = 1) {
    std::string text;
    EXPECT_TRUE(until([&] {
      const auto loaded = logs_.load(id, number);
      if (loaded) text = *loaded;
      return loaded.has_value();
    }));
    return text;
  }

  SystemClock clock_;
  net::Loop loop_{clock_};
  UlidGenerator ids_{clock_};
  pool::testing::FakeLauncher launcher_;
  const fs::path root_ = [] {
    std::string pattern = ::testing::TempDir() + "builder-XXXXXX";
    return fs::path(::mkdtemp(pattern.data()));
  }();
  std::unique_ptr<bundle::BundleStore> bundles_;
  std::unique_ptr<LayerStore> layers_;
  logs::BuildLogs logs_{root_ / "logs", 1U << 16, clock_};
  ResultsRecord results_;
  std::unique_ptr<Builder> builder_;
};

TEST_F(BuilderTest, BuildsInAWritableFolderWithoutNetwork) {
  registry::Version one = version("one");
  EXPECT_TRUE(builder_->needs_build(one));
  build("a", one);
  succeed(0);
  ASSERT_TRUE(until_results(1));
  EXPECT_THAT(results_.lines, ElementsAre("a 1 layer"));
  const pool::FunctionConfig& config = launcher_.worker(0).config();
  EXPECT_EQ(config.runtime, "build");
  EXPECT_TRUE(config.bundle_writable);
  EXPECT_EQ(config.network, Network::kNone);
  EXPECT_THAT(log_of("a"), HasSubstr("compiled"));
  EXPECT_TRUE(until([&] { return !fs::exists(config.bundle_dir); }));
  for (const auto& entry : fs::directory_iterator(root_ / "layers")) one.layer = entry.path().filename();
  EXPECT_FALSE(builder_->needs_build(one));
  EXPECT_TRUE(fs::exists(bundles_->composed_path(one.bundle, one.layer) / "handler.so"));
}

TEST_F(BuilderTest, TheSameIsBuiltOnceForAllWhoWait) {
  const registry::Version one = version("one");
  build("a", one);
  const auto request = run(0);
  build("b", one);
  EXPECT_TRUE(until([&] { return logs_.recent("b", 1)->contains("being built already"); }));
  launcher_.worker(0).log(&request, "shared\n");
  std::ofstream(fs::path(launcher_.worker(0).config().bundle_dir) / "handler.so") << "library";
  launcher_.worker(0).respond(request, "", std::chrono::milliseconds(1));
  end(0);
  ASSERT_TRUE(until_results(2));
  build("c", one);
  ASSERT_TRUE(until_results(3));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_THAT(results_.lines, ElementsAre("a 1 layer", "b 1 layer", "c 1 layer"));
  EXPECT_THAT(log_of("b"), HasSubstr("shared"));
}

TEST_F(BuilderTest, ASpaceMadeAnewHasNothingOfTheOneBefore) {
  const registry::Version one = version("one");
  build("a", one);
  succeed(0);
  ASSERT_TRUE(until_results(1));
  build("b", one, "01ANOTHER");
  succeed(1);
  ASSERT_TRUE(until_results(2));
}

TEST_F(BuilderTest, AFailureIsToldToAllAndNotKept) {
  const registry::Version one = version("one");
  build("a", one);
  build("b", one);
  fail(0);
  ASSERT_TRUE(until_results(2));
  EXPECT_THAT(results_.lines, ElementsAre("a 1 the build failed: handler.cc:1:1: error: wrong",
                                          "b 1 the build failed: handler.cc:1:1: error: wrong"));
  build("a", one);
  succeed(1);
  ASSERT_TRUE(until_results(3));
  EXPECT_EQ(results_.lines.back(), "a 1 layer");
}

TEST_F(BuilderTest, WhatAToolPrintedTooFastIsCountedInItsLog) {
  build("a", version("one"));
  const auto request = run(0);
  launcher_.worker(0).log(&request, std::string(pool::LogMeter::kLinesPerSecond + 5, '\n'));
  launcher_.worker(0).fail(request, wire::FailKind::kRaised, "/bin/sh exited with status 1");
  end(0);
  ASSERT_TRUE(until_results(1));
  EXPECT_THAT(log_of("a"), HasSubstr("6 more lines were dropped"));
}

TEST_F(BuilderTest, AToolThatMakesNothingHasFailed) {
  build("a", version("one"));
  const auto request = run(0);
  launcher_.worker(0).respond(request, "", std::chrono::milliseconds(1));
  end(0);
  ASSERT_TRUE(until_results(1));
  EXPECT_THAT(results_.lines.front(), HasSubstr("made no handler.so"));
}

TEST_F(BuilderTest, WhatNobodyWaitsForIsEnded) {
  build("a", version("one"));
  run(0);
  build("b", version("two"));  // waits for its turn
  EXPECT_TRUE(until([&] { return logs_.recent("b", 1)->contains("waiting for other builds"); }));
  builder_->cancel("b");
  builder_->cancel("a");
  EXPECT_TRUE(until([&] { return launcher_.worker(0).killed(); }));
  build("a", version("one", 2));  // the same, while the first one is on its way out
  end(0);
  succeed(1);
  ASSERT_TRUE(until_results(1));
  EXPECT_THAT(results_.lines, ElementsAre("a 2 layer"));
  EXPECT_EQ(launcher_.started(), 2U);
}

TEST_F(BuilderTest, CodeWithoutABuildIsSaidToHaveNone) {
  registry::Version plain = version("one");
  plain.bundle = *bundles_->put({{"package.json", R"({"type":"module"})"}}, "default");
  plain.spec.template_name = "node-http";
  EXPECT_TRUE(builder_->needs_build(plain));
  build("plain", plain);
  ASSERT_TRUE(until_results(1));
  EXPECT_THAT(results_.lines, ElementsAre("plain 1 none"));
  EXPECT_FALSE(logs_.recent("plain", 1));
  plain.layer = registry::kNoLayer;
  EXPECT_FALSE(builder_->needs_build(plain));
}

TEST_F(BuilderTest, TheEndOfTheServerIsNoFailure) {
  build("a", version("one"));
  run(0);
  builder_->shut_down();
  end(0);
  EXPECT_TRUE(until([&] { return builder_->idle(); }));
  EXPECT_TRUE(results_.lines.empty());
}

}  // namespace
}  // namespace sterna::build
