#include "server/data_check.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/clock.h"
#include "registry/registry.h"
#include "store/database.h"

namespace sterna::server {
namespace {

namespace fs = std::filesystem;

class DataCheckTest : public testing::Test {
 protected:
  DataCheckTest() {
    std::string pattern = (fs::temp_directory_path() / "data-check-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~DataCheckTest() override { fs::remove_all(folder_); }

  void make_registry() {
    const SystemClock clock;
    ASSERT_TRUE(registry::Registry::open((folder_ / "sterna.db").string(), clock));
  }
  void make_bundle() { fs::create_directories(folder_ / "bundles" / std::string(64, 'a')); }
  void make_queue(const std::string& rows) {
    const auto database = store::Database::open((folder_ / "queue.db").string());
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->execute("CREATE TABLE lanes(lane INTEGER); PRAGMA user_version=1;" + rows));
  }
  std::string refusal() {
    const Status status = check_data(folder_);
    return status ? "" : std::string(status.error().reason);
  }

  fs::path folder_;
};

TEST_F(DataCheckTest, AFirstStartIsFine) {
  EXPECT_EQ(refusal(), "");
  EXPECT_FALSE(fs::exists(folder_ / "sterna.db"));
  fs::create_directories(folder_ / "bundles" / "composed");
  make_queue("");  // a first start that ended early
  EXPECT_EQ(refusal(), "");
}

TEST_F(DataCheckTest, WhatBelongsToAMissingRegistryIsKept) {
  make_bundle();
  EXPECT_EQ(refusal(), "registry_missing");
  EXPECT_EQ(refusal(), "registry_missing");  // looking changes nothing
  fs::remove_all(folder_ / "bundles");
  make_queue("INSERT INTO lanes VALUES(1)");
  EXPECT_EQ(refusal(), "registry_missing");
  make_registry();
  EXPECT_EQ(refusal(), "");
}

TEST_F(DataCheckTest, AnEmptyRegistryIsAMissingOne) {
  make_bundle();
  ASSERT_TRUE(store::Database::open((folder_ / "sterna.db").string()));  // as a copy without its log
  EXPECT_EQ(refusal(), "registry_missing");
}

TEST_F(DataCheckTest, WhatCannotBeReadIsNotTakenForEmpty) {
  fs::create_directories(folder_ / "queue.db");
  EXPECT_EQ(refusal(), "store_error");
}

}  // namespace
}  // namespace sterna::server
