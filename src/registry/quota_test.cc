#include <gtest/gtest.h>

#include <filesystem>

#include "registry/registry.h"

namespace sterna::registry {
namespace {

class QuotaTest : public ::testing::Test {
 protected:
  void SetUp() override { registry_ = std::move(*Registry::open(":memory:", clock_)); }

  static api::FunctionSpec spec(std::string name, std::int64_t least = 0, std::int64_t memory_mb = 128) {
    api::FunctionSpec spec;
    spec.name = std::move(name);
    spec.limits.min_replicas = least;
    spec.limits.memory_mb = memory_mb;
    return spec;
  }
  void set(const api::Quota& quota) {
    api::SpaceSpec space{.name = "default", .callback_allow = {}};
    space.quota = quota;
    ASSERT_TRUE(registry_->update_space(space));
  }
  // "" when it worked.
  template <class T>
  static std::string reason(const Result<T>& result) {
    return result ? "" : result.error().reason;
  }

  ManualClock clock_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(QuotaTest, FunctionsAppsAndSecretsAreCounted) {
  api::Quota quota;
  quota.functions = 1;
  quota.apps = 1;
  quota.secrets = 1;
  set(quota);
  EXPECT_EQ(reason(registry_->create("default", spec("a"), "")), "");
  const auto second = registry_->create("default", spec("b"), "");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "quota_exceeded");
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().detail.find("quota.functions is 1"), std::string::npos) << second.error().detail;
  EXPECT_NE(second.error().detail.find("it has 1 functions"), std::string::npos) << second.error().detail;

  const api::AppSpec app{
      .name = "ci", .description = {}, .scopes = {"function"}, .functions = {}, .expires_at = {}};
  api::AppSpec other = app;
  other.name = "cd";
  EXPECT_EQ(reason(registry_->create_app("default", app, {})), "");
  EXPECT_EQ(reason(registry_->create_app("default", other, {})), "quota_exceeded");
  EXPECT_EQ(reason(registry_->create_app("", app, {})), "") << "the server has no quota";

  const std::filesystem::path key = ::testing::TempDir() + "quota-secrets.key";
  std::filesystem::remove(key);
  ASSERT_TRUE(registry_->unlock_secrets(key));
  EXPECT_EQ(reason(registry_->put_secret("default", "ONE", "x")), "");
  EXPECT_EQ(reason(registry_->put_secret("default", "ONE", "y")), "") << "it is there already";
  EXPECT_EQ(reason(registry_->put_secret("default", "TWO", "x")), "quota_exceeded");
  const auto counts = registry_->count("default");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->functions, 1);
  EXPECT_EQ(counts->secrets, 1);
  EXPECT_EQ(counts->apps, 1);
}

TEST_F(QuotaTest, ReplicasThatAlwaysRunMustFit) {
  api::Quota quota;
  quota.replicas = 3;
  quota.memory_mb = 500;
  set(quota);
  EXPECT_EQ(reason(registry_->create("default", spec("a", 2), "")), "");
  EXPECT_EQ(reason(registry_->create("default", spec("b", 2), "")), "quota_exceeded");
  EXPECT_EQ(reason(registry_->create("default", spec("b", 1, 300), "")), "quota_exceeded") << "of memory";
  EXPECT_EQ(reason(registry_->create("default", spec("b", 0, 501), "")), "quota_exceeded")
      << "no replica fits";
  EXPECT_EQ(reason(registry_->find("default", "b")), "function_not_found") << "nothing is left of it";
  EXPECT_EQ(reason(registry_->create("default", spec("b", 1), "h")), "");
  EXPECT_EQ(reason(registry_->update("default", "b", spec("b", 2), std::nullopt)), "quota_exceeded");
  EXPECT_EQ(registry_->find("default", "b")->newest.number, 1);
  EXPECT_EQ(reason(registry_->update("default", "b", spec("b", 0), std::nullopt)), "");
  EXPECT_EQ(reason(registry_->rollback("default", "b", 1)), "");
}

TEST_F(QuotaTest, VersionsThatGetCallsAreCounted) {
  const auto id_of = [&](const char* name) { return registry_->find("default", name)->id; };
  const auto update = [&](const api::FunctionSpec& spec, std::int64_t number) {
    EXPECT_TRUE(registry_->update("default", "a", spec, std::nullopt));
    EXPECT_TRUE(registry_->activate(id_of("a"), number, false, "python"));
  };
  ASSERT_TRUE(registry_->create("default", spec("a", 3), "h"));
  ASSERT_TRUE(registry_->activate(id_of("a"), 1, false, "python"));
  update(spec("a", 0, 512), 2);
  update(spec("a"), 3);
  api::Quota quota;
  quota.replicas = 3;
  quota.memory_mb = 500;
  set(quota);
  EXPECT_EQ(reason(registry_->set_traffic("default", "a", 2, 100)), "quota_exceeded") << "no replica fits";
  EXPECT_EQ(reason(registry_->set_traffic("default", "a", 2, 10)), "quota_exceeded");
  EXPECT_EQ(registry_->find("default", "a")->active->number, 3);
  EXPECT_EQ(reason(registry_->set_traffic("default", "a", 1, 100)), "");
  EXPECT_EQ(reason(registry_->create("default", spec("b", 1), "")), "quota_exceeded") << "a has 3 again";
  EXPECT_EQ(reason(registry_->set_traffic("default", "a", 3, 100)), "");
  EXPECT_EQ(reason(registry_->create("default", spec("b", 1), "")), "");
  EXPECT_EQ(reason(registry_->set_traffic("default", "a", 1, 100)), "quota_exceeded");
}

TEST_F(QuotaTest, StoppedFunctionsHaveNoReplicas) {
  api::Quota quota;
  quota.replicas = 2;
  set(quota);
  ASSERT_TRUE(registry_->create("default", spec("a", 2), "h"));
  ASSERT_TRUE(registry_->stop("default", "a"));
  EXPECT_EQ(reason(registry_->create("default", spec("b", 1), "")), "");
  EXPECT_EQ(reason(registry_->start("default", "a")), "quota_exceeded");
  EXPECT_EQ(registry_->find("default", "a")->status, FunctionStatus::kStopped);
  ASSERT_TRUE(registry_->remove("default", "b"));
  EXPECT_EQ(reason(registry_->start("default", "a")), "");
}

TEST_F(QuotaTest, WhatWasThereBeforeMayStayAndBeChanged) {
  ASSERT_TRUE(registry_->create("default", spec("a", 4, 256), ""));
  ASSERT_TRUE(registry_->create("default", spec("b"), ""));
  api::Quota quota;
  quota.functions = 1;
  quota.replicas = 1;
  quota.memory_mb = 100;
  set(quota);
  api::FunctionSpec changed = spec("a", 4, 256);
  changed.description = "the same replicas";
  EXPECT_EQ(reason(registry_->update("default", "a", changed, std::nullopt)), "");
  changed.limits.min_replicas = 5;
  changed.limits.max_replicas = 5;
  EXPECT_EQ(reason(registry_->update("default", "a", changed, std::nullopt)), "quota_exceeded");
}

TEST_F(QuotaTest, SpacesWithoutAQuotaHaveTheServers) {
  api::Quota defaults;
  defaults.functions = 1;
  registry_->set_default_quota(defaults);
  ASSERT_TRUE(registry_->create("default", spec("a"), ""));
  EXPECT_EQ(reason(registry_->create("default", spec("b"), "")), "quota_exceeded");
  api::Quota own;
  own.functions = 0;
  set(own);
  EXPECT_EQ(reason(registry_->create("default", spec("b"), "")), "") << "0 is no limit, not the default";
  EXPECT_EQ(registry_->quota_of("default")->functions, 0);
  EXPECT_EQ(reason(registry_->quota_of("nowhere")), "space_not_found");
}

}  // namespace
}  // namespace sterna::registry
