#include "server/folder_check.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace sterna::server {
namespace {

class FolderCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "folder-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    made_ = pattern;
    folder_ = {.component = "logs", .meanwhile = "lines are lost", .path = made_};
  }
  void TearDown() override { std::filesystem::remove_all(made_); }

  std::string reason(const Folder& folder, CheckDepth depth = CheckDepth::kWrite) {
    const auto trouble = check_folder(folder, depth);
    return trouble ? trouble->reason : "none";
  }

  std::filesystem::path made_;
  Folder folder_;  // a test may name another one
};

TEST_F(FolderCheckTest, AFolderThatCanBeWrittenIsNoTrouble) {
  EXPECT_EQ(reason(folder_, CheckDepth::kLook), "none");
  EXPECT_EQ(reason(folder_), "none");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path));
}

TEST_F(FolderCheckTest, OneThatIsGoneOrOnlyReadSaysWhatDoesNotWork) {
  std::filesystem::remove(made_);
  const auto trouble = check_folder(folder_, CheckDepth::kLook);
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->component, "logs");
  EXPECT_EQ(trouble->reason, "not_writable");
  EXPECT_TRUE(trouble->detail.ends_with("; lines are lost")) << trouble->detail;
  EXPECT_EQ(trouble->detail.find(folder_.path.string()), std::string::npos);  // everybody may read it
  folder_.path = "/proc/self";
  EXPECT_NE(reason(folder_), "none");
}

TEST_F(FolderCheckTest, AFullOneIsFull) {
  folder_.path = "/proc";  // says that it has no blocks at all
  EXPECT_EQ(reason(folder_, CheckDepth::kLook), "disk_full");
}

TEST_F(FolderCheckTest, WithoutDescriptorsNothingIsSaidOfTheDisk) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string said = reason(folder_);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(said, "none");
}

}  // namespace
}  // namespace sterna::server
