#include "invoke/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "invoke/failures.h"

namespace sterna::invoke {
namespace {

using pool::Failure;

struct Row {
  Failure failure;
  unsigned status;
  std::string_view reason;
  Fault fault;
};

// The table of SPEC 2.
TEST(Failures, Table) {
  const Row rows[] = {
      {Failure::kRaised, 500, "function_raised", Fault::kFunction},
      {Failure::kBadResponse, 502, "bad_function_response", Fault::kFunction},
      {Failure::kWorkerDied, 502, "worker_died", Fault::kFunction},
      {Failure::kOutOfMemory, 502, "out_of_memory", Fault::kFunction},
      {Failure::kTimeout, 504, "function_timeout", Fault::kFunction},
      {Failure::kNoCapacity, 429, "no_capacity", Fault::kPlatform},
      {Failure::kSpaceFull, 429, "no_capacity", Fault::kPlatform},
      {Failure::kServerFull, 429, "no_capacity", Fault::kPlatform},
      {Failure::kLoading, 429, "no_capacity", Fault::kPlatform},
      {Failure::kEndsAtStart, 429, "no_capacity", Fault::kPlatform},
      {Failure::kCannotStart, 503, "cannot_start_worker", Fault::kPlatform},
      {Failure::kNotRunning, 503, "function_not_running", Fault::kPlatform},
      {Failure::kStopped, 503, "function_not_running", Fault::kPlatform},
      {Failure::kCancelled, 499, "cancelled", Fault::kPlatform},
  };
  for (const Row& row : rows) {
    const FailureInfo& info = info_of(row.failure);
    EXPECT_EQ(info.status, row.status) << row.reason;
    EXPECT_EQ(info.reason, row.reason);
    EXPECT_EQ(info.fault, row.fault) << row.reason;
    EXPECT_FALSE(info.detail.empty()) << row.reason;
    EXPECT_EQ(info.retry_after_seconds > 0, row.status == 429 || row.status == 503) << row.reason;
  }
}

class MetricsTest : public ::testing::Test {
 protected:
  // The series of a family, as "label=value,... number".
  std::vector<std::string> series(const std::string& family_name) {
    std::vector<std::string> found;
    for (const auto& family : registry_.Collect()) {
      if (family.name != family_name) continue;
      for (const auto& metric : family.metric) {
        std::string line;
        for (const auto& label : metric.label) line += label.name + "=" + label.value + " ";
        const double value = family.type == prometheus::MetricType::Counter ? metric.counter.value
                             : family.type == prometheus::MetricType::Gauge
                                 ? metric.gauge.value
                                 : static_cast<double>(metric.histogram.sample_count);
        found.push_back(line + std::to_string(static_cast<int>(value)));
      }
    }
    std::ranges::sort(found);
    return found;
  }

  prometheus::Registry registry_;
  InvocationMetrics metrics_{registry_};
};

TEST_F(MetricsTest, SeriesBeginWithTheFirstCall) {
  const auto function = metrics_.of("home", "motion");
  EXPECT_TRUE(series("sterna_invocations_total").empty());
  function->answered(std::chrono::milliseconds(2));
  function->answered(std::chrono::milliseconds(3));
  function->failed(Failure::kTimeout, std::chrono::seconds(30));
  function->failed(Failure::kCancelled, {});
  EXPECT_EQ(function->invocations(), 4U);
  EXPECT_EQ(series("sterna_invocations_total"),
            (std::vector<std::string>{"function=motion outcome=answered space=home 2",
                                      "function=motion outcome=cancelled space=home 1",
                                      "function=motion outcome=function_timeout space=home 1"}));
  // Who went away did not wait for the end: that says nothing of how long runs take.
  EXPECT_EQ(series("sterna_invocation_duration_seconds"),
            std::vector<std::string>{"function=motion space=home 3"});
}

TEST_F(MetricsTest, EveryFailureIsCounted) {
  const auto function = metrics_.of("home", "motion");
  for (std::size_t i = 0; i < pool::kFailures; ++i) function->failed(static_cast<Failure>(i), {});
  EXPECT_EQ(function->invocations(), pool::kFailures);
  const auto counted = series("sterna_invocations_total");
  EXPECT_EQ(counted.size(), pool::kFailures - 1);
  EXPECT_TRUE(std::ranges::count(counted, "function=motion outcome=cannot_start_worker space=home 1"));
  // Of a call that waits and of one that runs.
  EXPECT_TRUE(std::ranges::count(counted, "function=motion outcome=function_not_running space=home 2"));
  metrics_.remove(*function);
  EXPECT_TRUE(series("sterna_invocations_total").empty());
}

TEST_F(MetricsTest, RemovedFunctionsLeaveNoSeries) {
  const auto one = metrics_.of("home", "one");
  const auto two = metrics_.of("home", "two");
  for (FunctionMetrics* function : {one.get(), two.get()}) {
    function->answered({});
    metrics_.set_gauges(*function, 1, 2, 3);
  }
  metrics_.remove(*one);
  for (const char* family :
       {"sterna_invocations_total", "sterna_invocation_duration_seconds", "sterna_function_replicas",
        "sterna_function_waiting", "sterna_function_running"}) {
    const auto left = series(family);
    ASSERT_EQ(left.size(), 1U) << family;
    EXPECT_TRUE(left[0].starts_with("function=two ")) << left[0];
  }
  EXPECT_EQ(series("sterna_function_waiting"), std::vector<std::string>{"function=two space=home 2"});
}

}  // namespace
}  // namespace sterna::invoke
