#include "build/workshop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/unique_fd.h"

namespace sterna::build {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kMaxBytes = 4U << 20;

class WorkshopTest : public ::testing::Test {
 protected:
  WorkshopTest() {
    recipe_.kind = api::BuildKind::kNode;
    recipe_.key = "key";
    recipe_.output = kNodeModules;
    recipe_.inputs = {{"package.json", "{}"}, {"packages/a/index.js", "a"}, {"packages/a/run", "b"}};
    layers_ = std::move(*LayerStore::open(root_ / "layers", 1U << 30));
    folder_ = *open_workshop(*layers_, recipe_);
  }
  ~WorkshopTest() override { bundle::remove_tree(root_); }

  void write(const fs::path& name, std::string_view content = "made") const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << content;
  }
  Status keep() { return keep_result(*layers_, recipe_, folder_, kMaxBytes); }
  // The files and links of the layer.
  std::vector<std::string> kept() {
    EXPECT_TRUE(keep());
    std::vector<std::string> names;
    const fs::path files = *layers_->find("key");
    for (const auto& entry : fs::recursive_directory_iterator(files)) {
      if (!entry.is_directory() || entry.is_symlink())
        names.push_back(entry.path().lexically_relative(files));
    }
    return names;
  }
  std::string refusal() {
    const Status done = keep();
    return done ? "kept" : done.error().detail;
  }

  const fs::path root_ = [] {
    std::string pattern = ::testing::TempDir() + "workshop-XXXXXX";
    return fs::path(::mkdtemp(pattern.data()));
  }();
  Recipe recipe_;
  std::unique_ptr<LayerStore> layers_;
  fs::path folder_;
};

TEST_F(WorkshopTest, KeepsAllThatNpmAndItsScriptsHaveMade) {
  write("node_modules/x/index.js");
  write("packages/a/node_modules/x/index.js");
  write("gen/g.js");
  write("packages/a/index.js", "c");
  write(".build/npm/cache");
  ::chmod((folder_ / "packages/a/run").c_str(), 0777);
  EXPECT_THAT(kept(), UnorderedElementsAre("node_modules/x/index.js", "packages/a/node_modules/x/index.js",
                                           "gen/g.js", "packages/a/index.js", "packages/a/run"));
}

TEST_F(WorkshopTest, LinksAreKeptAndNeverFollowed) {
  fs::create_directory(root_ / "outside");
  std::ofstream(root_ / "outside/file") << "theirs";
  bundle::remove_tree(folder_ / "packages");
  fs::create_symlink(root_ / "outside", folder_ / "packages");
  bundle::remove_tree(folder_ / ".build");
  fs::create_symlink(root_ / "outside", folder_ / ".build");
  EXPECT_THAT(kept(), UnorderedElementsAre("packages"));
  EXPECT_TRUE(fs::exists(root_ / "outside/file"));
}

TEST_F(WorkshopTest, ThereIsAlwaysAFolderOfPackages) {
  EXPECT_THAT(kept(), IsEmpty());
  EXPECT_TRUE(fs::is_directory(*layers_->find("key") / kNodeModules));
}

TEST_F(WorkshopTest, OtherToolsMakeTheirOutputOnly) {
  recipe_.kind = api::BuildKind::kPython;
  recipe_.output = kPythonPackages;
  write("python_packages/x.py");
  write("packages/a/build/x.o");
  EXPECT_THAT(kept(), UnorderedElementsAre("python_packages/x.py"));
}

TEST_F(WorkshopTest, ManyEmptyFilesAreTooMuch) {
  for (int i = 0; i < 1200; ++i) write("node_modules/" + std::to_string(i), "");
  EXPECT_THAT(refusal(), HasSubstr("build.disk_mb"));
}

TEST_F(WorkshopTest, WhatLiesBelowAPathThatIsTooLongIsFound) {
  const std::string name(200, 'd');
  int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 25; ++i) {
    ASSERT_EQ(::mkdirat(folder, name.c_str(), 0777), 0);
    const int next = ::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::close(folder);
    folder = next;
  }
  EXPECT_THAT(refusal(), HasSubstr("cannot look through"));
  const UniqueFd file(::openat(folder, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  const std::string bytes(kMaxBytes + 1, 'x');
  ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_THAT(refusal(), HasSubstr("build.disk_mb"));
  ::close(folder);
  bundle::remove_tree(folder_);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST(Excess, CountsWhatHasNoName) {
  EXPECT_EQ(excess_of({.bytes = 10, .entries = 1}, 10, 20), "");
  EXPECT_THAT(excess_of({.bytes = 10, .entries = 1}, 11, 20), HasSubstr("build.disk_mb"));
}

}  // namespace
}  // namespace sterna::build
