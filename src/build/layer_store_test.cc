#include "build/layer_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "bundle/folder_tree.h"

namespace sterna::build {
namespace {

namespace fs = std::filesystem;

class LayerStoreTest : public ::testing::Test {
 protected:
  LayerStoreTest() {
    std::string pattern = ::testing::TempDir() + "layers-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~LayerStoreTest() override { bundle::remove_tree(root_); }

  std::unique_ptr<LayerStore> open(std::uint64_t max_bytes = 1U << 30) {
    auto opened = LayerStore::open(root_ / "layers", max_bytes);
    EXPECT_TRUE(opened);
    return std::move(*opened);
  }
  // A workshop with a folder "made" that holds a file.
  static fs::path work(LayerStore& store, std::size_t bytes = 10) {
    const fs::path workshop = *store.make_workshop();
    fs::create_directory(workshop / "made");
    std::ofstream(workshop / "made/file") << std::string(bytes, 'x');
    return workshop;
  }
  static mode_t mode_of(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
  }

  fs::path root_;
};

TEST_F(LayerStoreTest, KeepsWhatWasMadeAcrossARestart) {
  {
    const auto store = open();
    EXPECT_FALSE(store->find("key"));
    ASSERT_TRUE(store->add("key", work(*store)));
  }
  const auto store = open();
  const auto files = store->find("key");
  ASSERT_TRUE(files);
  EXPECT_TRUE(fs::exists(*files / "made/file"));
  EXPECT_GT(store->bytes(), 0U);
}

TEST_F(LayerStoreTest, SealsWhatUserCodeHasLeft) {
  const auto store = open();
  const fs::path workshop = work(*store);
  const fs::path made = workshop / "made";
  std::ofstream(made / "program") << "#!/bin/sh\n";
  ::chmod((made / "program").c_str(), 04777);
  ::mkfifo((made / "pipe").c_str(), 0666);
  fs::create_symlink("/etc/passwd", made / "link");
  const fs::path files = *store->add("key", workshop) / "made";
  EXPECT_EQ(mode_of(files), 0555U);
  EXPECT_EQ(mode_of(files / "file"), 0444U);
  EXPECT_EQ(mode_of(files / "program"), 0555U);
  EXPECT_FALSE(fs::exists(files / "pipe"));
  EXPECT_EQ(fs::read_symlink(files / "link"), "/etc/passwd");
  EXPECT_NE(mode_of("/etc/passwd"), 0444U);
}

TEST_F(LayerStoreTest, AKeyThatIsThereStays) {
  const auto store = open();
  const auto first = store->add("key", work(*store));
  ASSERT_TRUE(store->add("key", work(*store, 500)));
  EXPECT_EQ(fs::file_size(*first / "made/file"), 10U);
}

TEST_F(LayerStoreTest, WhatIsHalfMadeGoesAtTheStart) {
  open();
  fs::create_directories(root_ / "layers/.new-1/files");
  fs::create_directories(root_ / "layers/.build-1/made");
  fs::create_directories(root_ / "layers/without-size/files");
  open();
  EXPECT_TRUE(fs::is_empty(root_ / "layers"));
}

TEST_F(LayerStoreTest, ThoseUsedLongestAgoGoFirst) {
  std::uint64_t one = 0;
  {
    const auto store = open();
    ASSERT_TRUE(store->add("a", work(*store)));
    one = store->bytes();
  }
  const auto store = open(one + one / 2);
  ASSERT_TRUE(store->add("b", work(*store)));
  ASSERT_TRUE(store->find("a"));
  store->evict({"b"});
  EXPECT_FALSE(store->find("a"));  // b is spared
  EXPECT_TRUE(store->find("b"));
  ASSERT_TRUE(store->add("c", work(*store)));
  ASSERT_TRUE(store->find("b"));
  store->evict({});
  EXPECT_FALSE(store->find("c"));
  EXPECT_TRUE(store->find("b"));
  EXPECT_FALSE(fs::exists(root_ / "layers/c"));
}

}  // namespace
}  // namespace sterna::build
