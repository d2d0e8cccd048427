#include <gtest/gtest.h>

#include "registry/registry.h"

namespace sterna::registry {
namespace {

class VersionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_ = std::move(*Registry::open(":memory:", clock_));
    spec_.name = "f";
    id_ = registry_->create("default", spec_, "h1")->id;
  }

  Function now() { return *registry_->find(id_); }
  Saved update(const std::optional<std::string>& bundle) {
    return *registry_->update("default", "f", spec_, bundle);
  }

  ManualClock clock_;
  std::unique_ptr<Registry> registry_;
  api::FunctionSpec spec_;
  std::string id_;
};

TEST_F(VersionsTest, LoadingGoesFromPendingToRunning) {
  ASSERT_TRUE(registry_->set_building(id_, 1));
  EXPECT_EQ(now().status, FunctionStatus::kBuilding);
  ASSERT_TRUE(registry_->activate(id_, 1, true, "python 3.11.2"));
  const Function function = now();
  EXPECT_EQ(function.status, FunctionStatus::kRunning);
  ASSERT_TRUE(function.active);
  EXPECT_EQ(function.active->state, VersionState::kActive);
  EXPECT_EQ(function.active->handler_async, true);
  EXPECT_EQ(function.active->runtime, "python 3.11.2");
  EXPECT_FALSE(function.wants_loading());
}

TEST_F(VersionsTest, UpdateKeepsTheOldOneRunningUntilTheNewOneIsLoaded) {
  ASSERT_TRUE(registry_->activate(id_, 1, true, "python"));
  spec_.description = "new";
  update("h2");
  Function function = now();
  EXPECT_EQ(function.status, FunctionStatus::kRunning);
  EXPECT_EQ(function.newest.number, 2);
  EXPECT_EQ(function.newest.bundle, "h2");
  EXPECT_EQ(function.newest.handler_async, std::nullopt);
  EXPECT_EQ(function.active->number, 1);
  EXPECT_TRUE(function.wants_loading());
  ASSERT_TRUE(registry_->activate(id_, 2, false, "python"));
  function = now();
  EXPECT_EQ(function.active->number, 2);
  const auto versions = registry_->list_versions("default", "f", {});
  ASSERT_EQ(versions->items.size(), 2U);
  EXPECT_EQ(versions->items[1].state, VersionState::kRetired);
}

TEST_F(VersionsTest, VersionWithoutCodeCannotBeMadeToRun) {
  api::FunctionSpec spec;
  spec.name = "g";
  ASSERT_TRUE(registry_->create("default", spec, ""));
  EXPECT_EQ(registry_->start("default", "g").error().reason, "version_has_no_code");
  const std::string id = registry_->update("default", "g", spec, "h")->function.id;
  ASSERT_TRUE(registry_->activate(id, 2, false, "python"));
  EXPECT_EQ(registry_->rollback("default", "g", 1).error().reason, "version_has_no_code");
  EXPECT_EQ(registry_->set_traffic("default", "g", 1, 100).error().reason, "version_has_no_code");
  const Function after = *registry_->find(id);
  EXPECT_EQ(after.newest.number, 2);  // nothing was made
  EXPECT_EQ(after.status, FunctionStatus::kRunning);
  EXPECT_TRUE(registry_->start("default", "g"));
}

TEST_F(VersionsTest, SameCodeKeepsWhatIsKnownAboutTheHandler) {
  ASSERT_TRUE(registry_->activate(id_, 1, true, "python"));
  update(std::nullopt);
  EXPECT_EQ(now().newest.bundle, "h1");
  EXPECT_EQ(now().newest.handler_async, true);
}

TEST_F(VersionsTest, WhatWasBuiltStaysGoodForTheSameCode) {
  EXPECT_EQ(now().newest.layer, "");
  ASSERT_TRUE(registry_->set_layer(id_, 1, "layer"));
  EXPECT_EQ(now().newest.layer, "layer");
  EXPECT_EQ(now().newest.state, VersionState::kPending);
  EXPECT_EQ(*registry_->layers(), (std::vector<std::pair<std::string, std::string>>{{"h1", "layer"}}));
  spec_.env["A"] = "b";
  EXPECT_EQ(update(std::nullopt).function.newest.layer, "layer");
  EXPECT_EQ(update("h1").function.newest.layer, "layer");
  EXPECT_EQ(update("h2").function.newest.layer, "");
  ASSERT_TRUE(registry_->set_layer(id_, 4, kNoLayer));
  EXPECT_EQ(registry_->layers()->size(), 1U);
  EXPECT_EQ(registry_->rollback("default", "f", 1)->function.newest.layer, "layer");
  spec_.template_name = "python3.12-http";
  EXPECT_EQ(update(std::nullopt).function.newest.layer, "");
  EXPECT_EQ(registry_->set_layer(id_, 99, "x").error().reason, "version_not_found");
}

TEST_F(VersionsTest, FailedFirstVersionFailsTheFunctionAndStartTriesAgain) {
  ASSERT_TRUE(registry_->fail_version(id_, 1, "SyntaxError"));
  EXPECT_EQ(now().status, FunctionStatus::kFailed);
  EXPECT_EQ(now().status_reason, "SyntaxError");
  EXPECT_FALSE(now().wants_loading());
  EXPECT_EQ(registry_->start("default", "f")->status, FunctionStatus::kPending);
  EXPECT_TRUE(now().wants_loading());
}

TEST_F(VersionsTest, FailedUpdateLeavesTheOldOneRunning) {
  ASSERT_TRUE(registry_->activate(id_, 1, false, "python"));
  update("h2");
  ASSERT_TRUE(registry_->fail_version(id_, 2, "SyntaxError"));
  EXPECT_EQ(now().status, FunctionStatus::kRunning);
  EXPECT_EQ(now().status_reason, "version 2 failed: SyntaxError");
  EXPECT_EQ(registry_->start("default", "f")->newest.state, VersionState::kFailed);
}

TEST_F(VersionsTest, CrashLoopFailsTheFunctionUntilItRunsAgain) {
  ASSERT_TRUE(registry_->activate(id_, 1, false, "python"));
  ASSERT_TRUE(registry_->set_failed(id_, 1, "exits with 3"));
  EXPECT_EQ(now().status, FunctionStatus::kFailed);
  EXPECT_EQ(now().status_reason, "exits with 3");
  ASSERT_TRUE(registry_->set_running(id_, 1));
  EXPECT_EQ(now().status, FunctionStatus::kRunning);
  ASSERT_TRUE(registry_->set_failed(id_, 1, ""));
  EXPECT_EQ(now().status, FunctionStatus::kFailed);
  EXPECT_EQ(registry_->start("default", "f")->status, FunctionStatus::kRunning);
}

TEST_F(VersionsTest, NewVersionEndsACrashLoop) {
  ASSERT_TRUE(registry_->activate(id_, 1, false, "python"));
  ASSERT_TRUE(registry_->set_failed(id_, 1, "crashes"));
  update("h2");
  EXPECT_TRUE(now().wants_loading());
  ASSERT_TRUE(registry_->activate(id_, 2, false, "python"));
  EXPECT_EQ(now().status, FunctionStatus::kRunning);
  ASSERT_TRUE(registry_->set_failed(id_, 1, "crashed once more"));
  EXPECT_EQ(now().status, FunctionStatus::kRunning);
  ASSERT_TRUE(registry_->set_failed(id_, 2, "crashes, too"));
  ASSERT_TRUE(registry_->set_running(id_, 1));
  EXPECT_EQ(now().status, FunctionStatus::kFailed);
}

TEST_F(VersionsTest, LateNewsOfSupersededVersionsDoesNoHarm) {
  ASSERT_TRUE(registry_->set_building(id_, 1));
  update("h2");
  ASSERT_TRUE(registry_->fail_version(id_, 1, "too late"));
  EXPECT_EQ(now().status, FunctionStatus::kPending);
  ASSERT_TRUE(registry_->activate(id_, 1, false, "python"));  // better the old one than none
  EXPECT_EQ(now().active->number, 1);
  ASSERT_TRUE(registry_->activate(id_, 2, false, "python"));
  EXPECT_EQ(registry_->activate(id_, 1, false, "python").error().reason, "version_superseded");
  EXPECT_EQ(registry_->activate(id_, 9, false, "python").error().reason, "version_not_found");
  EXPECT_EQ(registry_->set_building("nobody", 1).error().reason, "function_not_found");
  ASSERT_TRUE(registry_->fail_version(id_, 2, "it is active already"));
  EXPECT_EQ(now().status, FunctionStatus::kRunning);
}

TEST_F(VersionsTest, RollbackAddsAVersionWithTheOldSpecAndCode) {
  ASSERT_TRUE(registry_->activate(id_, 1, true, "python"));
  spec_.description = "second";
  update("h2");
  auto back = registry_->rollback("default", "f", 1);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->function.newest.number, 3);
  EXPECT_EQ(back->function.newest.bundle, "h1");
  EXPECT_EQ(back->function.newest.spec.description, "");
  EXPECT_EQ(back->function.newest.state, VersionState::kPending);
  EXPECT_EQ(registry_->rollback("default", "f", 7).error().reason, "version_not_found");
}

TEST_F(VersionsTest, KeepsTheNewestTenAndTheActiveOne) {
  ASSERT_TRUE(registry_->activate(id_, 1, false, "python"));
  Orphans orphans;
  for (int i = 2; i <= 13; ++i) {
    const Saved saved = update("h" + std::to_string(i));
    orphans.insert(orphans.end(), saved.orphans.begin(), saved.orphans.end());
  }
  const auto versions = registry_->list_versions("default", "f", {.limit = 500, .after = ""});
  ASSERT_EQ(versions->items.size(), 11U);
  EXPECT_EQ(versions->items.front().number, 13);
  EXPECT_EQ(versions->items[9].number, 4);
  EXPECT_EQ(versions->items.back().number, 1);
  EXPECT_EQ(orphans, (Orphans{"h2", "h3"}));
}

TEST_F(VersionsTest, KeepsAsManyAsTheServerIsTold) {
  registry_ = std::move(*Registry::open(":memory:", clock_, 2));
  ASSERT_TRUE(registry_->create("default", spec_, "h1"));
  EXPECT_TRUE(update("h2").orphans.empty());
  EXPECT_EQ(update("h3").orphans, Orphans{"h1"});
  EXPECT_EQ(registry_->find_version("default", "f", 1).error().reason, "version_not_found");
  EXPECT_EQ(registry_->find_version("default", "f", 2)->bundle, "h2");
  EXPECT_EQ(registry_->find_version("default", "g", 2).error().reason, "function_not_found");
}

TEST_F(VersionsTest, ListsInPages) {
  update("h2");
  update("h3");
  auto first = registry_->list_versions("default", "f", {.limit = 2, .after = ""});
  ASSERT_EQ(first->items.size(), 2U);
  EXPECT_EQ(first->items[0].number, 3);
  auto second = registry_->list_versions("default", "f", *api::parse_page("2", first->next_cursor));
  ASSERT_EQ(second->items.size(), 1U);
  EXPECT_EQ(second->items[0].number, 1);
  EXPECT_EQ(registry_->list_versions("default", "f", {.limit = 2, .after = "x"}).error().reason,
            "bad_cursor");
}

}  // namespace
}  // namespace sterna::registry
