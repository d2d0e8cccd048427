// What a power cut leaves of a database: all that was committed. And that the test would notice if it did
// not.
#include "store/testing/power_cut.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "store/database.h"
#include "store/statement.h"

namespace sterna::store {
namespace {

using testing::PowerCut;
using testing::Unsynced;

class PowerCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "power-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Database> open() {
    auto database = Database::open(folder_ / "test.db");
    EXPECT_TRUE(database);
    return std::move(*database);
  }
  static void insert(Database& database, int value) {
    ASSERT_TRUE(database.execute("INSERT INTO numbers VALUES (" + std::to_string(value) + ")"));
  }
  static std::int64_t count(Database& database) {
    Statement query(database, "SELECT count(*) FROM numbers");
    const auto row = query.step();
    EXPECT_TRUE(row && *row);
    return query.integer(0);
  }
  std::filesystem::path folder_;
  PowerCut power_;
};

class Committed : public PowerCutTest,
                  public ::testing::WithParamInterface<std::tuple<Unsynced, std::uint64_t>> {};

TEST_P(Committed, RowsAreThere) {
  const auto [unsynced, seed] = GetParam();
  auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE numbers (value INTEGER)"));
  for (int value = 0; value < 20; ++value) insert(*database, value);
  power_.cut(unsynced, seed);
  database.reset();
  power_.restore();
  EXPECT_EQ(count(*open()), 20);
}

INSTANTIATE_TEST_SUITE_P(Chances, Committed,
                         ::testing::Combine(::testing::Values(Unsynced::kLost, Unsynced::kTorn),
                                            ::testing::Range<std::uint64_t>(1, 6)));

TEST_F(PowerCutTest, RowsThatAreNotSyncedAreLost) {
  auto database = open();
  ASSERT_TRUE(database->execute("CREATE TABLE numbers (value INTEGER); PRAGMA wal_checkpoint(TRUNCATE)"));
  ASSERT_TRUE(database->execute("PRAGMA synchronous=OFF"));
  const auto syncs = power_.syncs();
  for (int value = 0; value < 20; ++value) insert(*database, value);
  EXPECT_EQ(power_.syncs(), syncs);
  power_.cut(Unsynced::kLost, 1);
  database.reset();
  power_.restore();
  EXPECT_EQ(count(*open()), 0);
}

}  // namespace
}  // namespace sterna::store
