#include "cli/stored_logins.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace sterna::cli {
namespace {

class StoredLoginsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "logins-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string client_at(std::string_view url) const {
    const auto login = find_login(file(), url);
    EXPECT_TRUE(login) << login.error().detail;
    return login && *login ? (*login)->client_id + "/" + (*login)->client_secret : "none";
  }
  std::filesystem::path file() const { return folder_ / "sterna" / "logins.json"; }

  std::filesystem::path folder_;
};

TEST_F(StoredLoginsTest, AreKeptForEachServer) {
  EXPECT_EQ(client_at("http://a"), "none");
  ASSERT_TRUE(save_login(file(), "http://a/", {.client_id = "1", .client_secret = "s"}));
  ASSERT_TRUE(save_login(file(), "http://b", {.client_id = "2", .client_secret = "t"}));
  ASSERT_TRUE(save_login(file(), "http://b", {.client_id = "3", .client_secret = "u"}));
  EXPECT_EQ(client_at("http://a"), "1/s");
  EXPECT_EQ(client_at("http://b///"), "3/u");
  EXPECT_EQ(client_at("http://c"), "none");
  EXPECT_EQ(forget_login(file(), "http://a"), true);
  EXPECT_EQ(forget_login(file(), "http://a"), false);
  EXPECT_EQ(client_at("http://a"), "none");
  EXPECT_EQ(client_at("http://b"), "3/u");
}

TEST_F(StoredLoginsTest, OnlyTheirOwnerMayRead) {
  ASSERT_TRUE(save_login(file(), "http://a", {.client_id = "1", .client_secret = "s"}));
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
  EXPECT_EQ(find_login(file(), "http://a").error().reason, "bad_usage");
}

TEST_F(StoredLoginsTest, ADamagedFileIsSaid) {
  std::filesystem::create_directories(file().parent_path());
  std::ofstream(file()) << "[";
  ASSERT_EQ(::chmod(file().c_str(), 0600), 0);
  EXPECT_EQ(find_login(file(), "http://a").error().reason, "bad_usage");
  EXPECT_FALSE(save_login(file(), "http://a", {.client_id = "1", .client_secret = "s"}));
}

TEST_F(StoredLoginsTest, WithoutAHomeThereAreNone) {
  EXPECT_EQ(find_login({}, "http://a").value(), std::nullopt);
  EXPECT_FALSE(save_login({}, "http://a", {.client_id = "1", .client_secret = "s"}));
}

}  // namespace
}  // namespace sterna::cli
