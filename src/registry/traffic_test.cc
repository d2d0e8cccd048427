#include <gtest/gtest.h>

#include "registry/registry.h"

namespace sterna::registry {
namespace {

// Version 1 is active, version 2 comes after it.
class TrafficTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_ = std::move(*Registry::open(":memory:", clock_, 3));
    spec_.name = "f";
    id_ = registry_->create("default", spec_, "h1")->id;
    load(1);
  }

  Function now() { return *registry_->find(id_); }
  void load(std::int64_t number) { ASSERT_TRUE(registry_->activate(id_, number, false, "python")); }
  // Answers its number.
  std::int64_t deploy(int percent) {
    return registry_->update("default", "f", spec_, "h2", percent)->function.newest.number;
  }
  VersionState state_of(std::int64_t number) {
    return registry_->find_version("default", "f", number)->state;
  }
  Result<Function> set(std::int64_t number, int percent) {
    return registry_->set_traffic("default", "f", number, percent);
  }
  std::string refusal(std::int64_t number, int percent) { return set(number, percent).error().reason; }

  ManualClock clock_;
  std::unique_ptr<Registry> registry_;
  api::FunctionSpec spec_;
  std::string id_;
};

TEST_F(TrafficTest, LoadedVersionWithAPartOfTheCallsIsACanary) {
  EXPECT_EQ(deploy(10), 2);
  EXPECT_FALSE(now().canary);
  load(2);
  const Function function = now();
  EXPECT_EQ(function.active->number, 1);
  ASSERT_TRUE(function.canary);
  EXPECT_EQ(function.canary->number, 2);
  EXPECT_EQ(function.canary->traffic_percent, 10);
  EXPECT_EQ(function.canary->state, VersionState::kCanary);
  EXPECT_EQ(function.status, FunctionStatus::kRunning);
  EXPECT_FALSE(function.wants_loading());
}

TEST_F(TrafficTest, FirstVersionGetsAllCallsWhateverItAskedFor) {
  api::FunctionSpec spec;
  spec.name = "g";
  const std::string id = registry_->create("default", spec, "")->id;
  ASSERT_TRUE(registry_->update("default", "g", spec, "h", 5));
  ASSERT_TRUE(registry_->activate(id, 2, false, "python"));
  EXPECT_EQ(registry_->find(id)->active->number, 2);
  EXPECT_FALSE(registry_->find(id)->canary);
}

TEST_F(TrafficTest, ShareGrowsUntilItIsAll) {
  deploy(10);
  load(2);
  EXPECT_EQ(set(2, 50)->canary->traffic_percent, 50);
  const Function promoted = *set(2, 100);
  EXPECT_EQ(promoted.active->number, 2);
  EXPECT_FALSE(promoted.canary);
  EXPECT_EQ(state_of(1), VersionState::kRetired);
  EXPECT_EQ(state_of(2), VersionState::kActive);
}

TEST_F(TrafficTest, AllForTheActiveOneEndsTheCanary) {
  deploy(10);
  load(2);
  const Function ended = *set(1, 100);
  EXPECT_EQ(ended.active->number, 1);
  EXPECT_FALSE(ended.canary);
  EXPECT_EQ(state_of(2), VersionState::kRetired);
  EXPECT_EQ(set(2, 30)->canary->number, 2);  // it can come back
}

TEST_F(TrafficTest, OlderVersionMayShareAndTakeOver) {
  deploy(100);
  load(2);
  EXPECT_EQ(set(1, 90)->canary->number, 1);
  EXPECT_EQ(set(1, 100)->active->number, 1);
}

TEST_F(TrafficTest, NextVersionTakesAllOrReplacesTheCanary) {
  deploy(10);
  load(2);
  deploy(20);
  EXPECT_EQ(now().canary->number, 2);  // until the next has been loaded
  load(3);
  EXPECT_EQ(now().canary->number, 3);
  EXPECT_EQ(state_of(2), VersionState::kRetired);
  deploy(100);
  load(4);
  EXPECT_EQ(now().active->number, 4);
  EXPECT_FALSE(now().canary);
  EXPECT_EQ(state_of(3), VersionState::kRetired);
}

TEST_F(TrafficTest, CanaryThatFailsLeavesAllToTheActiveOne) {
  deploy(10);
  load(2);
  ASSERT_TRUE(registry_->fail_canary(id_, 1, "not the canary"));
  EXPECT_TRUE(now().canary);
  ASSERT_TRUE(registry_->fail_canary(id_, 2, "crashes"));
  const Function function = now();
  EXPECT_FALSE(function.canary);
  EXPECT_EQ(function.active->number, 1);
  EXPECT_EQ(function.status, FunctionStatus::kRunning);
  EXPECT_EQ(function.status_reason, "version 2 failed: crashes");
  EXPECT_EQ(refusal(2, 10), "version_not_loaded");
}

TEST_F(TrafficTest, RefusesWhatCannotGetCalls) {
  EXPECT_EQ(refusal(1, 50), "version_is_active");
  EXPECT_EQ(refusal(7, 50), "version_not_found");
  deploy(100);
  EXPECT_EQ(refusal(2, 50), "version_not_loaded");
  EXPECT_EQ(registry_->set_traffic("default", "nobody", 1, 50).error().reason, "function_not_found");
}

TEST_F(TrafficTest, CanaryIsKeptHoweverOld) {
  deploy(100);
  load(2);
  ASSERT_TRUE(set(1, 10));
  for (int i = 0; i < 5; ++i) deploy(100);
  EXPECT_EQ(now().canary->number, 1);
  EXPECT_EQ(registry_->find_version("default", "f", 3).error().reason, "version_not_found");
}

}  // namespace
}  // namespace sterna::registry
