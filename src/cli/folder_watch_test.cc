#include "cli/folder_watch.h"

#include <gmock/gmock.h>
#include <poll.h>

#include <fstream>

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class FolderWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "sterna-watch-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    write("handler.py");
    fs::create_directory(folder_ / "lib");
    fs::create_directory(folder_ / "node_modules");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& path) const { std::ofstream(folder_ / path) << "text"; }

  FolderWatch open(const fs::path& path) {
    auto watch = FolderWatch::open(path);
    EXPECT_TRUE(watch) << watch.error().detail;
    return std::move(*watch);
  }

  fs::path folder_;
};

std::set<std::string> taken(FolderWatch& watch) {
  auto changed = watch.take();
  EXPECT_TRUE(changed) << changed.error().detail;
  return changed ? *changed : std::set<std::string>();
}

TEST_F(FolderWatchTest, TellsWhatIsWrittenRenamedAndDeleted) {
  FolderWatch watch = open(folder_);
  EXPECT_THAT(taken(watch), IsEmpty());
  write("handler.py");
  write("lib/part.py");
  EXPECT_THAT(taken(watch), ElementsAre("handler.py", "lib/part.py"));
  EXPECT_THAT(taken(watch), IsEmpty());
  fs::remove(folder_ / "lib/part.py");
  EXPECT_THAT(taken(watch), ElementsAre("lib/part.py"));
}

TEST_F(FolderWatchTest, FollowsAFolderThatIsDeletedAndMadeAgain) {
  FolderWatch watch = open(folder_ / "lib");
  fs::remove_all(folder_ / "lib");
  EXPECT_THAT(taken(watch), ElementsAre("."));
  fs::create_directory(folder_ / "lib");
  EXPECT_THAT(taken(watch), ElementsAre("."));
  write("lib/part.py");
  EXPECT_THAT(taken(watch), ElementsAre("part.py"));
  fs::create_directory(folder_ / "other");
  EXPECT_THAT(taken(watch), IsEmpty());
}

TEST_F(FolderWatchTest, IsForFoldersThatAreThere) {
  EXPECT_EQ(FolderWatch::open(folder_ / "nowhere").error().reason, "bad_usage");
}

TEST_F(FolderWatchTest, LeavesTemporaryFilesOut) {
  FolderWatch watch = open(folder_);
  write("sedA1b2C3");
  write("handler.py~");
  write("4913");
  EXPECT_THAT(taken(watch), IsEmpty());
  fs::rename(folder_ / "sedA1b2C3", folder_ / "handler.py");
  write("sediment.py");
  EXPECT_THAT(taken(watch), ElementsAre("handler.py", "sediment.py"));
}

TEST_F(FolderWatchTest, SeesEditorsThatReplaceTheFile) {
  FolderWatch watch = open(folder_);
  write(".handler.py.swp");
  fs::rename(folder_ / ".handler.py.swp", folder_ / "handler.py");
  EXPECT_THAT(taken(watch), ElementsAre("handler.py"));
}

TEST_F(FolderWatchTest, LooksPastWhatToolsLeaveBehind) {
  FolderWatch watch = open(folder_);
  write("node_modules/index.js");
  write(".hidden");
  write("handler.pyc");
  fs::create_directory(folder_ / "__pycache__");
  EXPECT_THAT(taken(watch), IsEmpty());
}

TEST_F(FolderWatchTest, WatchesNewFoldersToo) {
  FolderWatch watch = open(folder_);
  fs::create_directories(folder_ / "a/b");
  EXPECT_THAT(taken(watch), Contains("a"));
  write("a/b/new.py");
  EXPECT_THAT(taken(watch), ElementsAre("a/b/new.py"));
  fs::remove_all(folder_ / "a");
  EXPECT_THAT(taken(watch), Contains("a"));
}

TEST_F(FolderWatchTest, WatchesOneFileAlone) {
  FolderWatch watch = open(folder_ / "handler.py");
  write("other.py");
  EXPECT_THAT(taken(watch), IsEmpty());
  write("handler.py");
  EXPECT_THAT(taken(watch), ElementsAre("handler.py"));
}

TEST_F(FolderWatchTest, ItsDescriptorTellsThatThereIsSomething) {
  FolderWatch watch = open(folder_);
  pollfd waiting{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  write("handler.py");
  EXPECT_EQ(poll(&waiting, 1, 1000), 1);
  const auto changed = take_settled(watch, std::chrono::milliseconds(1), std::chrono::milliseconds(100));
  ASSERT_TRUE(changed);
  EXPECT_THAT(*changed, ElementsAre("handler.py"));
}

TEST_F(FolderWatchTest, RefusesWhatIsNotThere) {
  const auto watch = FolderWatch::open(folder_ / "missing");
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().reason, "bad_usage");
}

}  // namespace
}  // namespace sterna::cli
