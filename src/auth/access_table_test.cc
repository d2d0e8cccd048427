#include "auth/access_table.h"

#include <gtest/gtest.h>

namespace sterna::auth {
namespace {

constexpr WallTime kNow(std::chrono::hours(1000));
constexpr WallTime kLater = kNow + std::chrono::hours(1);

class AccessTableTest : public ::testing::Test {
 protected:
  AppAccess app(const std::string& id, const std::string& space = "a") {
    return {.grant = {.app = id,
                      .app_name = "name-of-" + id,
                      .space = space,
                      .scopes = *parse_scopes("function app"),
                      .functions = {},
                      .expires_at = std::nullopt},
            .secret = hasher_.hash("secret-of-" + id),
            .disabled = false};
  }
  TokenAccess token(std::string_view text, std::string_view scopes = "function app",
                    WallTime until = kLater) {
    return {.hash = hasher_.hash(text), .scopes = *parse_scopes(scopes), .expires_at = until};
  }

  Hasher hasher_;
  AccessTable table_;
};

TEST_F(AccessTableTest, FindsTokensUntilTheyExpire) {
  table_.set(app("x"), {token("t")}, {});
  const GrantPtr grant = table_.find("t", kNow);
  ASSERT_NE(grant, nullptr);
  EXPECT_EQ(grant->app, "x");
  EXPECT_EQ(grant->scopes, *parse_scopes("function app"));
  EXPECT_EQ(table_.find("u", kNow), nullptr);
  EXPECT_EQ(table_.find("", kNow), nullptr);
  EXPECT_NE(table_.find("t", kLater - std::chrono::milliseconds(1)), nullptr);
  EXPECT_EQ(table_.find("t", kLater), nullptr);
  table_.sweep(kLater);
  EXPECT_EQ(table_.tokens(), 0U);
  EXPECT_EQ(table_.find("t", kNow), nullptr);
}

// Those found lately are kept as they were sent: they may not outlive what they were found to be.
TEST_F(AccessTableTest, TokensThatWereFoundEndWithTheirAppAndTheirTime) {
  table_.set(app("x"), {token("t"), token("short", "function.invoke", kNow + std::chrono::seconds(1))}, {});
  ASSERT_NE(table_.find("t", kNow), nullptr);
  ASSERT_NE(table_.find("short", kNow), nullptr);
  table_.sweep(kNow + std::chrono::seconds(1));
  EXPECT_EQ(table_.find("short", kNow), nullptr);
  table_.set(app("x"), {token("t", "function.invoke")}, {});
  EXPECT_EQ(table_.find("t", kNow)->scopes, scope_named("function.invoke"));
  table_.set(app("x"), {}, {});
  EXPECT_EQ(table_.find("t", kNow), nullptr);
  table_.set(app("x"), {token("t")}, {});
  ASSERT_NE(table_.find("t", kNow), nullptr);
  table_.remove("x");
  EXPECT_EQ(table_.find("t", kNow), nullptr);
}

TEST_F(AccessTableTest, WhoWaitsWithAGrantLearnsThatItIsWithdrawn) {
  table_.set(app("x"), {token("stays"), token("revoked"), token("narrowed")}, {});
  const GrantPtr stays = table_.find("stays", kNow);
  const GrantPtr revoked = table_.find("revoked", kNow);
  const GrantPtr narrowed = table_.find("narrowed", kNow);
  table_.set(app("x"), {token("stays"), token("narrowed", "function"), token("another")}, {});
  EXPECT_FALSE(stays->is_withdrawn());
  EXPECT_EQ(table_.find("stays", kNow), stays);
  EXPECT_TRUE(revoked->is_withdrawn());
  EXPECT_TRUE(narrowed->is_withdrawn());
  EXPECT_FALSE(table_.find("narrowed", kNow)->is_withdrawn());

  AppAccess bound = app("x");
  bound.grant.functions = {"f"};
  table_.set(bound, {token("stays")}, {});
  EXPECT_TRUE(stays->is_withdrawn());
  const GrantPtr last = table_.find("stays", kNow);
  table_.remove_space("a");
  EXPECT_TRUE(last->is_withdrawn());

  table_.set(app("x"), {token("t")}, {});
  const GrantPtr again = table_.find("t", kNow);
  table_.remove("x");
  EXPECT_TRUE(again->is_withdrawn());
}

// More than are kept as they were sent, each asked for twice.
TEST_F(AccessTableTest, TellsManyTokensApart) {
  constexpr int kApps = 500;
  const auto name = [](int number) { return "app" + std::to_string(number); };
  for (int i = 0; i < kApps; ++i) table_.set(app(name(i)), {token("token-of-" + name(i))}, {});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kApps; ++i) {
      ASSERT_NE(table_.find("token-of-" + name(i), kNow), nullptr);
      EXPECT_EQ(table_.find("token-of-" + name(i), kNow)->app, name(i));
      EXPECT_EQ(table_.find("token-0f-" + name(i), kNow), nullptr);
    }
  }
}

TEST_F(AccessTableTest, TokensHaveScopesOfTheirOwn) {
  table_.set(app("x"), {token("all"), token("some", "function.invoke")}, {});
  EXPECT_EQ(table_.find("some", kNow)->scopes, scope_named("function.invoke"));
  EXPECT_EQ(table_.find("some", kNow)->space, "a");
  EXPECT_EQ(table_.find("all", kNow)->scopes, *parse_scopes("function app"));
}

TEST_F(AccessTableTest, SettingAnAppReplacesItsTokens) {
  table_.set(app("x"), {token("old"), token("kept")}, {});
  table_.set(app("x"), {token("kept"), token("new")}, {});
  EXPECT_EQ(table_.find("old", kNow), nullptr);
  EXPECT_NE(table_.find("kept", kNow), nullptr);
  EXPECT_NE(table_.find("new", kNow), nullptr);
  EXPECT_EQ(table_.tokens(), 2U);
}

TEST_F(AccessTableTest, RemovedAppsAndSpacesTakeTheirTokensAlong) {
  table_.set(app("x"), {token("tx")}, {});
  table_.set(app("y"), {token("ty")}, {});
  table_.set(app("z", "b"), {token("tz")}, {});
  table_.set(app("server", ""), {token("ts")}, {});
  table_.remove("x");
  EXPECT_EQ(table_.find("tx", kNow), nullptr);
  EXPECT_NE(table_.find("ty", kNow), nullptr);
  table_.remove_space("a");
  EXPECT_EQ(table_.find("ty", kNow), nullptr);
  EXPECT_NE(table_.find("tz", kNow), nullptr);
  EXPECT_NE(table_.find("ts", kNow), nullptr);
  table_.remove("x");
  table_.remove_space("nowhere");
  EXPECT_EQ(table_.tokens(), 2U);
}

TEST_F(AccessTableTest, AppsAreToldByTheirSecrets) {
  table_.set(app("x"), {}, {});
  ASSERT_NE(table_.authenticate("x", "secret-of-x", kNow), nullptr);
  EXPECT_EQ(table_.authenticate("x", "secret-of-y", kNow), nullptr);
  EXPECT_EQ(table_.authenticate("x", "", kNow), nullptr);
  EXPECT_EQ(table_.authenticate("y", "secret-of-y", kNow), nullptr);
  EXPECT_EQ(table_.authenticate("x", std::string(kMaxCredentialBytes + 1, 'x'), kNow), nullptr);
}

TEST_F(AccessTableTest, DisabledAndExpiredAppsGetNoTokens) {
  AppAccess disabled = app("x");
  disabled.disabled = true;
  table_.set(std::move(disabled), {}, {});
  EXPECT_EQ(table_.authenticate("x", "secret-of-x", kNow), nullptr);
  AppAccess ending = app("x");
  ending.grant.expires_at = kLater;
  table_.set(std::move(ending), {}, {});
  EXPECT_NE(table_.authenticate("x", "secret-of-x", kNow), nullptr);
  EXPECT_EQ(table_.authenticate("x", "secret-of-x", kLater), nullptr);
}

TEST_F(AccessTableTest, AppsAndTheirTokensShareOneMeterThatOutlivesChanges) {
  const MonotonicTime now{std::chrono::hours(1)};
  AppAccess limited = app("x");
  limited.grant.rate_limit.requests_per_second = 0.001;
  table_.set(limited, {token("all"), token("some", "function.invoke")}, now);
  const std::shared_ptr<Meter> meter = table_.find("all", kNow)->meter;
  ASSERT_NE(meter, nullptr);
  EXPECT_EQ(table_.find("some", kNow)->meter, meter);
  meter->take_request(now);
  table_.set(limited, {token("all"), token("new")}, now);
  EXPECT_EQ(table_.find("new", kNow)->meter, meter) << "asking for a token does not begin anew";
  EXPECT_GT(meter->requests_wait(now), Duration::zero());
  limited.grant.rate_limit.requests_per_second = 0;
  table_.set(limited, {token("all")}, now);
  EXPECT_EQ(table_.find("all", kNow)->meter, nullptr);
}

TEST_F(AccessTableTest, AppsWithoutALimitHaveTheServers) {
  table_.set_default_rate({.requests_per_second = 5.0, .burst = 7, .bytes_per_second = std::nullopt});
  table_.set(app("x"), {token("x")}, {});
  ASSERT_NE(table_.find("x", kNow)->meter, nullptr);
  EXPECT_EQ(table_.find("x", kNow)->rate_limit.burst, 7);
  AppAccess own = app("y");
  own.grant.rate_limit.requests_per_second = 0;
  table_.set(own, {token("y")}, {});
  EXPECT_EQ(table_.find("y", kNow)->meter, nullptr);
}

}  // namespace
}  // namespace sterna::auth
