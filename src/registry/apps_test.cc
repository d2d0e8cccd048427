#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "registry/registry.h"

namespace sterna::registry {
namespace {

using ::testing::ElementsAre;

class AppsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "apps-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    reopen();
    ASSERT_TRUE(registry_->create_space({.name = "lab", .callback_allow = {}}));
  }
  void TearDown() override {
    registry_.reset();
    std::filesystem::remove_all(folder_);
  }
  void reopen() {
    registry_.reset();
    registry_ = std::move(*Registry::open((folder_ / "sterna.db").string(), clock_));
    registry_->on_change([this](const Change& change) {
      if (change.kind == Change::Kind::kAppChanged) told_.push_back(change.function.id);
    });
  }

  static api::AppSpec spec(const std::string& name, std::vector<std::string> scopes = {"function"}) {
    return {.name = name,
            .description = {},
            .scopes = std::move(scopes),
            .functions = {},
            .expires_at = std::nullopt,
            .disabled = false};
  }
  static api::AppSpec everything(const std::string& name) {
    return spec(name, {"function", "trigger", "app", "space", "secret"});
  }
  std::string create(const std::string& name, const std::string& space = "lab") {
    const auto app = registry_->create_app(space, spec(name), hasher_.hash("secret"));
    EXPECT_TRUE(app);
    told_.clear();
    return app ? app->id : "";
  }
  Status issue(const std::string& app, const std::string& token,
               std::chrono::milliseconds lifetime = std::chrono::hours(1)) {
    return registry_->issue_token(app, hasher_.hash("secret"),
                                  {.hash = hasher_.hash(token),
                                   .scopes = auth::scope_named("function.read"),
                                   .expires_at = clock_.wall() + lifetime});
  }
  std::size_t tokens(const std::string& app) {
    const auto with = registry_->app_tokens(app);
    return with ? with->tokens.size() : 0;
  }
  template <class T>
  static std::string reason(const Result<T>& result) {
    return result ? "" : result.error().reason;
  }

  ManualClock clock_;
  auth::Hasher hasher_;
  std::filesystem::path folder_;
  std::unique_ptr<Registry> registry_;
  std::vector<std::string> told_;
};

TEST_F(AppsTest, AreFoundByIdAndByNameInTheirSpaceOnly) {
  const std::string id = create("ci");
  EXPECT_EQ(registry_->find_app("lab", id)->spec.name, "ci");
  EXPECT_EQ(registry_->find_app("lab", "ci")->id, id);
  EXPECT_EQ(registry_->find_app("lab", "ci")->space, "lab");
  EXPECT_EQ(reason(registry_->find_app("default", id)), "app_not_found");
  EXPECT_EQ(reason(registry_->find_app("", "ci")), "app_not_found");
  EXPECT_EQ(reason(registry_->find_app("nowhere", id)), "space_not_found");
  EXPECT_EQ(reason(registry_->create_app("nowhere", spec("x"), {})), "space_not_found");
}

TEST_F(AppsTest, NamesAreUniqueInTheirSpaceAndOnTheServer) {
  create("ci");
  EXPECT_EQ(reason(registry_->create_app("lab", spec("ci"), {})), "app_exists");
  EXPECT_TRUE(registry_->create_app("default", spec("ci"), {}));
  EXPECT_TRUE(registry_->create_app("", spec("ci"), {}));
  EXPECT_EQ(reason(registry_->create_app("", spec("ci"), {})), "app_exists");
  create("other");
  EXPECT_EQ(reason(registry_->update_app("lab", "other", spec("ci"))), "app_exists");
}

TEST_F(AppsTest, AreListedByName) {
  for (const char* name : {"c", "a", "b"}) create(name);
  create("elsewhere", "default");
  const auto first = registry_->list_apps("lab", {.limit = 2, .after = ""});
  ASSERT_TRUE(first);
  EXPECT_THAT(first->items,
              ElementsAre(::testing::Field(&App::spec, ::testing::Field(&api::AppSpec::name, "a")),
                          ::testing::Field(&App::spec, ::testing::Field(&api::AppSpec::name, "b"))));
  EXPECT_TRUE(first->next_cursor);
  EXPECT_EQ(registry_->list_apps("lab", {.limit = 2, .after = "b"})->items.size(), 1U);
  EXPECT_TRUE(registry_->list_apps("", {})->items.empty());
}

TEST_F(AppsTest, TokensAreThereAfterAReopeningUntilTheyExpire) {
  const std::string id = create("ci");
  ASSERT_TRUE(issue(id, "t"));
  ASSERT_TRUE(issue(id, "short", std::chrono::seconds(1)));
  EXPECT_THAT(told_, ElementsAre(id, id));
  reopen();
  EXPECT_EQ(tokens(id), 2U);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(tokens(id), 1U);
  ASSERT_TRUE(registry_->sweep_tokens());
  const auto all = registry_->app_snapshot();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1U);
  const AppTokens& one = all->front();
  EXPECT_EQ(one.app.grant.app, id);
  EXPECT_EQ(one.app.grant.space, "lab");
  EXPECT_EQ(one.app.secret, hasher_.hash("secret"));
  ASSERT_EQ(one.tokens.size(), 1U);
  EXPECT_EQ(one.tokens.front().hash, hasher_.hash("t"));
  EXPECT_EQ(one.tokens.front().scopes, auth::scope_named("function.read"));
}

TEST_F(AppsTest, OneTokenOrAllAreRevoked) {
  const std::string id = create("ci");
  const std::string other = create("other");
  for (const char* token : {"a", "b", "c"}) ASSERT_TRUE(issue(id, token));
  ASSERT_TRUE(issue(other, "d"));
  told_.clear();
  ASSERT_TRUE(registry_->revoke_token(id, hasher_.hash("a")));
  EXPECT_EQ(tokens(id), 2U);
  ASSERT_TRUE(registry_->revoke_token(id, hasher_.hash("d"))) << "of another app: not its own to revoke";
  EXPECT_EQ(tokens(other), 1U);
  ASSERT_TRUE(registry_->rotate_app("lab", "ci", hasher_.hash("new")));
  EXPECT_EQ(tokens(id), 0U);
  EXPECT_EQ(registry_->find_app("lab", "ci")->secret, hasher_.hash("new"));
  EXPECT_THAT(told_, ElementsAre(id, id, id));
}

TEST_F(AppsTest, TokensGoWhenWhatTheAppMayDoChanges) {
  const std::string id = create("ci");
  const auto survives = [&](const api::AppSpec& after) {
    EXPECT_TRUE(registry_->update_app("lab", id, spec("ci")));
    EXPECT_TRUE(issue(id, "t" + std::to_string(clock_.wall().time_since_epoch().count())));
    clock_.advance(std::chrono::milliseconds(1));
    EXPECT_TRUE(registry_->update_app("lab", id, after));
    return tokens(id) > 0;
  };
  EXPECT_TRUE(survives(spec("renamed")));
  api::AppSpec after = spec("ci");
  after.description = "other";
  EXPECT_TRUE(survives(after));
  EXPECT_FALSE(survives(spec("ci", {"function.read"})));
  after = spec("ci");
  after.functions = {"f"};
  EXPECT_FALSE(survives(after));
  after = spec("ci");
  after.expires_at = clock_.wall() + std::chrono::hours(1);
  EXPECT_FALSE(survives(after));
  after = spec("ci");
  after.disabled = true;
  EXPECT_FALSE(survives(after));
  EXPECT_EQ(reason(issue(id, "none")), "app_not_usable");
}

// The secret and the scopes were checked before the change.
TEST_F(AppsTest, NoTokenIsIssuedForWhatTheAppWas) {
  const std::string id = create("ci");
  ASSERT_TRUE(registry_->update_app("lab", id, spec("ci", {"function.invoke"})));
  EXPECT_EQ(reason(issue(id, "wide")), "app_changed");
  api::AppSpec ending = spec("ci");
  ending.expires_at = clock_.wall() + std::chrono::minutes(1);
  ASSERT_TRUE(registry_->update_app("lab", id, ending));
  EXPECT_EQ(reason(issue(id, "long", std::chrono::milliseconds(60'001))), "app_changed");
  EXPECT_TRUE(issue(id, "short", std::chrono::minutes(1)));
  ASSERT_TRUE(registry_->rotate_app("lab", id, hasher_.hash("new")));
  EXPECT_EQ(reason(issue(id, "old", std::chrono::seconds(1))), "app_not_usable");
  EXPECT_EQ(tokens(id), 0U);
}

TEST_F(AppsTest, DeletedAppsTakeTheirTokensAlong) {
  const std::string id = create("ci");
  ASSERT_TRUE(issue(id, "t"));
  told_.clear();
  ASSERT_TRUE(registry_->delete_app("lab", "ci"));
  EXPECT_THAT(told_, ElementsAre(id));
  EXPECT_EQ(reason(registry_->app_tokens(id)), "app_not_found");
  EXPECT_EQ(reason(issue(id, "u")), "app_not_usable");
  EXPECT_EQ(reason(registry_->delete_app("lab", "ci")), "app_not_found");
}

TEST_F(AppsTest, DeletedSpacesTakeTheirAppsAlong) {
  const std::string id = create("ci");
  ASSERT_TRUE(issue(id, "t"));
  ASSERT_TRUE(registry_->delete_space("lab", Force::kNo));
  EXPECT_EQ(reason(registry_->app_tokens(id)), "app_not_found");
  ASSERT_TRUE(registry_->create_space({.name = "lab", .callback_allow = {}}));
  EXPECT_TRUE(registry_->list_apps("lab", {})->items.empty());
}

TEST_F(AppsTest, AnAppHasSoManyTokensAndNoMore) {
  const std::string id = create("ci");
  ASSERT_TRUE(issue(id, "first", std::chrono::minutes(1)));
  for (int i = 0; i < kMaxTokensPerApp + 5; ++i) ASSERT_TRUE(issue(id, "t" + std::to_string(i)));
  const auto with = registry_->app_tokens(id);
  EXPECT_EQ(with->tokens.size(), static_cast<std::size_t>(kMaxTokensPerApp));
  const auto has = [&](const std::string& token) {
    return std::ranges::find(with->tokens, hasher_.hash(token), &auth::TokenAccess::hash) !=
           with->tokens.end();
  };
  EXPECT_FALSE(has("first")) << "what ends first goes first";
  EXPECT_TRUE(has("t" + std::to_string(kMaxTokensPerApp + 4))) << "the one that was asked for stays";
}

TEST_F(AppsTest, SpacesHaveSoManyAppsAndNoMore) {
  for (int i = 0; i < kMaxAppsPerSpace; ++i) create("a" + std::to_string(i));
  EXPECT_EQ(reason(registry_->create_app("lab", spec("more"), {})), "too_many_apps");
  EXPECT_TRUE(registry_->create_app("default", spec("more"), {}));
}

TEST_F(AppsTest, SomebodyStaysAdministrator) {
  EXPECT_FALSE(*registry_->has_administrator());
  ASSERT_TRUE(registry_->create_app("", spec("monitor"), {}));
  EXPECT_FALSE(*registry_->has_administrator()) << "it may do too little";
  ASSERT_TRUE(registry_->create_app("lab", everything("root"), {}));
  EXPECT_FALSE(*registry_->has_administrator()) << "in its space only";
  ASSERT_TRUE(registry_->create_app("", everything("root"), {}));
  EXPECT_TRUE(*registry_->has_administrator());

  EXPECT_EQ(reason(registry_->delete_app("", "root")), "last_administrator");
  EXPECT_EQ(reason(registry_->update_app("", "root", spec("root"))), "last_administrator");
  api::AppSpec off = everything("root");
  off.disabled = true;
  EXPECT_EQ(reason(registry_->update_app("", "root", off)), "last_administrator");
  api::AppSpec ending = everything("root");
  ending.expires_at = clock_.wall() + std::chrono::hours(1);
  EXPECT_EQ(reason(registry_->update_app("", "root", ending)), "last_administrator");
  for (const RateLimit& slow :
       {RateLimit{.requests_per_second = 0.5, .burst = 1000, .bytes_per_second = std::nullopt},
        RateLimit{.requests_per_second = std::nullopt, .burst = std::nullopt, .bytes_per_second = 1000}}) {
    api::AppSpec limited = everything("root");
    limited.rate_limit = slow;
    EXPECT_EQ(reason(registry_->update_app("", "root", limited)), "last_administrator");
  }
  api::AppSpec paced = everything("root");
  paced.rate_limit = {.requests_per_second = 1, .burst = 1, .bytes_per_second = 0};
  EXPECT_TRUE(registry_->update_app("", "root", paced));
  EXPECT_TRUE(registry_->update_app("", "root", everything("chief")));
  EXPECT_TRUE(registry_->rotate_app("", "chief", hasher_.hash("x")));

  ASSERT_TRUE(registry_->create_app("", everything("second"), {}));
  EXPECT_TRUE(registry_->delete_app("", "chief"));
  EXPECT_EQ(reason(registry_->delete_app("", "second")), "last_administrator");
}

}  // namespace
}  // namespace sterna::registry
