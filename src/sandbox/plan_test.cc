#include "sandbox/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sterna::sandbox {
namespace {

SandboxPlan good() {
  SandboxPlan plan;
  plan.bundle_dir = "/data/bundles/1";
  plan.host_uid = 200'001;
  plan.host_gid = 200'002;
  plan.network = Network::kEgress;
  plan.egress.only = {parse_ip_range("10.1.0.0/16").value(), parse_ip_range("2606:4700::1").value()};
  plan.egress.may_open = {parse_ip_range("10.0.0.0/8").value()};
  plan.cpus = 0.5;
  plan.may_pause = true;
  return plan;
}

TEST(SandboxPlan, SurvivesJson) {
  const auto read = plan_from_json(to_json(good()));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read, good());
}

TEST(SandboxPlan, MissingMembersHaveDefaults) {
  const auto read = plan_from_json({{"bundle_dir", "/b"}, {"host_uid", 7U}, {"host_gid", 7U}});
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->memory_bytes, 128 * kMiB);
  EXPECT_EQ(read->tmp_bytes, 64 * kMiB);
  EXPECT_EQ(read->network, Network::kNone);
}

struct Fault {
  const char* member;
  nlohmann::json value;
};

class BadPlan : public ::testing::TestWithParam<Fault> {};

TEST_P(BadPlan, IsRefusedNamingTheField) {
  auto json = to_json(good());
  json[GetParam().member] = GetParam().value;
  const auto read = plan_from_json(json);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kInvalid);
  EXPECT_EQ(read.error().reason, "bad_sandbox_plan");
  const std::string field = GetParam().member == std::string_view("unknown") ? "plan" : GetParam().member;
  EXPECT_TRUE(read.error().detail.starts_with(field)) << read.error().detail;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPlan,
    ::testing::Values(Fault{"bundle_dir", "relative"}, Fault{"bundle_dir", "/"}, Fault{"bundle_dir", 3},
                      Fault{"host_uid", 0}, Fault{"host_gid", 0}, Fault{"host_uid", -1},
                      Fault{"host_uid", 1ULL << 33}, Fault{"memory_bytes", 1}, Fault{"memory_bytes", "128"},
                      Fault{"cpus", 0}, Fault{"cpus", "1"}, Fault{"max_pids", 0}, Fault{"tmp_bytes", 1},
                      Fault{"max_open_files", 3}, Fault{"egress_only", "10.0.0.0/8"},
                      Fault{"egress_only", {"x"}}, Fault{"egress_may_open", {7}}, Fault{"network", "any"},
                      Fault{"network", nullptr}, Fault{"hostname", ""}, Fault{"hostname", "a/b"},
                      Fault{"hostname", std::string(64, 'a')}, Fault{"may_pause", 1}, Fault{"unknown", 1}));

TEST(SandboxPlan, IsShownOneLineAField) {
  const std::string text = to_string(good());
  EXPECT_NE(text.find("host_uid        200001\n"), std::string::npos) << text;
  EXPECT_NE(text.find("network         egress\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace sterna::sandbox
