#include "registry/secret_box.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

namespace sterna::registry {
namespace {

class SecretBoxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "secret-box-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const std::string& name = "key") const { return folder_ / name; }
  std::string text(const std::filesystem::path& path) const {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  SecretBox open(const std::string& name = "key") {
    auto box = SecretBox::open(file(name), SecretBox::MissingKey::kMake);
    EXPECT_TRUE(box) << box.error().detail;
    return std::move(*box);
  }
  std::string refusal(SecretBox::MissingKey missing = SecretBox::MissingKey::kMake) {
    const auto box = SecretBox::open(file(), missing);
    return box ? "none" : box.error().reason;
  }

  std::filesystem::path folder_;
};

TEST_F(SecretBoxTest, OpensWhatItSealed) {
  const SecretBox box = open();
  for (const std::string& value : {std::string(), std::string("p4ss"), std::string(65536, '\0')}) {
    EXPECT_EQ(*box.unseal(box.seal(value, "space A"), "space A"), value);
  }
}

TEST_F(SecretBoxTest, SealsTheSameValueDifferentlyEachTime) {
  const SecretBox box = open();
  EXPECT_NE(box.seal("p4ss", "A"), box.seal("p4ss", "A"));
  EXPECT_FALSE(box.seal("p4ss", "A").contains("p4ss"));
}

TEST_F(SecretBoxTest, OpensNothingElse) {
  const SecretBox box = open();
  const std::string sealed = box.seal("p4ss", "A");
  EXPECT_EQ(box.unseal(sealed, "B").error().reason, "secret_not_opened");
  EXPECT_FALSE(open("other").unseal(sealed, "A"));
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(box.unseal(changed, "A")) << at;
    EXPECT_FALSE(box.unseal(sealed.substr(0, at), "A")) << at;
  }
}

TEST_F(SecretBoxTest, KeyIsMadeOnceForItsOwnerOnly) {
  const std::string sealed = open().seal("p4ss", "A");
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  const std::string key = text(file());
  EXPECT_TRUE(key.starts_with("sterna-secrets-key-1:"));
  EXPECT_EQ(*open().unseal(sealed, "A"), "p4ss");
  EXPECT_EQ(text(file()), key);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(SecretBoxTest, DraftThatACrashLeftIsNoKey) {
  std::ofstream(file("key.new")) << "half";
  const SecretBox box = open();
  EXPECT_EQ(*box.unseal(box.seal("v", "A"), "A"), "v");
  EXPECT_FALSE(std::filesystem::exists(file("key.new")));
}

TEST_F(SecretBoxTest, KeyThatOthersMayReadIsRefused) {
  open();
  for (const ::mode_t mode : {0640U, 0604U, 0620U}) {
    ASSERT_EQ(::chmod(file().c_str(), mode), 0);
    EXPECT_EQ(refusal(), "secrets_key_exposed") << mode;
  }
  ASSERT_EQ(::chmod(file().c_str(), 0400), 0);
  EXPECT_EQ(refusal(), "none");
}

TEST_F(SecretBoxTest, BrokenKeyIsRefusedAndLeftAlone) {
  for (const char* broken : {"", "sterna-secrets-key-1:AAAA\n", "sterna-secrets-key-1:not base64",
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}) {
    std::ofstream(file()) << broken;
    ASSERT_EQ(::chmod(file().c_str(), 0600), 0);
    EXPECT_EQ(refusal(), "secrets_key_broken") << broken;
    EXPECT_EQ(text(file()), broken);
  }
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_EQ(refusal(), "secrets_key_exposed");
}

TEST_F(SecretBoxTest, NeededKeyIsNotMade) {
  EXPECT_EQ(refusal(SecretBox::MissingKey::kNeed), "secrets_key_missing");
  EXPECT_FALSE(std::filesystem::exists(file()));
}

}  // namespace
}  // namespace sterna::registry
