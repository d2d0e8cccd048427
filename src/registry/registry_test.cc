#include "registry/registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "registry/schema.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace sterna::registry {
namespace {

api::FunctionSpec spec_of(std::string name) {
  api::FunctionSpec spec;
  spec.name = std::move(name);
  return spec;
}

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override { open(":memory:"); }

  void open(const std::string& path) {
    registry_.reset();
    auto registry = Registry::open(path, clock_);
    ASSERT_TRUE(registry) << registry.error().detail;
    registry_ = std::move(*registry);
    registry_->on_change([this](const Change& change) { changes_.push_back(change); });
  }

  ManualClock clock_;
  std::unique_ptr<Registry> registry_;
  std::vector<Change> changes_;
};

TEST(StatusOf, BeforeTheFirstVersionIsLoaded) {
  StatusFacts facts;
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kPending);
  EXPECT_EQ(status_of(facts).reason, "");
  facts.newest_has_code = false;
  EXPECT_NE(status_of(facts).reason, "");
  facts.newest_has_code = true;
  facts.newest_state = VersionState::kBuilding;
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kBuilding);
  facts.newest_state = VersionState::kFailed;
  facts.newest_reason = "no";
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kFailed);
  EXPECT_EQ(status_of(facts).reason, "no");
}

TEST(StatusOf, WithAVersionThatRuns) {
  StatusFacts facts;
  facts.has_active = true;
  for (const VersionState newest : {VersionState::kActive, VersionState::kPending, VersionState::kBuilding}) {
    facts.newest_state = newest;
    EXPECT_EQ(status_of(facts).status, FunctionStatus::kRunning);
    EXPECT_EQ(status_of(facts).reason, "");
  }
  facts.newest_number = 3;
  facts.newest_state = VersionState::kFailed;
  facts.newest_reason = "no";
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kRunning);
  EXPECT_EQ(status_of(facts).reason, "version 3 failed: no");
  facts.crash_reason = "crashes";
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kFailed);
  EXPECT_EQ(status_of(facts).reason, "crashes");
  facts.stopped = true;
  EXPECT_EQ(status_of(facts).status, FunctionStatus::kStopped);
}

TEST_F(RegistryTest, DefaultSpaceExistsAndStays) {
  EXPECT_TRUE(registry_->find_space("default"));
  EXPECT_EQ(registry_->delete_space("default", Force::kYes).error().reason, "space_is_default");
}

TEST_F(RegistryTest, SpacesAreMadeChangedListedDeleted) {
  ASSERT_TRUE(registry_->create_space({"b", {"10.0.0.0/8"}}));
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].kind, Change::Kind::kSpaceMade);
  EXPECT_EQ(changes_[0].function.space, "b");
  ASSERT_TRUE(registry_->create_space({"a", {}}));
  EXPECT_EQ(registry_->create_space({"a", {}}).error().reason, "space_exists");
  EXPECT_EQ(registry_->find_space("b")->spec.callback_allow, std::vector<std::string>{"10.0.0.0/8"});
  EXPECT_EQ(registry_->find_space("b")->created_at, clock_.wall());
  ASSERT_TRUE(registry_->update_space({"b", {"example.com"}}));
  EXPECT_EQ(registry_->find_space("b")->spec.callback_allow, std::vector<std::string>{"example.com"});
  EXPECT_EQ(changes_.back().kind, Change::Kind::kSpaceChanged);
  EXPECT_EQ(changes_.back().function.space, "b");
  EXPECT_EQ(registry_->update_space({"c", {}}).error().reason, "space_not_found");

  auto first = registry_->list_spaces({.limit = 2, .after = ""});
  ASSERT_EQ(first->items.size(), 2U);
  EXPECT_EQ(first->items[0].spec.name, "a");
  ASSERT_TRUE(first->next_cursor);
  auto page = api::parse_page("2", first->next_cursor);
  auto second = registry_->list_spaces(*page);
  ASSERT_EQ(second->items.size(), 1U);
  EXPECT_EQ(second->items[0].spec.name, "default");
  EXPECT_FALSE(second->next_cursor);

  EXPECT_TRUE(registry_->delete_space("a", Force::kNo));
  EXPECT_EQ(registry_->find_space("a").error().reason, "space_not_found");
}

TEST_F(RegistryTest, SigningSecretsRotate) {
  const std::string first = registry_->create_space({"s", {}})->signing.current;
  EXPECT_TRUE(first.starts_with("whsec_"));
  EXPECT_EQ(registry_->find_space("s")->signing.current, first);
  EXPECT_EQ(registry_->find_space("s")->signing.previous, "");
  EXPECT_NE(registry_->find_space("default")->signing.current, first);

  changes_.clear();
  const SigningSecrets second = registry_->rotate_signing_secret("s")->signing;
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].kind, Change::Kind::kSpaceChanged);
  EXPECT_NE(second.current, first);
  EXPECT_EQ(second.previous, first);
  EXPECT_EQ(second.previous_until, clock_.wall() + kPreviousSecretHolds);
  EXPECT_TRUE(second.previous_holds(second.previous_until - std::chrono::milliseconds(1)));
  EXPECT_FALSE(second.previous_holds(second.previous_until));
  // What the user says about the space leaves its secrets alone.
  EXPECT_EQ(registry_->update_space({"s", {"10.0.0.0/8"}})->signing.previous, first);

  const SigningSecrets third = registry_->rotate_signing_secret("s")->signing;
  EXPECT_EQ(third.previous, second.current);
  clock_.advance(kPreviousSecretHolds);
  EXPECT_EQ(registry_->find_space("s")->signing.current, third.current);
  EXPECT_EQ(registry_->find_space("s")->signing.previous, "");
  EXPECT_EQ(registry_->rotate_signing_secret("nowhere").error().reason, "space_not_found");
}

TEST_F(RegistryTest, SpaceWithFunctionsNeedsForce) {
  ASSERT_TRUE(registry_->create_space({"s", {}}));
  const Function made = *registry_->create("s", spec_of("f"), "hash");
  const std::string& id = made.id;
  EXPECT_TRUE(is_ulid(made.space_id));
  EXPECT_EQ(registry_->delete_space("s", Force::kNo).error().reason, "space_not_empty");
  changes_.clear();
  auto orphans = registry_->delete_space("s", Force::kYes);
  ASSERT_TRUE(orphans);
  EXPECT_EQ(*orphans, Orphans{"hash"});
  ASSERT_EQ(changes_.size(), 2U);
  EXPECT_EQ(changes_[0].kind, Change::Kind::kDeleted);
  EXPECT_EQ(changes_[0].function.id, id);
  EXPECT_EQ(changes_[1].kind, Change::Kind::kSpaceDeleted);
  EXPECT_EQ(changes_[1].function.space, "s");
  EXPECT_EQ(registry_->find(id).error().reason, "function_not_found");
  ASSERT_TRUE(registry_->create_space({"s", {}}));
  EXPECT_NE(registry_->create("s", spec_of("f"), "hash")->space_id, made.space_id);
}

TEST_F(RegistryTest, NewFunctionIsPendingWithVersionOne) {
  auto made = registry_->create("default", spec_of("f"), "hash");
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_TRUE(is_ulid(made->id));
  EXPECT_EQ(made->space, "default");
  EXPECT_EQ(made->status, FunctionStatus::kPending);
  EXPECT_EQ(made->newest.number, 1);
  EXPECT_EQ(made->newest.bundle, "hash");
  EXPECT_FALSE(made->active);
  EXPECT_TRUE(made->wants_loading());
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].function.name, "f");
  EXPECT_EQ(registry_->create("default", spec_of("f"), "h").error().reason, "function_exists");
  EXPECT_EQ(registry_->create("nowhere", spec_of("f"), "h").error().reason, "space_not_found");
  EXPECT_EQ(changes_.size(), 1U);
}

TEST_F(RegistryTest, FunctionWithoutCodeWaitsForIt) {
  auto made = registry_->create("default", spec_of("f"), "");
  EXPECT_EQ(made->status, FunctionStatus::kPending);
  EXPECT_FALSE(made->wants_loading());
  EXPECT_NE(made->status_reason, "");
}

TEST_F(RegistryTest, WholeSpecSurvivesTheDisk) {
  api::FunctionSpec spec = spec_of("f");
  spec.description = "d";
  spec.template_name = "python3.99-http";  // not installed any more
  spec.env = {{"A", "1"}};
  spec.secrets = {"S"};
  spec.options = {{"b", true}, {"i", std::int64_t{7}}, {"d", 1.5}, {"s", "x"}};
  spec.limits.timeout = std::chrono::milliseconds(1500);
  spec.limits.concurrency = 9;
  spec.limits.network = Network::kNone;
  spec.async.retry_on = {500};
  spec.access = api::Access::kInternal;
  ASSERT_TRUE(registry_->create("default", spec, "h"));
  EXPECT_EQ(registry_->find("default", "f")->newest.spec, spec);
}

TEST_F(RegistryTest, ListsInPagesByName) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(registry_->create("default", spec_of(name), "h"));
  auto first = registry_->list("default", {.limit = 2, .after = ""});
  ASSERT_EQ(first->items.size(), 2U);
  EXPECT_EQ(first->items[1].name, "b");
  auto second = registry_->list("default", *api::parse_page("2", first->next_cursor));
  ASSERT_EQ(second->items.size(), 1U);
  EXPECT_EQ(second->items[0].name, "c");
  EXPECT_FALSE(second->next_cursor);
  EXPECT_EQ(registry_->list("nowhere", {}).error().reason, "space_not_found");
}

TEST_F(RegistryTest, RemoveTellsAndNamesTheOrphans) {
  const std::string id = registry_->create("default", spec_of("f"), "shared")->id;
  ASSERT_TRUE(registry_->update("default", "f", spec_of("f"), "own"));
  ASSERT_TRUE(registry_->create("default", spec_of("g"), "shared"));
  changes_.clear();
  auto orphans = registry_->remove("default", "f");
  ASSERT_TRUE(orphans);
  EXPECT_EQ(*orphans, Orphans{"own"});
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].kind, Change::Kind::kDeleted);
  EXPECT_EQ(changes_[0].function.id, id);
  EXPECT_EQ(registry_->remove("default", "f").error().reason, "function_not_found");
  EXPECT_EQ(*registry_->bundles(), std::vector<std::string>{"shared"});
  EXPECT_EQ(*registry_->unused_bundles({"own", "shared", ""}), Orphans{"own"});
}

TEST_F(RegistryTest, StopAndStart) {
  const std::string id = registry_->create("default", spec_of("f"), "h")->id;
  ASSERT_TRUE(registry_->activate(id, 1, false, "python"));
  clock_.advance(std::chrono::seconds(5));
  auto stopped = registry_->stop("default", "f");
  EXPECT_EQ(stopped->status, FunctionStatus::kStopped);
  EXPECT_EQ(stopped->updated_at, clock_.wall());
  EXPECT_NE(stopped->created_at, clock_.wall());
  ASSERT_TRUE(registry_->update("default", "f", spec_of("f"), "h2"));
  EXPECT_FALSE(registry_->find(id)->wants_loading());
  auto started = registry_->start("default", "f");
  EXPECT_EQ(started->status, FunctionStatus::kRunning);
  EXPECT_TRUE(started->wants_loading());
}

TEST_F(RegistryTest, EverythingIsThereAfterReopeningAndBuildingStartsAgain) {
  std::string pattern = ::testing::TempDir() + "registry-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/sterna.db";
  open(path);
  const std::string id = registry_->create("default", spec_of("f"), "h")->id;
  ASSERT_TRUE(registry_->set_building(id, 1));
  EXPECT_EQ(registry_->find(id)->status, FunctionStatus::kBuilding);
  open(path);
  auto all = registry_->snapshot();
  ASSERT_EQ(all->size(), 1U);
  EXPECT_EQ((*all)[0].id, id);
  EXPECT_EQ((*all)[0].status, FunctionStatus::kPending);
  registry_.reset();
  std::filesystem::remove_all(pattern);
}

TEST_F(RegistryTest, SnapshotOfAThousandFunctionsIsQuick) {
  for (int i = 0; i < 1000; ++i) {
    const auto made = registry_->create("default", spec_of("f" + std::to_string(i)), "h");
    ASSERT_TRUE(made && registry_->activate(made->id, 1, false, "python"));
  }
  const auto begin = std::chrono::steady_clock::now();
  auto all = registry_->snapshot();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(all->size(), 1000U);
  EXPECT_LT(took, std::chrono::seconds(
                      5));  // 0.1 s in a release build; the bound allows sanitizers and a busy machine
}

TEST(Schema, AStoredDatabaseOfEveryEarlierVersionIsBroughtUpToDate) {
  for (std::size_t from = 0; from <= schema_steps().size(); ++from) {
    auto database = store::Database::open(":memory:");
    ASSERT_TRUE(database);
    ASSERT_TRUE(store::migrate(**database, schema_steps().first(from)));
    ASSERT_TRUE(store::migrate(**database, schema_steps())) << from;
    EXPECT_EQ((*database)->schema_version().value(), static_cast<int>(schema_steps().size()));
    EXPECT_TRUE(store::Statement(**database, "SELECT crash_reason FROM functions").run());
  }
}

// Version 1 knew no signing secrets.
TEST(Schema, SpacesOfVersionOneGetASecretOfTheirOwn) {
  std::string pattern = ::testing::TempDir() + "registry-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/registry.db";
  {
    auto database = store::Database::open(path);
    ASSERT_TRUE(database);
    ASSERT_TRUE(store::migrate(**database, schema_steps().first(1)));
    ASSERT_TRUE(
        (*database)->execute(R"(INSERT INTO spaces(id, name, spec, created_at) VALUES)"
                             R"(('1', 'default', '{"name":"default","callback_allow":[]}', 1),)"
                             R"(('2', 'home', '{"name":"home","callback_allow":["10.0.0.0/8"]}', 2))"));
  }
  const ManualClock clock;
  std::string secret;
  for (int opened = 0; opened < 2; ++opened) {
    const auto registry = Registry::open(path, clock);
    ASSERT_TRUE(registry) << registry.error().detail;
    const auto home = (*registry)->find_space("home");
    EXPECT_EQ(home->spec.callback_allow, std::vector<std::string>{"10.0.0.0/8"});
    EXPECT_TRUE(home->signing.current.starts_with("whsec_"));
    EXPECT_NE(home->signing.current, (*registry)->find_space("default")->signing.current);
    if (opened == 0) secret = home->signing.current;
    EXPECT_EQ(home->signing.current, secret);
  }
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace sterna::registry
