#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "registry/registry.h"
#include "store/statement.h"

namespace sterna::registry {
namespace {

class SecretsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "secrets-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    reopen();
    ASSERT_TRUE(registry_->unlock_secrets(key()));
  }
  void TearDown() override {
    registry_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path key() const { return folder_ / "secrets.key"; }
  std::string database() const { return (folder_ / "sterna.db").string(); }
  void reopen() {
    registry_.reset();
    auto registry = Registry::open(database(), clock_);
    ASSERT_TRUE(registry) << registry.error().detail;
    registry_ = std::move(*registry);
    registry_->on_change([this](const Change& change) { told_.push_back(change.function.name); });
  }
  std::string create(const std::string& name, std::vector<std::string> secrets,
                     const std::string& space = "default") {
    api::FunctionSpec spec;
    spec.name = name;
    spec.secrets = std::move(secrets);
    const auto made = registry_->create(space, spec, "hash");
    EXPECT_TRUE(made);
    told_.clear();
    return made ? made->id : "";
  }
  SecretValues values_of(const std::string& id) {
    Function function = *registry_->find(id);
    EXPECT_TRUE(registry_->add_secret_values(function));
    return function.secret_values;
  }
  Status put(const std::string& name, const std::string& value, const std::string& space = "default") {
    const auto saved = registry_->put_secret(space, name, value);
    if (!saved) return std::unexpected(saved.error());
    return {};
  }

  ManualClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<Registry> registry_;
  std::vector<std::string> told_;
};

TEST_F(SecretsTest, AreFoundWithTheirTimesAndUsers) {
  const auto made = registry_->put_secret("default", "KEY", "one");
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->is_new);
  clock_.advance(std::chrono::seconds(5));
  create("b", {"KEY"});
  create("a", {"OTHER", "KEY"});
  create("c", {});
  const auto again = registry_->put_secret("default", "KEY", "two");
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->secret.used_by, (std::vector<std::string>{"a", "b"}));
  const auto found = registry_->find_secret("default", "KEY");
  EXPECT_EQ(found->created_at, made->secret.created_at);
  EXPECT_EQ(found->updated_at - found->created_at, std::chrono::seconds(5));
  EXPECT_EQ(found->used_by, again->secret.used_by);
  EXPECT_EQ(registry_->find_secret("default", "NONE").error().reason, "secret_not_found");
  EXPECT_EQ(registry_->find_secret("nowhere", "KEY").error().reason, "space_not_found");
}

TEST_F(SecretsTest, AreListedInPagesWithTheirUsers) {
  for (const char* name : {"C", "A", "B"}) ASSERT_TRUE(put(name, "v"));
  create("f", {"B", "C"});
  auto first = registry_->list_secrets("default", {.limit = 2, .after = ""});
  ASSERT_EQ(first->items.size(), 2U);
  EXPECT_EQ(first->items[0].name, "A");
  EXPECT_TRUE(first->items[0].used_by.empty());
  EXPECT_EQ(first->items[1].used_by, std::vector<std::string>{"f"});
  auto second = registry_->list_secrets("default", *api::parse_page("2", first->next_cursor));
  ASSERT_EQ(second->items.size(), 1U);
  EXPECT_EQ(second->items[0].name, "C");
  EXPECT_FALSE(second->next_cursor);
}

TEST_F(SecretsTest, FunctionsGetWhatTheyListAndNothingElse) {
  ASSERT_TRUE(put("KEY", "mine"));
  ASSERT_TRUE(put("OTHER", "not mine"));
  ASSERT_TRUE(registry_->create_space({"team", {}}));
  ASSERT_TRUE(put("KEY", "the team's", "team"));
  EXPECT_EQ(values_of(create("f", {"KEY", "GONE"})), (SecretValues{{"KEY", "mine"}}));
  EXPECT_EQ(values_of(create("f", {"KEY"}, "team")), (SecretValues{{"KEY", "the team's"}}));
  EXPECT_TRUE(values_of(create("g", {})).empty());
}

TEST_F(SecretsTest, ActiveVersionsSecretsAreThereUntilTheNewOneRuns) {
  ASSERT_TRUE(put("OLD", "1"));
  ASSERT_TRUE(put("NEW", "2"));
  const std::string id = create("f", {"OLD"});
  ASSERT_TRUE(registry_->activate(id, 1, false, "python"));
  api::FunctionSpec spec;
  spec.name = "f";
  spec.secrets = {"NEW"};
  ASSERT_TRUE(registry_->update("default", "f", spec, std::nullopt));
  EXPECT_EQ(values_of(id), (SecretValues{{"NEW", "2"}, {"OLD", "1"}}));
  EXPECT_EQ(registry_->delete_secret("default", "OLD", Force::kNo).error().reason, "secret_in_use");
  ASSERT_TRUE(registry_->activate(id, 2, false, "python"));
  EXPECT_EQ(values_of(id), (SecretValues{{"NEW", "2"}}));
  EXPECT_TRUE(registry_->delete_secret("default", "OLD", Force::kNo));
}

TEST_F(SecretsTest, ChangesAreToldForEveryFunctionThatUsesThem) {
  ASSERT_TRUE(put("KEY", "1"));
  create("a", {"KEY"});
  create("b", {});
  create("c", {"KEY"});
  ASSERT_TRUE(put("KEY", "2"));
  EXPECT_EQ(told_, (std::vector<std::string>{"a", "c"}));
  told_.clear();
  const auto refused = registry_->delete_secret("default", "KEY", Force::kNo);
  EXPECT_EQ(refused.error().reason, "secret_in_use");
  EXPECT_TRUE(refused.error().detail.contains("a, c"));
  EXPECT_TRUE(told_.empty());
  ASSERT_TRUE(registry_->delete_secret("default", "KEY", Force::kYes));
  EXPECT_EQ(told_, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(registry_->delete_secret("default", "KEY", Force::kYes).error().reason, "secret_not_found");
}

TEST_F(SecretsTest, MissingOnesAreNamedByPlace) {
  ASSERT_TRUE(put("B", "v"));
  EXPECT_EQ(*registry_->missing_secrets("default", {"A", "B", "C"}), (std::vector<std::size_t>{0, 2}));
  EXPECT_TRUE(registry_->missing_secrets("default", {})->empty());
}

TEST_F(SecretsTest, GoWithTheirSpace) {
  ASSERT_TRUE(registry_->create_space({"team", {}}));
  ASSERT_TRUE(put("KEY", "v", "team"));
  ASSERT_TRUE(registry_->delete_space("team", Force::kNo));
  ASSERT_TRUE(registry_->create_space({"team", {}}));
  EXPECT_TRUE(registry_->list_secrets("team", {})->items.empty());
}

TEST_F(SecretsTest, HaveALimitPerSpace) {
  for (std::int64_t i = 0; i < kMaxSecretsPerSpace; ++i) ASSERT_TRUE(put("S" + std::to_string(i), ""));
  EXPECT_EQ(put("ONE_MORE", "").error().reason, "too_many_secrets");
  EXPECT_TRUE(put("S0", "another value"));
}

TEST_F(SecretsTest, OpenAgainOnlyWithTheirKey) {
  ASSERT_TRUE(put("KEY", "p4ss"));
  const std::string id = create("f", {"KEY"});
  reopen();
  EXPECT_EQ(put("KEY", "x").error().reason, "secrets_locked");
  EXPECT_EQ(registry_->unlock_secrets(folder_ / "none.key").error().reason, "secrets_key_missing");
  std::ofstream(folder_ / "other.key") << "sterna-secrets-key-1:" << std::string(43, 'A') << "=\n";
  std::filesystem::permissions(folder_ / "other.key", std::filesystem::perms(0600));
  EXPECT_EQ(registry_->unlock_secrets(folder_ / "other.key").error().reason, "secrets_key_wrong");
  ASSERT_TRUE(registry_->unlock_secrets(key()));
  EXPECT_EQ(values_of(id), (SecretValues{{"KEY", "p4ss"}}));
}

TEST_F(SecretsTest, LostKeyIsReplacedWhileNothingIsStored) {
  std::filesystem::remove(key());
  reopen();
  EXPECT_TRUE(registry_->unlock_secrets(key()));
}

TEST_F(SecretsTest, RowsCannotBeSwapped) {
  ASSERT_TRUE(put("A", "for a"));
  ASSERT_TRUE(put("B", "for b"));
  ASSERT_TRUE(put("C", "for c"));
  const std::string id = create("f", {"B"});
  registry_.reset();
  {
    auto raw = store::Database::open(database());
    ASSERT_TRUE((*raw)->execute(
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'C') WHERE name = 'B'"));
  }
  reopen();
  ASSERT_TRUE(registry_->unlock_secrets(key()));
  Function function = *registry_->find(id);
  EXPECT_EQ(registry_->add_secret_values(function).error().reason, "secret_not_opened");
  EXPECT_TRUE(function.secret_values.empty());
}

TEST_F(SecretsTest, ValuesAreNotInTheDatabasesFiles) {
  const std::string value = "correct horse battery staple";
  ASSERT_TRUE(put("KEY", value));
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_FALSE(bytes.contains(value)) << entry.path();
  }
}

}  // namespace
}  // namespace sterna::registry
