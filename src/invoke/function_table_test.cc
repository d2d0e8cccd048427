#include "invoke/function_table.h"

#include <algorithm>

#include "invoke/testing/table_fixture.h"

namespace sterna::invoke {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): this folder's own fixture
using pool::testing::exit_code;
using pool::testing::exit_signal;
using registry::FunctionStatus;
using registry::VersionState;

TEST_F(TableTest, FunctionWithoutCodeSaysSo) {
  registry::Function empty = function(1, VersionState::kPending, 0);
  empty.newest.bundle.clear();
  table_.apply(empty);
  ASSERT_NE(admit(entry()), nullptr);
  EXPECT_NE(admit(entry())->detail.find("no code yet"), std::string_view::npos);
  EXPECT_EQ(admit(entry())->retry_after_seconds, 5U);
}

TEST_F(TableTest, NewFunctionIsLoadedThenActivated) {
  table_.apply(function(1, VersionState::kPending, 0));
  EXPECT_EQ(store_.last(), "building id-motion 1");
  ASSERT_EQ(launcher_.started(), 1U);
  ASSERT_NE(admit(entry()), nullptr);
  EXPECT_EQ(admit(entry())->reason, "function_not_running");
  EXPECT_NE(admit(entry())->retry_after_seconds, 0U);

  worker(0).ready(true);
  settle();
  EXPECT_EQ(store_.last(), "activate id-motion 1 async fake 1.0");
  table_.apply(running(1));
  EXPECT_EQ(admit(entry()), nullptr);
  const TestRun& run = invoke();
  answer(0, "one");
  EXPECT_EQ(run.body, "one");
  EXPECT_EQ(launcher_.started(), 1U);  // the worker that loaded it serves it
}

TEST_F(TableTest, NewsThatChangesNothingLoadsNothing) {
  table_.apply(function(1, VersionState::kPending, 0));
  table_.apply(function(1, VersionState::kBuilding, 0));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_EQ(store_.lines.size(), 1U);
}

TEST_F(TableTest, NoCodeYetLoadsNothing) {
  registry::Function empty = function(1, VersionState::kPending, 0);
  empty.newest.bundle.clear();
  table_.apply(empty);
  EXPECT_EQ(launcher_.started(), 0U);
  EXPECT_TRUE(store_.lines.empty());
}

TEST_F(TableTest, CodeThatNeedsABuildIsLoadedOnceItIsBuilt) {
  builder_.builds = true;
  table_.apply(function(1, VersionState::kPending, 0));
  EXPECT_EQ(builder_.lines, std::vector<std::string>{"build id-motion 1"});
  EXPECT_EQ(store_.last(), "building id-motion 1");
  table_.apply(function(1, VersionState::kBuilding, 0));
  EXPECT_EQ(builder_.lines.size(), 1U);
  EXPECT_EQ(launcher_.started(), 0U);

  registry::Function built = function(1, VersionState::kBuilding, 0);
  built.newest.layer = "layer";
  table_.apply(built);
  EXPECT_EQ(launcher_.started(), 1U);
}

TEST_F(TableTest, ABuildLeavesTheActiveVersionAlone) {
  registry::Function old = running(1);
  old.newest.layer = old.active->layer = "none";
  builder_.builds = true;
  table_.apply(old);
  table_.apply(function(2, VersionState::kPending, 1));
  EXPECT_EQ(builder_.lines, std::vector<std::string>{"build id-motion 2"});
  const TestRun& run = invoke();
  worker(0).ready();
  settle();
  answer(0, "old");
  EXPECT_EQ(run.body, "old");
  table_.apply(function(2, VersionState::kFailed, 1));
  EXPECT_EQ(launcher_.started(), 1U);
  EXPECT_EQ(builder_.lines.back(), "cancel id-motion");
}

TEST_F(TableTest, ABuildThatIsNotWantedAnyMoreIsCancelled) {
  builder_.builds = true;
  table_.apply(function(1, VersionState::kPending, 0));
  table_.apply(function(2, VersionState::kPending, 0));
  EXPECT_EQ(builder_.lines,
            (std::vector<std::string>{"build id-motion 1", "cancel id-motion", "build id-motion 2"}));
  table_.apply(stopped(2));
  EXPECT_EQ(builder_.lines.back(), "cancel id-motion");
  table_.apply(function(2, VersionState::kPending, 0));
  EXPECT_EQ(builder_.lines.back(), "build id-motion 2");
  table_.remove("id-motion");
  EXPECT_EQ(builder_.lines.back(), "cancel id-motion");
  EXPECT_EQ(launcher_.started(), 0U);
}

TEST_F(TableTest, NewVersionTakesOverWithoutAFailedCall) {
  table_.apply(running(1));
  const TestRun& old = invoke();
  worker(0).ready();
  settle();
  const auto request = worker(0).receive(wire::FrameType::kRequest).at(0);
  worker(0).begin(request);

  table_.apply(function(2, VersionState::kPending, 1));
  ASSERT_EQ(launcher_.started(), 2U);
  worker(1).ready();
  settle();
  EXPECT_EQ(store_.last(), "activate id-motion 2 sync fake 1.0");
  EXPECT_EQ(entry().active->config().version, 1U);  // until the registry says so
  const TestRun& waits = invoke();
  table_.apply(running(2));
  settle();
  answer(1, "two");
  EXPECT_EQ(waits.body, "two");
  EXPECT_TRUE(told_to_leave(0));
  worker(0).respond(request, "one", milliseconds(1));
  settle();
  EXPECT_EQ(old.body, "one");
  worker(0).exit(exit_code(0));
  pass(milliseconds(100));
  EXPECT_EQ(table_.workers(), 1U);
}

TEST_F(TableTest, CodeIsInUseUntilItsLastWorkerHasEnded) {
  const auto in_use = [&] {
    std::vector<std::string> folders = table_.code_in_use();
    std::ranges::sort(folders);
    return folders;
  };
  int left = 0;
  table_.on_left([&] { ++left; });
  table_.apply(running(1));
  invoke();
  worker(0).ready();
  settle();
  const auto request = worker(0).receive(wire::FrameType::kRequest).at(0);
  worker(0).begin(request);
  table_.apply(function(2, VersionState::kPending, 1));
  worker(1).ready();
  settle();
  table_.apply(running(2));
  pass(milliseconds(200));
  EXPECT_EQ(in_use(), (std::vector<std::string>{"bundle-1", "bundle-2"}));
  EXPECT_EQ(left, 0);
  worker(0).respond(request, "one", milliseconds(1));
  settle();
  worker(0).exit(exit_code(0));
  settle();
  EXPECT_EQ(in_use(), std::vector<std::string>{"bundle-2"});
  pass(milliseconds(200));
  EXPECT_EQ(left, 1);
}

TEST_F(TableTest, NewVersionThatFailsLeavesTheOldOne) {
  table_.apply(running(1));
  table_.apply(function(2, VersionState::kPending, 1));
  worker(0).load_failed("SyntaxError", "Traceback");
  settle();
  EXPECT_EQ(store_.last(), "fail id-motion 2 SyntaxError");
  EXPECT_EQ(logs_.back(), "motion platform : Traceback");
  worker(0).exit(exit_code(1));
  table_.apply(function(2, VersionState::kFailed, 1));
  EXPECT_FALSE(entry().candidate);
  const TestRun& run = invoke();
  worker(1).ready();
  settle();
  answer(1, "one");
  EXPECT_EQ(run.body, "one");
}

TEST_F(TableTest, VersionThatIsOvertakenWhileItLoadsIsDropped) {
  table_.apply(function(1, VersionState::kPending, 0));
  table_.apply(function(2, VersionState::kPending, 0));
  EXPECT_TRUE(worker(0).killed());
  EXPECT_EQ(entry().candidate->config().version, 2U);
  worker(0).ready();
  settle();
  EXPECT_EQ(store_.last(), "building id-motion 2");  // the old one's news is nobody's
}

TEST_F(TableTest, RollbackStartsTheOlderVersionAnew) {
  table_.apply(running(2));
  invoke();
  worker(0).ready();
  settle();
  answer(0, "two");
  registry::Function back = function(2, VersionState::kRetired, 1);
  table_.apply(back);
  settle();
  EXPECT_TRUE(told_to_leave(0));
  EXPECT_EQ(entry().active->config().version, 1U);
  const TestRun& run = invoke();
  worker(1).ready();
  settle();
  answer(1, "one");
  EXPECT_EQ(run.body, "one");
}

TEST_F(TableTest, StopLetsRunsEndAndStartServesAgain) {
  table_.apply(running(1));
  const TestRun& runs = invoke();
  worker(0).ready();
  settle();
  const auto request = worker(0).receive(wire::FrameType::kRequest).at(0);
  worker(0).begin(request);
  const TestRun& waits = invoke();
  table_.apply(stopped(1));
  EXPECT_EQ(waits.failure, "function_not_running");
  ASSERT_NE(admit(entry()), nullptr);
  EXPECT_EQ(admit(entry())->retry_after_seconds, 0U);
  worker(0).respond(request, "done", milliseconds(1));
  settle();
  EXPECT_EQ(runs.body, "done");

  table_.apply(running(1));
  EXPECT_EQ(admit(entry()), nullptr);
  const TestRun& again = invoke();
  worker(1).ready();
  settle();
  answer(1, "again");
  EXPECT_EQ(again.body, "again");
}

TEST_F(TableTest, GaugesOfAStoppedFunctionAreZero) {
  const auto replicas = [&]() -> std::vector<double> {
    std::vector<double> values;
    table_.update_gauges();
    for (const auto& family : prometheus_.Collect()) {
      if (family.name != "sterna_function_replicas") continue;
      for (const auto& metric : family.metric) values.push_back(metric.gauge.value);
    }
    return values;
  };
  table_.apply(stopped(1));
  EXPECT_TRUE(replicas().empty());
  table_.apply(running(1));
  invoke();
  worker(0).ready();
  settle();
  EXPECT_EQ(replicas(), std::vector<double>{1});
  table_.apply(stopped(1));
  EXPECT_EQ(replicas(), std::vector<double>{0});
  answer(0, "done");
}

TEST_F(TableTest, RemoveEndsEverything) {
  table_.apply(running(1));
  const TestRun& run = invoke();
  table_.remove("id-motion");
  EXPECT_EQ(run.failure, "function_not_running");
  EXPECT_EQ(table_.find("default", "motion"), nullptr);
  EXPECT_EQ(table_.find_id("id-motion"), nullptr);
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_TRUE(worker(0).killed());
  worker(0).exit(exit_signal(9));
  pass(milliseconds(100));
  EXPECT_TRUE(table_.idle());
  table_.remove("id-motion");  // unknown ones are ignored
}

TEST_F(TableTest, RemoveEndsRunsOfAStoppedFunctionToo) {
  table_.apply(running(1));
  const TestRun& run = invoke();
  worker(0).ready();
  settle();
  worker(0).begin(worker(0).receive(wire::FrameType::kRequest).at(0));
  table_.apply(stopped(1));
  EXPECT_FALSE(run.failure);
  table_.remove("id-motion");
  EXPECT_EQ(run.failure, "function_not_running");
  EXPECT_TRUE(worker(0).killed());
}

TEST_F(TableTest, NameOfARemovedFunctionIsFreeForTheNext) {
  table_.apply(running(1));
  registry::Function next = running(1);
  next.id = "id-next";
  table_.apply(next);  // the news of the new one may come first
  table_.remove("id-motion");
  ASSERT_NE(table_.find("default", "motion"), nullptr);
  EXPECT_EQ(entry().id, "id-next");
}

TEST_F(TableTest, CrashingFunctionIsFailedUntilItLoadsAgain) {
  table_.apply(running(1));
  for (std::size_t crash = 0; crash < 3; ++crash) {
    invoke();
    ASSERT_EQ(launcher_.started(), crash + 1);
    worker(crash).load_failed("ImportError", "");
    settle();
    worker(crash).exit(exit_code(1));
    if (crash < 2) runs_.pop_back();
    pass(milliseconds(200));
  }
  EXPECT_EQ(store_.last(), "failed id-motion 1 ImportError");
  EXPECT_EQ(entry().status, FunctionStatus::kFailed);
  ASSERT_NE(admit(entry()), nullptr);
  std::string told;
  table_.on_running([&](const std::string& id) { told = id; });

  pass(seconds(2));
  worker(launcher_.started() - 1).ready();
  settle();
  EXPECT_EQ(store_.last(), "running id-motion 1");
  EXPECT_EQ(admit(entry()), nullptr);
  EXPECT_EQ(told, "id-motion");
}

TEST_F(TableTest, FunctionThatFailedUnderAnEarlierServerIsTriedOnce) {
  registry::Function failed = running(1);
  failed.status = FunctionStatus::kFailed;
  table_.apply(failed);
  pass(milliseconds(100));
  ASSERT_EQ(launcher_.started(), 1U);
  ASSERT_NE(admit(entry()), nullptr);
  worker(0).ready();
  settle();
  EXPECT_EQ(store_.last(), "running id-motion 1");
  EXPECT_EQ(admit(entry()), nullptr);
}

TEST_F(TableTest, NewsOfAFailureThatIsOverDoesNotStay) {
  table_.apply(running(1));
  invoke();
  worker(0).ready();
  settle();
  registry::Function failed = running(1);
  failed.status = FunctionStatus::kFailed;
  table_.apply(failed);
  EXPECT_EQ(store_.last(), "running id-motion 1");
  EXPECT_EQ(admit(entry()), nullptr);
}

TEST_F(TableTest, NewsOfAFailureDoesNotStayWhereAnotherPoolWaitsForCalls) {
  table_.apply(running(1));
  registry::Function failed = running(1);
  failed.status = FunctionStatus::kFailed;
  table_.apply(failed);
  EXPECT_EQ(store_.last(), "running id-motion 1");
  EXPECT_EQ(admit(entry()), nullptr);
}

TEST_F(TableTest, RefusedFunctionIsFailedWithoutACall) {
  refusal_ = "not on this server";
  table_.apply(running(1));
  pass(milliseconds(100));
  EXPECT_EQ(store_.last(), "failed id-motion 1 not on this server");
  EXPECT_EQ(entry().status_reason, "not on this server");
  ASSERT_NE(admit(entry()), nullptr);
  table_.apply(function(1, VersionState::kPending, 0, "next"));
  EXPECT_EQ(store_.last(), "fail id-next 1 not on this server");
  EXPECT_EQ(launcher_.started(), 0U);
}

TEST_F(TableTest, IdleWorkerOfOneFunctionGivesWayToAnother) {
  for (const char* name : {"one", "two", "three"}) table_.apply(running(1, name));
  for (std::size_t i = 0; i < 2; ++i) {
    invoke(i == 0 ? "one" : "two");
    worker(i).ready();
    settle();
    answer(i, "");
    pass(seconds(1));
  }
  invoke("three");
  ASSERT_EQ(launcher_.started(), 3U);
  EXPECT_TRUE(told_to_leave(0));  // idle for longest
  EXPECT_FALSE(told_to_leave(1));
}

TEST_F(TableTest, FunctionsThatRestAreNotLookedAt) {
  for (const char* name : {"one", "two", "three"}) table_.apply(running(1, name));
  pass(milliseconds(100));
  EXPECT_EQ(table_.live_pools(), 0U);
  const TestRun& run = invoke("two");
  EXPECT_EQ(table_.live_pools(), 1U);
  worker(0).ready();
  settle();
  answer(0, "two");
  EXPECT_EQ(run.body, "two");
  pass(seconds(299));
  EXPECT_EQ(table_.live_pools(), 1U);  // its worker must be stopped some day
  pass(seconds(2));
  EXPECT_TRUE(told_to_leave(0));
  worker(0).exit(exit_code(0));
  pass(milliseconds(100));
  EXPECT_EQ(table_.live_pools(), 0U);
}

TEST_F(TableTest, EvictionSparesAVersionThatHasJustLoaded) {
  table_.apply(function(1, VersionState::kPending, 0, "fresh"));
  worker(0).ready();
  settle();
  table_.apply(running(1, "old"));
  invoke("old");
  worker(1).ready();
  settle();
  answer(1, "");
  table_.apply(running(1, "next"));
  invoke("next");
  EXPECT_FALSE(told_to_leave(0));
  EXPECT_TRUE(told_to_leave(1));
}

TEST_F(TableTest, TellsWhichFunctionsTakeCallsAndWhichAreGone) {
  std::vector<std::string> told;
  table_.on_running([&](const std::string& id) { told.push_back("running " + id); });
  table_.on_remove([&](const std::string& id) { told.push_back("removed " + id); });
  table_.apply(function(1, VersionState::kPending, 0));
  worker(0).ready();
  settle();
  EXPECT_TRUE(told.empty());
  table_.apply(running(1));
  EXPECT_EQ(told, std::vector<std::string>{"running id-motion"});
  table_.apply(stopped(1));
  EXPECT_EQ(told.size(), 1U);
  table_.remove("id-motion");
  table_.remove("id-motion");
  EXPECT_EQ(told, (std::vector<std::string>{"running id-motion", "removed id-motion"}));
}

TEST_F(TableTest, SpacesAreKnown) {
  EXPECT_EQ(table_.find_space("home"), nullptr);
  table_.remove_space("home");
  table_.set_space({.spec = {.name = "home", .callback_allow = {}}, .created_at = {}, .signing = {}});
  const auto before = table_.find_space("home");
  ASSERT_NE(before, nullptr);
  table_.set_space(
      {.spec = {.name = "home", .callback_allow = {"10.0.0.0/8"}}, .created_at = {}, .signing = {}});
  EXPECT_EQ(table_.find_space("home")->spec.callback_allow.size(), 1U);
  EXPECT_TRUE(before->spec.callback_allow.empty());  // who holds the old one is not disturbed
  table_.remove_space("home");
  EXPECT_EQ(table_.find_space("home"), nullptr);
}

TEST_F(TableTest, SpacesHaveTheirOwnLimitsOrTheServers) {
  api::Quota quota;
  quota.replicas = 3;
  table_.set_space_defaults({.requests_per_second = 5.0, .burst = {}, .bytes_per_second = {}}, quota);
  table_.apply(running(1));  // before its space is known
  registry::Space space;
  space.spec.name = table_.find_id("id-motion")->space;
  table_.set_space(space);
  const SpaceUse& use = *table_.find_id("id-motion")->in_space;
  ASSERT_NE(use.meter, nullptr);
  EXPECT_EQ(use.share->max_replicas, 3U);
  EXPECT_EQ(use.max_backlog, std::nullopt);
  space.spec.rate_limit.requests_per_second = 0;
  space.spec.quota.replicas = 0;
  space.spec.quota.memory_mb = 2;
  space.spec.quota.backlog = 7;
  table_.set_space(space);
  EXPECT_EQ(use.meter, nullptr);
  EXPECT_EQ(use.share->max_replicas, 0U);
  EXPECT_EQ(use.share->max_memory_bytes, 2U << 20U);
  EXPECT_EQ(use.max_backlog, 7U);
}

TEST_F(TableTest, CancelledInvocationIsCountedAndLogged) {
  table_.apply(running(1));
  TestRun& run = invoke();
  run.invocation.cancel();
  run.invocation.cancel();  // nothing more
  EXPECT_FALSE(run.failure);
  EXPECT_EQ(entry().metrics->invocations(), 1U);
  EXPECT_NE(logs_.back().find("call-1: the caller went away"), std::string::npos);
}

TEST_F(TableTest, TimingsTellTheColdStartApart) {
  table_.apply(running(1));
  const TestRun& cold = invoke();
  clock_.advance(milliseconds(30));
  worker(0).ready();
  settle();
  answer(0, "");
  EXPECT_TRUE(cold.invocation.timings().was_cold);
  EXPECT_EQ(cold.invocation.timings().cold, milliseconds(30));
  EXPECT_EQ(cold.invocation.timings().queued, Duration::zero());
  EXPECT_EQ(cold.invocation.timings().run, milliseconds(1));
  EXPECT_EQ(cold.invocation.timings().total(), milliseconds(31));
  EXPECT_EQ(cold.invocation.instance(), worker(0).instance());
  const TestRun& warm = invoke();
  answer(0, "");
  EXPECT_FALSE(warm.invocation.timings().was_cold);
  EXPECT_EQ(warm.invocation.timings().cold, Duration::zero());
}

}  // namespace
}  // namespace sterna::invoke
