#include "audit/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/migrations.h"

namespace sterna::audit {
namespace {

using ::testing::ElementsAre;

class AuditLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "audit-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    reopen();
  }
  void TearDown() override {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }
  void reopen() {
    log_.reset();
    log_ = std::move(*AuditLog::open((folder_ / "audit.db").string(), clock_,
                                     {.changes_per_space = 150,
                                      .failures_per_space = 50,
                                      .failures_per_minute = 3,
                                      .max_path_bytes = 20}));
  }
  static Entry entry(const std::string& path, const std::string& space = "a", int status = 200) {
    return {.id = {},
            .at = {},
            .space = space,
            .app = "app",
            .app_name = "name",
            .address = "127.0.0.1",
            .method = "PUT",
            .path = path,
            .status = status,
            .reason = {}};
  }
  void record(const std::string& path, const std::string& space = "a", int status = 200) {
    ASSERT_TRUE(log_->record(entry(path, space, status)));
    clock_.advance(std::chrono::milliseconds(1));
  }
  // As the callers do it.
  void refuse(const std::string& path) {
    const Entry refused = entry(path, "a", 403);
    if (log_->admits(refused)) record(path, "a", 403);
  }
  std::vector<std::string> paths(const std::optional<std::string>& space, WallTime since = {},
                                 const api::Page& page = {}) {
    const auto listed = log_->list(space, since, page);
    EXPECT_TRUE(listed);
    std::vector<std::string> paths;
    for (const Entry& entry : listed->entries) paths.push_back(entry.path);
    return paths;
  }

  ManualClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditLogTest, KeepsWhatWasRecorded) {
  record("/1");
  record("/2", "b");
  record("/3");
  reopen();
  EXPECT_THAT(paths("a"), ElementsAre("/3", "/1"));
  EXPECT_THAT(paths("b"), ElementsAre("/2"));
  EXPECT_THAT(paths(std::nullopt), ElementsAre("/3", "/2", "/1"));
  const Entry entry = log_->list("b", {}, {})->entries.front();
  EXPECT_EQ(entry.app, "app");
  EXPECT_EQ(entry.app_name, "name");
  EXPECT_EQ(entry.address, "127.0.0.1");
  EXPECT_EQ(entry.method, "PUT");
  EXPECT_EQ(entry.status, 200);
  EXPECT_TRUE(is_ulid(entry.id));
}

TEST_F(AuditLogTest, ANewSpaceOfTheSameNameBeginsAnew) {
  record("/old");
  const WallTime born = clock_.wall();
  record("/new");
  EXPECT_THAT(paths("a", born), ElementsAre("/new"));
  EXPECT_THAT(paths(std::nullopt), ElementsAre("/new", "/old"));
}

TEST_F(AuditLogTest, IsReadInPages) {
  for (const char* path : {"/1", "/2", "/3"}) record(path);
  const auto first = log_->list("a", {}, {.limit = 2, .after = ""});
  ASSERT_TRUE(first->next_cursor);
  EXPECT_EQ(first->entries.size(), 2U);
  EXPECT_THAT(paths("a", {}, {.limit = 2, .after = first->entries.back().id}), ElementsAre("/1"));
}

TEST_F(AuditLogTest, TheOldestOfASpaceGoWithoutTouchingOthers) {
  record("/kept", "b");
  for (int i = 0; i < 400; ++i) record("/" + std::to_string(i));
  const auto all = paths("a", {}, {.limit = 1000, .after = ""});
  EXPECT_GE(all.size(), 150U);
  EXPECT_LT(all.size(), 260U);
  EXPECT_EQ(all.front(), "/399");
  EXPECT_THAT(paths("b"), ElementsAre("/kept"));
}

TEST_F(AuditLogTest, FailuresPushOutNoChanges) {
  record("/kept");
  for (int i = 0; i < 400; ++i) record("/" + std::to_string(i), "a", 403);
  const auto all = paths("a", {}, {.limit = 1000, .after = ""});
  EXPECT_GE(all.size(), 51U);
  EXPECT_LT(all.size(), 160U);
  EXPECT_EQ(all.back(), "/kept");
}

TEST_F(AuditLogTest, OfManyFailuresOfAnAppTheNumberIsKept) {
  for (int i = 0; i < 10; ++i) refuse("/" + std::to_string(i));
  EXPECT_THAT(paths("a"), ElementsAre("/2", "/1", "/0"));
  clock_.advance(std::chrono::minutes(1));
  EXPECT_THAT(paths("a"), ElementsAre("/3", "/2", "/1", "/0")) << "whoever looks";
  EXPECT_EQ(log_->list("a", {}, {})->entries.front().left_out, 7);
  refuse("/next");
  clock_.advance(std::chrono::minutes(1));
  EXPECT_THAT(paths("a"), ElementsAre("/next", "/3", "/2", "/1", "/0")) << "nothing more was left out";
}

TEST_F(AuditLogTest, FailuresOfOneAppAreNotThoseOfAnother) {
  for (int i = 0; i < 5; ++i) refuse("/" + std::to_string(i));
  Entry other = entry("/other", "b", 403);
  other.app = "other";
  EXPECT_TRUE(log_->admits(other));
}

TEST_F(AuditLogTest, TheNumberIsWrittenAtTheEnd) {
  for (int i = 0; i < 5; ++i) refuse("/" + std::to_string(i));
  log_->leave_out(entry("/busy", "a", 403));
  reopen();
  const Entry last = log_->list("a", {}, {})->entries.front();
  EXPECT_EQ(last.path, "/3");
  EXPECT_EQ(last.left_out, 3);
}

TEST_F(AuditLogTest, ALogOfTheVersionBeforeIsKept) {
  log_.reset();
  const std::string file = folder_ / "old.db";
  constexpr std::string_view kBefore[] = {
      "CREATE TABLE entries(id TEXT PRIMARY KEY, at INTEGER NOT NULL, space TEXT NOT NULL, app TEXT NOT NULL,"
      " app_name TEXT NOT NULL, address TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,"
      " status INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE INDEX entries_space ON entries(space, id);"};
  {
    auto database = std::move(*store::Database::open(file));
    ASSERT_TRUE(store::migrate(*database, kBefore));
    ASSERT_TRUE(
        database->execute("INSERT INTO entries VALUES('01ARZ3NDEKTSV4RRFFQ69G5FAV', 1, 'a', 'app', 'name',"
                          " '127.0.0.1', 'PUT', '/old', 200, '')"));
  }
  log_ = std::move(*AuditLog::open(file, clock_));
  record("/new");
  EXPECT_THAT(paths("a"), ElementsAre("/new", "/old"));
  EXPECT_EQ(log_->list("a", {}, {})->entries.back().left_out, 0);
}

TEST_F(AuditLogTest, LongPathsAreCut) {
  record("/" + std::string(1000, 'x'));
  EXPECT_EQ(paths("a").front().size(), 20U);
}

}  // namespace
}  // namespace sterna::audit
