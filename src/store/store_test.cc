#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "store/data_lock.h"
#include "store/database.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace sterna::store {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "store-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Database> open() {
    auto database = Database::open(directory_ / "test.db");
    EXPECT_TRUE(database) << database.error().detail;
    return std::move(*database);
  }

  static std::int64_t count(Database& database) {
    Statement query(database, "SELECT count(*) FROM t");
    EXPECT_TRUE(query.step().value());
    return query.integer(0);
  }

  std::filesystem::path directory_;
};

TEST_F(StoreTest, BindsAndReadsEveryType) {
  auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE t(a INTEGER, b TEXT, c TEXT, d INTEGER)"));
  const std::string with_nul("x\0y", 3);
  ASSERT_TRUE(Statement(*database, "INSERT INTO t VALUES(?1, ?2, ?3, ?4)")
                  .bind(std::int64_t{1} << 40, with_nul, std::string_view(), std::optional<int>())
                  .run());
  EXPECT_EQ(database->changed_rows(), 1);
  Statement query(*database, "SELECT a, b, c, d FROM t");
  ASSERT_TRUE(query.step().value());
  EXPECT_EQ(query.integer(0), std::int64_t{1} << 40);
  EXPECT_EQ(query.text(1), with_nul);
  EXPECT_FALSE(query.is_null(2));
  EXPECT_EQ(query.text(2), "");
  EXPECT_TRUE(query.is_null(3));
  EXPECT_EQ(query.optional_integer(3), std::nullopt);
  EXPECT_FALSE(query.step().value());
}

TEST_F(StoreTest, TwoUsesOfOneTextAtATimeDoNotDisturbEachOther) {
  auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES(1), (2)"));
  constexpr std::string_view kSql = "SELECT a FROM t ORDER BY a";
  Statement outer(*database, kSql);
  ASSERT_TRUE(outer.step().value());
  {
    Statement inner(*database, kSql);
    ASSERT_TRUE(inner.step().value());
    EXPECT_EQ(inner.integer(0), 1);
  }
  ASSERT_TRUE(outer.step().value());
  EXPECT_EQ(outer.integer(0), 2);
}

TEST_F(StoreTest, CachedStatementsForgetTheirParameters) {
  auto database = open();
  for (int round = 0; round < 2; ++round) {
    Statement query(*database, "SELECT ?1");
    if (round == 0) query.bind(7);
    ASSERT_TRUE(query.step().value());
    EXPECT_EQ(query.is_null(0), round == 1);
  }
}

TEST_F(StoreTest, ErrorsSayWhatHappened) {
  auto database = open();
  Status wrong = Statement(*database, "SELEKT 1").bind(1).run();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason, "store_error");
  ASSERT_TRUE(database->execute("CREATE TABLE t(a INTEGER UNIQUE); INSERT INTO t VALUES(1)"));
  Status twice = Statement(*database, "INSERT INTO t VALUES(1)").run();
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::kConflict);
  EXPECT_EQ(twice.error().reason, "already_exists");
}

TEST_F(StoreTest, SettingsAreTheDurableOnes) {
  auto database = open();
  Statement journal(*database, "PRAGMA journal_mode");
  ASSERT_TRUE(journal.step().value());
  EXPECT_EQ(journal.text(0), "wal");
  Statement synchronous(*database, "PRAGMA synchronous");
  ASSERT_TRUE(synchronous.step().value());
  EXPECT_EQ(synchronous.integer(0), 2);
  Statement keys(*database, "PRAGMA foreign_keys");
  ASSERT_TRUE(keys.step().value());
  EXPECT_EQ(keys.integer(0), 1);
}

TEST_F(StoreTest, FileThatIsNoDatabaseIsRefused) {
  std::ofstream(directory_ / "test.db") << std::string(4096, 'x');
  auto database = Database::open(directory_ / "test.db");
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, Code::kIo);
  EXPECT_NE(database.error().detail.find(directory_ / "test.db"), std::string::npos)
      << database.error().detail;
}

TEST_F(StoreTest, TransactionsCommitOrLeaveNothing) {
  auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE t(a INTEGER)"));
  Status failed = transact(*database, [&]() -> Status {
    EXPECT_TRUE(database->execute("INSERT INTO t VALUES(1)"));
    return fail(Code::kConflict, Component::kRegistry, "no", "changed my mind");
  });
  EXPECT_EQ(failed.error().reason, "no");
  EXPECT_EQ(count(*database), 0);
  ASSERT_TRUE(transact(*database, [&] { return database->execute("INSERT INTO t VALUES(2)"); }));
  EXPECT_EQ(count(*database), 1);
}

TEST_F(StoreTest, MigrationsStartFromAnyOlderVersion) {
  constexpr std::string_view kFirst[] = {"CREATE TABLE t(a INTEGER); INSERT INTO t VALUES(5)"};
  constexpr std::string_view kBoth[] = {kFirst[0], "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 9"};
  {
    auto database = open();
    ASSERT_TRUE(migrate(*database, kFirst));
    EXPECT_EQ(database->schema_version().value(), 1);
  }
  auto database = open();
  ASSERT_TRUE(migrate(*database, kBoth));
  ASSERT_TRUE(migrate(*database, kBoth));  // nothing left to do
  EXPECT_EQ(database->schema_version().value(), 2);
  Statement query(*database, "SELECT a, b FROM t");
  ASSERT_TRUE(query.step().value());
  EXPECT_EQ(query.integer(0), 5);
  EXPECT_EQ(query.integer(1), 9);
}

TEST_F(StoreTest, FailedMigrationLeavesTheVersionBefore) {
  constexpr std::string_view kSteps[] = {"CREATE TABLE t(a INTEGER)", "INSERT INTO t VALUES(1); NONSENSE"};
  auto database = open();
  ASSERT_FALSE(migrate(*database, kSteps));
  EXPECT_EQ(database->schema_version().value(), 1);
  EXPECT_EQ(count(*database), 0);
}

TEST_F(StoreTest, NewerDatabaseIsRefused) {
  auto database = open();
  ASSERT_TRUE(database->execute("PRAGMA user_version=7"));
  constexpr std::string_view kSteps[] = {"CREATE TABLE t(a INTEGER)"};
  Status refused = migrate(*database, kSteps);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "database_too_new");
  EXPECT_NE(refused.error().detail.find("version 7"), std::string::npos);
  EXPECT_TRUE(refused.error().detail.starts_with(database->path() + ": ")) << refused.error().detail;
  EXPECT_FALSE(database->path().empty());
}

TEST_F(StoreTest, SecondHolderOfADataDirectoryIsRefusedUntilTheFirstIsGone) {
  const std::filesystem::path data = directory_ / "deep" / "data";
  {
    auto first = DataLock::acquire(data);
    ASSERT_TRUE(first) << first.error().detail;
    struct stat info{};
    ASSERT_EQ(::stat(data.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    auto second = DataLock::acquire(data);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().reason, "data_dir_in_use");
    EXPECT_NE(second.error().detail.find(std::to_string(::getpid())), std::string::npos);
  }
  EXPECT_TRUE(DataLock::acquire(data));
}

TEST_F(StoreTest, FullDiskIsKnownUntilAWriteSucceeds) {
  const auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE t(x)"));
  const auto insert = [&](std::size_t bytes) {
    return transact(*database, [&]() -> Status {
      return Statement(*database, "INSERT INTO t VALUES(?1)").bind(std::string(bytes, 'x')).run();
    });
  };
  ASSERT_TRUE(insert(1));
  EXPECT_FALSE(database->write_trouble());
  ASSERT_TRUE(database->execute("PRAGMA max_page_count=3"));
  ASSERT_FALSE(insert(100'000));
  ASSERT_TRUE(database->write_trouble());
  EXPECT_EQ(database->write_trouble()->reason, "disk_full");
  // What is wrong with a change says nothing about the disk.
  ASSERT_FALSE(
      transact(*database, []() -> Status { return fail(Code::kConflict, Component::kRegistry, "x", "x"); }));
  EXPECT_TRUE(database->write_trouble());
  EXPECT_TRUE(database->try_write());
  EXPECT_FALSE(database->write_trouble());
}

}  // namespace
}  // namespace sterna::store
