#include "bundle/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>

namespace sterna::bundle {
namespace {

constexpr std::size_t kMaxBytes = 64U << 20;

// One raw entry of a hostile archive.
struct Raw {
  std::string name;
  std::string content;
  unsigned int type = AE_IFREG;
  std::string link;
  std::string hardlink;
};

std::string gzip(std::string_view content) {
  std::string bytes(std::size_t{2} << 20, '\0');
  std::size_t used = 0;
  std::unique_ptr<archive, decltype(&archive_write_free)> to(archive_write_new(), &archive_write_free);
  archive_write_set_format_raw(to.get());
  archive_write_add_filter_gzip(to.get());
  EXPECT_EQ(archive_write_open_memory(to.get(), bytes.data(), bytes.size(), &used), ARCHIVE_OK);
  std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                      &archive_entry_free);
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  EXPECT_EQ(archive_write_header(to.get(), entry.get()), ARCHIVE_OK);
  archive_write_data(to.get(), content.data(), content.size());
  EXPECT_EQ(archive_write_close(to.get()), ARCHIVE_OK);
  bytes.resize(used);
  return bytes;
}

// Files that are empty, each with a pax header of a million bytes.
enum class Members : std::uint8_t { kOne, kMany };
std::string comments(std::size_t count, Members members) {
  constexpr std::size_t kSize = 1'000'000;
  std::string body = std::to_string(kSize) + " comment=";
  body.append(kSize - body.size() - 1, 'a').append(1, '\n');
  std::string tar;
  std::string packed;
  const auto write = [&](std::string block) {
    block.resize((block.size() + 511) / 512 * 512);
    tar += block;
  };
  const auto header = [&](const std::string& name, std::string_view size, char type) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name)
        .replace(100, 7, "0000644")
        .replace(124, 11, size)
        .replace(136, 11, "00000000000");
    block.replace(148, 8, "        ").replace(156, 1, 1, type).replace(257, 8, std::string("ustar\00000", 8));
    unsigned int sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    write(block);
  };
  for (std::size_t i = 0; i < count; ++i) {
    header("pax", fmt::format("{:011o}", kSize), 'x');
    write(body);
    header(std::to_string(i), "00000000000", '0');
    if (members == Members::kMany) packed += gzip(std::exchange(tar, {}));
  }
  return members == Members::kMany ? packed : gzip(tar);
}

std::string make(ArchiveKind kind, const std::vector<Raw>& entries) {
  std::string bytes(1 << 20, '\0');
  std::size_t used = 0;
  std::unique_ptr<archive, decltype(&archive_write_free)> to(archive_write_new(), &archive_write_free);
  if (kind == ArchiveKind::kZip) {
    archive_write_set_format_zip(to.get());
    archive_write_set_options(to.get(), "hdrcharset=UTF-8");
  } else {
    archive_write_set_format_pax(to.get());
    archive_write_add_filter_gzip(to.get());
  }
  EXPECT_EQ(archive_write_open_memory(to.get(), bytes.data(), bytes.size(), &used), ARCHIVE_OK);
  for (const Raw& raw : entries) {
    std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                        &archive_entry_free);
    archive_entry_set_pathname_utf8(entry.get(), raw.name.c_str());
    archive_entry_set_filetype(entry.get(), raw.type);
    archive_entry_set_perm(entry.get(), 0644);
    if (!raw.link.empty()) archive_entry_set_symlink(entry.get(), raw.link.c_str());
    if (!raw.hardlink.empty()) archive_entry_set_hardlink(entry.get(), raw.hardlink.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(raw.content.size()));
    EXPECT_GE(archive_write_header(to.get(), entry.get()), ARCHIVE_WARN) << archive_error_string(to.get());
    archive_write_data(to.get(), raw.content.data(), raw.content.size());
  }
  EXPECT_EQ(archive_write_close(to.get()), ARCHIVE_OK);
  bytes.resize(used);
  return bytes;
}

class ArchiveTest : public ::testing::TestWithParam<ArchiveKind> {
 protected:
  static std::string refusal(const std::string& bytes) {
    const auto files = unpack(bytes, GetParam(), kMaxBytes);
    return files ? "unpacked" : files.error().reason;
  }
  static std::string refusal(const std::vector<Raw>& entries) { return refusal(make(GetParam(), entries)); }
};

TEST_P(ArchiveTest, PacksAndUnpacks) {
  const Files files = {{"bin/run", "#!/bin/sh\n", Executable::kYes},
                       {"data.bin", std::string("\0\r\n\xff", 4), Executable::kNo},
                       {"empty", "", Executable::kNo},
                       {"handler.py", "def handle(req): pass\n", Executable::kNo},
                       {"ünï/日本.txt", "x", Executable::kNo}};
  const auto bytes = pack(files, GetParam());
  ASSERT_TRUE(bytes) << bytes.error().detail;
  const auto again = unpack(*bytes, GetParam(), kMaxBytes);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(*again, files);
  EXPECT_EQ(pack(files, GetParam()).value(), *bytes);
}

TEST_P(ArchiveTest, LeadingDotsAndFoldersAreFine) {
  const auto files = unpack(make(GetParam(), {{"./", "", AE_IFDIR, "", ""},
                                              {"./pkg/", "", AE_IFDIR, "", ""},
                                              {"./pkg/a.py", "1", AE_IFREG, "", ""},
                                              {"./handler.py", "2", AE_IFREG, "", ""}}),
                            GetParam(), kMaxBytes);
  ASSERT_TRUE(files) << files.error().detail;
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].path, "handler.py");
  EXPECT_EQ((*files)[1].path, "pkg/a.py");
}

TEST_P(ArchiveTest, RefusesPathsThatLeaveTheFolder) {
  for (const char* name :
       {"../x", "a/../../x", "/etc/passwd", "a/..", "..\\x", "C:\\x", "C:x", "./C:x", "a\nb"}) {
    EXPECT_EQ(refusal({{name, "x", AE_IFREG, "", ""}}), "bad_bundle_path") << name;
  }
}

TEST_P(ArchiveTest, RefusesSymbolicLinks) {
  EXPECT_EQ(refusal({{"a", "", AE_IFLNK, "/etc/passwd", ""}}), "bad_bundle_path");
}

TEST_P(ArchiveTest, RefusesDuplicatesAndFilesThatAreFolders) {
  EXPECT_EQ(refusal({{"a", "1", AE_IFREG, "", ""}, {"./a", "2", AE_IFREG, "", ""}}), "bad_bundle_path");
  EXPECT_EQ(refusal({{"a", "1", AE_IFREG, "", ""}, {"a/b", "2", AE_IFREG, "", ""}}), "bad_bundle_path");
}

TEST_P(ArchiveTest, RefusesBombs) {
  const std::string zeros(std::size_t{20} << 20, '\0');
  EXPECT_EQ(refusal({{"a", zeros, AE_IFREG, "", ""}}), "bad_archive");
}

TEST_P(ArchiveTest, RefusesMoreThanItMayUnpackTo) {
  const std::string bytes = make(GetParam(), {{"a", std::string(600, 'a'), AE_IFREG, "", ""},
                                              {"b", std::string(400, 'b'), AE_IFREG, "", ""}});
  EXPECT_TRUE(unpack(bytes, GetParam(), 1000));
  EXPECT_EQ(unpack(bytes, GetParam(), 999).error().reason, "bundle_too_large");
}

// libarchive fills what it takes for a tape up to 10,240 bytes.
TEST_P(ArchiveTest, NothingIsBehindTheEnd) {
  const auto bytes = pack({{"handler.py", "x", Executable::kNo}}, GetParam());
  ASSERT_TRUE(bytes);
  EXPECT_LT(bytes->size(), 500U);
}

TEST_P(ArchiveTest, RefusesTooManyFiles) {
  std::vector<Raw> entries;
  for (std::size_t i = 0; i <= kMaxFiles; ++i) entries.push_back({std::to_string(i), "", AE_IFREG, "", ""});
  EXPECT_EQ(refusal(entries), "bundle_too_large");
}

TEST_P(ArchiveTest, RefusesWhatIsBroken) {
  std::string noise;
  for (unsigned int i = 0; i < 5000; ++i) noise += static_cast<char>((i * i * 31 + i / 7) & 0xff);
  const std::string whole = make(GetParam(), {{"handler.py", noise, AE_IFREG, "", ""}});
  EXPECT_EQ(refusal(whole), "unpacked");
  EXPECT_EQ(refusal(whole.substr(0, whole.size() / 2)), "bad_archive");
  std::string damaged = whole;
  for (std::size_t i = 0; i < 40; ++i) damaged[damaged.size() / 3 + i] ^= 0x55;
  EXPECT_EQ(refusal(damaged), "bad_archive");
  EXPECT_EQ(refusal(std::string("hello, I am no archive at all")), "bad_archive");
  EXPECT_EQ(refusal(std::string()), "bad_archive");
}

// Whatever is flipped, the answer is files or an Error.
TEST_P(ArchiveTest, SurvivesEveryFlippedByte) {
  const std::string whole = make(GetParam(), {{"handler.py", "def handle(req): pass", AE_IFREG, "", ""},
                                              {"pkg/", "", AE_IFDIR, "", ""},
                                              {"pkg/a.py", "x", AE_IFREG, "", ""}});
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] ^= 0x41;
    if (refusal(flipped) != "unpacked") ++refused;
  }
  EXPECT_GT(refused, whole.size() / 4);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArchiveTest, ::testing::Values(ArchiveKind::kZip, ArchiveKind::kTarGz),
                         [](const auto& kind) { return kind.param == ArchiveKind::kZip ? "Zip" : "TarGz"; });

TEST(TarGz, RefusesHardLinksDevicesAndPipes) {
  const auto reason = [](const Raw& raw) {
    return unpack(make(ArchiveKind::kTarGz, {raw}), ArchiveKind::kTarGz, kMaxBytes).error().reason;
  };
  EXPECT_EQ(reason({"a", "", AE_IFREG, "", "/etc/passwd"}), "bad_bundle_path");
  EXPECT_EQ(reason({"a", "", AE_IFCHR, "", ""}), "bad_bundle_path");
  EXPECT_EQ(reason({"a", "", AE_IFBLK, "", ""}), "bad_bundle_path");
  EXPECT_EQ(reason({"a", "", AE_IFIFO, "", ""}), "bad_bundle_path");
}

TEST(TarGz, RefusesHeadersWithoutEnd) {
  for (const Members members : {Members::kOne, Members::kMany}) {
    const auto few = unpack(comments(1, members), ArchiveKind::kTarGz, kMaxBytes);
    EXPECT_TRUE(few) << few.error().detail;
    const auto many = unpack(comments(100, members), ArchiveKind::kTarGz, kMaxBytes);
    ASSERT_FALSE(many);
    EXPECT_EQ(many.error().reason, "bad_archive");
    EXPECT_TRUE(many.error().detail.contains("says about its files")) << many.error().detail;
  }
}

TEST(TarGz, IsCompressedOnce) {
  const std::string once = make(ArchiveKind::kTarGz, {{"handler.py", "x", AE_IFREG, "", ""}});
  const auto twice = unpack(gzip(once), ArchiveKind::kTarGz, kMaxBytes);
  ASSERT_FALSE(twice);
  EXPECT_TRUE(twice.error().detail.contains("gzip in gzip")) << twice.error().detail;
}

TEST(Zip, OneKindIsNotTakenForTheOther) {
  const std::string zip = make(ArchiveKind::kZip, {{"handler.py", "x", AE_IFREG, "", ""}});
  EXPECT_FALSE(unpack(zip, ArchiveKind::kTarGz, kMaxBytes));
  const std::string tar = make(ArchiveKind::kTarGz, {{"handler.py", "x", AE_IFREG, "", ""}});
  EXPECT_FALSE(unpack(tar, ArchiveKind::kZip, kMaxBytes));
}

// What a zip says in front of its files, and in its directory.
class TwoOpinions : public ::testing::Test {
 protected:
  static std::string refusal(const std::string& zip) {
    const auto files = unpack(zip, ArchiveKind::kZip, kMaxBytes);
    return files ? "unpacked" : files.error().reason + ": " + files.error().detail;
  }
  // The entry of a file in the directory, which ends with it.
  std::size_t in_directory(std::string_view name) const { return zip_.rfind(name) - 46; }

  std::string zip_ = *pack({{"good.txt", "hello", Executable::kNo}, {"handler.py", "x", Executable::kNo}},
                           ArchiveKind::kZip);
};

TEST_F(TwoOpinions, AreTheSame) {
  EXPECT_EQ(refusal(zip_), "unpacked");
  EXPECT_EQ(refusal("#!/bin/sh\nunzip $0\n" + zip_), "unpacked");
}

TEST_F(TwoOpinions, AboutANameAreRefused) {
  zip_.replace(zip_.find("good.txt"), 8, "evil.txt");
  EXPECT_TRUE(refusal(zip_).starts_with("bad_bundle_path: \"evil.txt\"")) << refusal(zip_);
}

TEST_F(TwoOpinions, AboutAMethodAreRefused) {
  zip_[in_directory("good.txt") + 10] ^= 8;
  EXPECT_TRUE(refusal(zip_).starts_with("bad_bundle_path: \"good.txt\"")) << refusal(zip_);
}

TEST_F(TwoOpinions, AboutHowManyThereAreAreRefused) {
  const std::size_t last = in_directory("handler.py");
  const std::size_t end = zip_.rfind("PK\5\6");
  const std::size_t entry = end - last;
  std::string fewer = zip_;
  fewer.erase(last, entry);
  EXPECT_TRUE(refusal(fewer).contains("not where it says")) << refusal(fewer);
  const std::size_t new_end = fewer.rfind("PK\5\6");
  fewer[new_end + 12] = static_cast<char>(new_end - in_directory("good.txt"));
  EXPECT_TRUE(refusal(fewer).contains("not as many")) << refusal(fewer);
  fewer[new_end + 8] = fewer[new_end + 10] = 1;
  EXPECT_TRUE(refusal(fewer).contains("its directory does not have")) << refusal(fewer);
}

TEST_F(TwoOpinions, AboutWhereAFileIsAreRefused) {
  std::string twice = zip_;
  std::string other = zip_;
  const std::size_t offset = in_directory("handler.py") + 42;
  twice.replace(offset, 4, 4, '\0');
  EXPECT_TRUE(refusal(twice).starts_with("bad_bundle_path")) << refusal(twice);
  other[offset] ^= 1;
  EXPECT_TRUE(refusal(other).contains("leads to no entry")) << refusal(other);
}

// Found by tests/fuzz: libarchive takes an end record that is damaged for the end of an empty archive.
TEST(Archive, WithoutAFileIsBroken) {
  std::string damaged = *pack({{"handler.py", "x", Executable::kNo}}, ArchiveKind::kZip);
  damaged.insert(damaged.rfind("PK\5\6") + 8, 1, '\0');
  const auto files = unpack(damaged, ArchiveKind::kZip, kMaxBytes);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().reason, "bad_archive");
}

}  // namespace
}  // namespace sterna::bundle
