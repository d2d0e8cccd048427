#include "gateway/gatekeeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sterna::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kClient = "192.0.2.1";
constexpr auth::Scope kInvoke = auth::Scope::kFunctionInvoke;

class GatekeeperTest : public ::testing::Test {
 protected:
  GatekeeperTest() {
    auth::Hasher hasher;
    table_.set({.grant = {.app = "app",
                          .app_name = "ci",
                          .space = "lab",
                          .scopes = auth::scope_named("function"),
                          .functions = {"f"},
                          .expires_at = std::nullopt},
                .secret = {},
                .disabled = false},
               {{.hash = hasher.hash("good"),
                 .scopes = auth::scope_named("function.invoke"),
                 .expires_at = clock_.wall() + std::chrono::hours(1)}},
               clock_.now());
  }

  // "200" when the request is let in, else status and reason.
  std::string ask(std::vector<net::Header> headers, const auth::Need& need = {.any_of = kInvoke},
                  Pages pages = Pages::kOwn) {
    net::HttpRequest request;
    request.headers = std::move(headers);
    Gatekeeper gatekeeper(table_, clock_, check_, 0);
    auto admitted = gatekeeper.admit(request, kClient, need, pages);
    if (admitted) {
      caller_ = *admitted;
      return "200";
    }
    challenge_ = admitted.error().challenge;
    return std::to_string(admitted.error().status) + " " + admitted.error().error.reason;
  }

  ManualClock clock_;
  auth::AccessTable table_;
  TokenCheck check_ = TokenCheck::kOn;
  auth::GrantPtr caller_;
  std::string challenge_;
};

TEST_F(GatekeeperTest, LetsInByToken) {
  EXPECT_EQ(ask({{"Host", "x"}, {"authorization", "Bearer good"}}), "200");
  EXPECT_EQ(caller_->app, "app");
  EXPECT_EQ(ask({{"Authorization", "bEaReR   good"}}), "200");
}

TEST_F(GatekeeperTest, AsksForATokenWithoutAnError) {
  for (const char* value : {"Basic Z29vZA==", "Bearergood", "good", "", "Bear", "Digest Bearer good"}) {
    EXPECT_EQ(ask({{"Authorization", value}}), "401 token_missing") << value;
    EXPECT_EQ(challenge_, "Bearer realm=\"sterna\"") << "RFC 6750 3.1: no error where no token was tried";
  }
  EXPECT_EQ(ask({}), "401 token_missing");
  EXPECT_EQ(ask({{"X-Authorization", "Bearer good"}}), "401 token_missing");
}

TEST_F(GatekeeperTest, RefusesBadTokensAllTheSame) {
  const std::string long_one = "Bearer " + std::string(5000, 'x');
  for (std::string_view value : {std::string_view("Bearer bad"), std::string_view("Bearer goodgood"),
                                 std::string_view("Bearer Good"), std::string_view(long_one)}) {
    EXPECT_EQ(ask({{"Authorization", value}}), "401 token_invalid") << value.substr(0, 40);
    EXPECT_THAT(challenge_, HasSubstr("error=\"invalid_token\""));
  }
  clock_.advance(std::chrono::hours(1));
  EXPECT_EQ(ask({{"Authorization", "Bearer good"}}), "401 token_invalid");
}

TEST_F(GatekeeperTest, RefusesWhatIsNoHeader) {
  EXPECT_EQ(ask({{"Authorization", "Bearer good"}, {"Authorization", "Bearer good"}}),
            "400 bad_authorization");
  EXPECT_EQ(ask({{"Authorization", "Basic x"}, {"authorization", "Bearer good"}}), "400 bad_authorization");
  EXPECT_EQ(ask({{"Authorization", "Bearer "}}), "400 bad_authorization");
  EXPECT_EQ(ask({{"Authorization", "Bearer"}}), "400 bad_authorization");
  EXPECT_EQ(ask({{"Authorization", "Bearer good bad"}}), "400 bad_authorization");
  EXPECT_THAT(challenge_, HasSubstr("error=\"invalid_request\""));
}

TEST_F(GatekeeperTest, NamesTheScopeThatLacks) {
  const std::vector<net::Header> headers = {{"Authorization", "Bearer good"}};
  EXPECT_EQ(ask(headers, {.any_of = auth::Scope::kFunctionDelete}), "403 insufficient_scope");
  EXPECT_THAT(challenge_, HasSubstr("error=\"insufficient_scope\", scope=\"function.delete\""));
  EXPECT_EQ(ask(headers, {.any_of = kInvoke, .space = "other"}), "403 space_not_granted");
  EXPECT_THAT(challenge_, Not(HasSubstr("scope=\"")));
  EXPECT_EQ(ask(headers, {.any_of = kInvoke, .space = "lab", .function = "g"}), "403 function_not_granted");
  EXPECT_EQ(ask(headers, {.any_of = kInvoke, .space = "lab", .function = "f"}), "200");
  EXPECT_EQ(ask(headers, {.any_of = kInvoke, .whole_server = true}), "403 administrator_only");
}

TEST_F(GatekeeperTest, LetsEveryoneInWhenTokensAreNotChecked) {
  check_ = TokenCheck::kOff;
  EXPECT_EQ(ask({}, {.any_of = auth::Scope::kSpaceCreate, .whole_server = true}), "200");
  EXPECT_EQ(ask({{"Authorization", "Bearer bad"}}), "200");
  EXPECT_EQ(caller_->app, "");
}

TEST_F(GatekeeperTest, KeepsPagesOfOthersOutWhereNoTokensAreAskedFor) {
  const std::vector<net::Header> foreign = {{"Host", "localhost"}, {"Origin", "https://evil.example"}};
  const std::vector<net::Header> rebound = {{"Host", "evil.example"}};
  EXPECT_EQ(ask(foreign), "401 token_missing") << "they have none";
  check_ = TokenCheck::kOff;
  EXPECT_EQ(ask(foreign), "403 origin_not_allowed");
  EXPECT_EQ(challenge_, "");
  EXPECT_EQ(ask(foreign, {.any_of = kInvoke}, Pages::kAll), "200");
  EXPECT_EQ(ask(rebound), "403 host_not_allowed");
  EXPECT_EQ(ask(rebound, {.any_of = kInvoke}, Pages::kAll), "200");
}

TEST_F(GatekeeperTest, SlowsDownWhoGuesses) {
  Gatekeeper gatekeeper(table_, clock_, TokenCheck::kOn, 3);
  const auto status_of = [&](std::string_view token, std::string_view client) {
    net::HttpRequest request;
    const std::string value = "Bearer " + std::string(token);
    request.headers = {{"Authorization", value}};
    const auto admitted = gatekeeper.admit(request, client, {.any_of = kInvoke});
    return admitted ? 200U : admitted.error().status;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status_of("bad", kClient), 401U);
  EXPECT_EQ(status_of("bad", kClient), 429U);
  EXPECT_EQ(status_of("bad", "192.0.2.2"), 401U);
  EXPECT_EQ(status_of("good", kClient), 200U) << "others behind the same address go on";
  net::HttpRequest request;
  request.headers = {{"Authorization", "Bearer bad"}};
  const auto refused = gatekeeper.admit(request, kClient, {.any_of = kInvoke});
  EXPECT_EQ(refused.error().error.reason, "rate_limited");
  EXPECT_EQ(refused.error().retry_after_seconds, 20U);
  clock_.advance(std::chrono::seconds(20));
  EXPECT_EQ(status_of("bad", kClient), 401U);
  EXPECT_EQ(status_of("bad", kClient), 429U);
}

}  // namespace
}  // namespace sterna::gateway
