#include "gateway/health.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <nlohmann/json.hpp>

namespace sterna::gateway {
namespace {

using std::chrono::seconds;

class HealthTest : public ::testing::Test {
 protected:
  static Trouble full(Severity severity = Severity::kDegraded) {
    return {.component = "queue", .reason = "disk_full", .detail = "no space", .severity = severity};
  }
  nlohmann::json json() const { return nlohmann::json::parse(health_.to_json()); }
  std::string metrics() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }
  bool has(std::string_view line) const {
    return metrics().find(std::string(line) + "\n") != std::string::npos;
  }

  ManualClock clock_;
  prometheus::Registry registry_;
  Health health_{clock_, registry_};
};

TEST_F(HealthTest, NothingIsWrongAtFirst) {
  EXPECT_TRUE(health_.is_ready());
  EXPECT_EQ(json(), nlohmann::json::parse(R"({"status":"ready","problems":[]})"));
  EXPECT_TRUE(has("sterna_ready 1"));
}

TEST_F(HealthTest, TroubleStandsThereFromItsBeginToItsEnd) {
  health_.update("disk", {full()});
  const auto since = json()["problems"][0]["since"];
  clock_.advance(seconds(5));
  health_.update("disk", {full()});
  EXPECT_TRUE(health_.is_ready());
  EXPECT_EQ(json()["status"], "degraded");
  EXPECT_EQ(
      json()["problems"],
      nlohmann::json::parse(R"([{"component":"queue","reason":"disk_full","detail":"no space","since":)" +
                            since.dump() + "}]"));
  EXPECT_TRUE(has(R"(sterna_problem{component="queue",reason="disk_full"} 1)"));
  clock_.advance(Health::kCalm);
  health_.update("disk", {});
  EXPECT_EQ(json()["status"], "ready");
  EXPECT_TRUE(has(R"(sterna_problem{component="queue",reason="disk_full"} 0)"));
}

TEST_F(HealthTest, WhatComesAndGoesIsOneTrouble) {
  health_.update("disk", {full()});
  const auto since = json()["problems"][0]["since"];
  for (int i = 0; i < 4; ++i) {
    clock_.advance(Health::kCalm - seconds(1));
    health_.update("disk", {});
    health_.update("disk", {full()});
  }
  EXPECT_EQ(json()["problems"][0]["since"], since);
}

TEST_F(HealthTest, OneSourceDoesNotEndWhatAnotherSees) {
  health_.update("disk", {full()});
  health_.update("writes", {full()});
  clock_.advance(Health::kCalm);
  health_.update("writes", {full()});
  health_.update("disk", {});
  EXPECT_EQ(json()["problems"].size(), 1U);
  EXPECT_TRUE(has(R"(sterna_problem{component="queue",reason="disk_full"} 1)"));
}

TEST_F(HealthTest, SomeTroublesMeanThatItIsNotReady) {
  health_.update("disk", {full(Severity::kNotReady)});
  EXPECT_FALSE(health_.is_ready());
  EXPECT_EQ(json()["status"], "not_ready");
  EXPECT_TRUE(has("sterna_ready 0"));
}

TEST_F(HealthTest, DrainingIsOne) {
  health_.drain("the server ends");
  EXPECT_FALSE(health_.is_ready());
  EXPECT_EQ(json()["problems"][0]["reason"], "draining");
}

}  // namespace
}  // namespace sterna::gateway
