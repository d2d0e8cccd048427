#include "server/run_record.h"

#include <gtest/gtest.h>

#include "api/json.h"

namespace sterna::server {
namespace {

using std::chrono::milliseconds;

invoke::EndedRun cold_run() {
  return {.call_id = "01M8",
          .instance = "01M9",
          .version = 3,
          .method = "GET",
          .path = "/a b",
          .query = "c=1",
          .status = 200,
          .reason = {},
          .timings = {
              .queued = milliseconds(1), .cold = milliseconds(40), .run = milliseconds(2), .was_cold = true}};
}

TEST(RunRecord, TellsWhatRanAndHowLongItTook) {
  const logs::Record record = run_record("motion", cold_run(), WallTime{});
  EXPECT_EQ(record.text, "GET /a b?c=1 200 in 43.0 ms, cold start 40.0 ms");
  const api::Json shown = api::Json::parse(to_ndjson(record));
  EXPECT_EQ(shown["stream"], "invocation");
  EXPECT_EQ(shown["call_id"], "01M8");
  const api::Json& run = shown["invocation"];
  EXPECT_EQ(run["status"], 200);
  EXPECT_EQ(run["version"], 3);
  EXPECT_TRUE(run["reason"].is_null());
  EXPECT_TRUE(run["cold"].get<bool>());
  EXPECT_DOUBLE_EQ(run["duration_seconds"].get<double>(), 0.043);
  EXPECT_DOUBLE_EQ(run["run_seconds"].get<double>(), 0.002);
}

TEST(RunRecord, TellsWhyThereIsNoAnswer) {
  invoke::EndedRun run = cold_run();
  run.status = 0;
  run.reason = "cancelled";
  run.version = 0;
  run.timings = {};
  const logs::Record record = run_record("motion", run, WallTime{});
  EXPECT_EQ(record.text, "GET /a b?c=1 cancelled in 0.0 ms");
  const api::Json shown = api::Json::parse(record.invocation);
  EXPECT_TRUE(shown["status"].is_null());
  EXPECT_TRUE(shown["version"].is_null());
  EXPECT_EQ(shown["reason"], "cancelled");
}

TEST(RunRecord, CutsLongPathsAndTakesAnyBytes) {
  invoke::EndedRun run = cold_run();
  const std::string path = "/\xff" + std::string(10'000, 'x');
  run.path = path;
  const logs::Record record = run_record("motion", run, WallTime{});
  EXPECT_LT(to_ndjson(record).size(), 10'000U);
  EXPECT_TRUE(api::Json::accept(to_ndjson(record)));
}

}  // namespace
}  // namespace sterna::server
