#include "bundle/bundle_store.h"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace sterna::bundle {
namespace {

namespace fs = std::filesystem;

class BundleStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "bundles-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = fs::path(pattern) / "bundles";
    store_ = std::move(*BundleStore::open(root_));
  }
  void TearDown() override {
    ASSERT_TRUE(store_->sweep({}));
    fs::remove_all(root_.parent_path());
  }

  static mode_t mode(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }
  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(root_), fs::directory_iterator());
  }

  const Files files_ = {{"bin/deep/run", "#!/bin/sh\n", Executable::kYes},
                        {"handler.py", "pass", Executable::kNo}};
  fs::path root_;
  std::unique_ptr<BundleStore> store_;
};

TEST_F(BundleStoreTest, PutsReadOnlyFilesThatEveryoneCanRead) {
  const ::mode_t before = ::umask(0077);
  const auto hash = store_->put(files_, "default");
  ::umask(before);
  ASSERT_TRUE(hash) << hash.error().detail;
  EXPECT_EQ(*hash, hash_of(files_, "default"));
  const fs::path path = store_->path_of(*hash);
  EXPECT_EQ(mode(path), 0555U);
  EXPECT_EQ(mode(path / "bin"), 0555U);
  EXPECT_EQ(mode(path / "bin/deep"), 0555U);
  EXPECT_EQ(mode(path / "bin/deep/run"), 0555U);
  EXPECT_EQ(mode(path / "handler.py"), 0444U);
  EXPECT_EQ(store_->load(*hash).value(), files_);
  EXPECT_EQ(entries(), 1);
}

TEST_F(BundleStoreTest, SameFilesAreThereOnce) {
  const auto first = store_->put(files_, "default");
  const auto second = store_->put(files_, "default");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(entries(), 1);
}

TEST_F(BundleStoreTest, SpacesShareNothing) {
  const std::string first = store_->put(files_, "a").value();
  const std::string second = store_->put(files_, "b").value();
  EXPECT_NE(first, second);
  EXPECT_FALSE(fs::equivalent(store_->path_of(first) / "handler.py", store_->path_of(second) / "handler.py"));
}

TEST_F(BundleStoreTest, RemovedBundlesAreNotFound) {
  const std::string hash = store_->put(files_, "default").value();
  ASSERT_TRUE(store_->remove(hash));
  EXPECT_EQ(entries(), 0);
  EXPECT_EQ(store_->load(hash).error().reason, "bundle_not_found");
  EXPECT_TRUE(store_->remove(hash));
}

TEST_F(BundleStoreTest, SweepKeepsWhatIsUsed) {
  const std::string used = store_->put(files_, "default").value();
  const std::string unused = store_->put({{"handler.py", "other", Executable::kNo}}, "default").value();
  ASSERT_TRUE(store_->sweep({used}));
  EXPECT_TRUE(store_->load(used));
  EXPECT_FALSE(store_->load(unused));
}

TEST_F(BundleStoreTest, ComposedBundlesShareTheirFiles) {
  const std::string hash = *store_->put(files_, "default");
  const fs::path layer = root_.parent_path() / "layer";
  fs::create_directories(layer / "packages/deep");
  std::ofstream(layer / "packages/deep/file") << "x";
  std::ofstream(layer / "handler.py") << "changed";
  fs::create_directories(layer / "bin/deep/made");
  std::ofstream(layer / "bin/deep/made/file") << "x";
  fs::create_symlink("/etc", layer / "bin/deep/made/link");
  fs::create_symlink("deep/file", layer / "packages/link");
  ASSERT_TRUE(store_->compose(hash, "layer1", layer));
  ASSERT_TRUE(store_->compose(hash, "layer1", layer));
  const fs::path made = store_->composed_path(hash, "layer1");
  EXPECT_EQ(fs::hard_link_count(made / "packages/deep/file"), 2U);
  EXPECT_EQ(fs::hard_link_count(made / "bin/deep/run"), 2U);
  EXPECT_EQ(fs::read_symlink(made / "packages/link"), "deep/file");
  EXPECT_EQ(mode(made), 0555U);
  EXPECT_EQ(mode(made / "packages/deep"), 0555U);
  EXPECT_EQ(fs::file_size(made / "handler.py"), 7U);  // by the build
  EXPECT_EQ(fs::file_size(store_->path_of(hash) / "handler.py"), 4U);
  EXPECT_EQ(mode(made / "bin/deep"), 0555U);  // filled by both
  EXPECT_TRUE(fs::exists(made / "bin/deep/made/file"));
  EXPECT_EQ(fs::read_symlink(made / "bin/deep/made/link"), "/etc");

  ASSERT_TRUE(store_->compose(hash, "layer2", layer));
  ASSERT_TRUE(store_->sweep_composed({{hash, "layer2"}}));
  EXPECT_FALSE(fs::exists(made));
  ASSERT_TRUE(store_->remove(hash));
  EXPECT_FALSE(fs::exists(store_->composed_path(hash, "layer2")));
  EXPECT_EQ(store_->compose(hash, "layer1", layer).error().reason, "bundle_not_found");
  EXPECT_FALSE(fs::exists(made));
  EXPECT_TRUE(fs::exists(layer / "packages/deep/file"));
}

// The file system takes this thread for another user's, without the rights of root.
class AsUser {
 public:
  AsUser() {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0) ::setfsuid(kNobody);
  }
  ~AsUser() { ::setfsuid(::geteuid()); }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};

TEST_F(BundleStoreTest, AUserComposesAndRemovesBundles) {
  const AsUser user;
  std::string folder = ::testing::TempDir() + "user-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const fs::path layer = fs::path(folder) / "layer";
  fs::create_directories(layer / "packages");
  std::ofstream(layer / "packages/file") << "x";
  const auto store = *BundleStore::open(fs::path(folder) / "bundles");
  const std::string hash = store->put(files_, "default").value();
  for (const char* name : {"layer1", "layer2"}) {
    const Status composed = store->compose(hash, name, layer);
    ASSERT_TRUE(composed) << composed.error().detail;
    EXPECT_EQ(mode(store->composed_path(hash, name)), 0555U);
  }
  const Status swept = store->sweep_composed({{hash, "layer2"}});
  ASSERT_TRUE(swept) << swept.error().detail;
  EXPECT_FALSE(fs::exists(store->composed_path(hash, "layer1")));
  ASSERT_TRUE(store->remove(hash));
  EXPECT_FALSE(fs::exists(store->composed_path(hash, "layer2")));
  fs::remove_all(folder);
}

TEST_F(BundleStoreTest, OpeningClearsHalfWrittenBundles) {
  fs::create_directories(root_ / ".new-abc/sub");
  std::ofstream(root_ / ".new-abc/sub/file") << "x";
  fs::permissions(root_ / ".new-abc/sub", fs::perms(0555));
  const std::string hash = store_->put(files_, "default").value();
  store_ = std::move(*BundleStore::open(root_));
  EXPECT_EQ(entries(), 1);
  EXPECT_TRUE(store_->load(hash));
}

TEST_F(BundleStoreTest, RootThatCannotBeMadeIsAnError) {
  std::ofstream(root_ / "file") << "x";
  const auto store = BundleStore::open(root_ / "file");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kIo);
  fs::remove(root_ / "file");
}

}  // namespace
}  // namespace sterna::bundle
