#include "cli/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "cli/manifest.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    std::string pattern = testing::TempDir() + "/packXXXXXX";
    folder_ = fs::path(mkdtemp(pattern.data())) / "My_App";
    fs::create_directory(folder_);
  }
  ~FolderTest() override { fs::remove_all(folder_.parent_path()); }

  void write(const fs::path& name, std::string_view text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }

  fs::path folder_;
};

std::vector<PackedFile> unpack(const std::string& bytes) {
  std::vector<PackedFile> files;
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  archive_read_support_filter_gzip(reader);
  EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(reader, content.data(), content.size()),
              static_cast<la_ssize_t>(content.size()));
    files.push_back({archive_entry_pathname(entry), content, (archive_entry_perm(entry) & 0111) != 0});
  }
  archive_read_free(reader);
  return files;
}

TEST_F(FolderTest, CollectsFilesSortedAndSkipsWhatToolsLeave) {
  write("handler.py", "h");
  write("data/b.txt", "b");
  write("data/.hidden", "");
  write("function.toml", "");
  write(".git/config", "");
  write("__pycache__/handler.pyc", "");
  write("old.pyc", "");
  write("node_modules/.bin/a", "");
  write("venv/pyvenv.cfg", "");
  fs::create_directories(folder_ / "venv/bin");
  fs::create_symlink("/usr/bin/python3", folder_ / "venv/bin/python");
  write("node_modules/a/index.js", "m");
  write("run.sh", "r");
  fs::permissions(folder_ / "run.sh", fs::perms::owner_all);
  const auto files = collect_files(folder_);
  ASSERT_TRUE(files) << files.error().detail;
  EXPECT_THAT(*files, ElementsAre(PackedFile{"data/b.txt", "b", false}, PackedFile{"handler.py", "h", false},
                                  PackedFile{"node_modules/a/index.js", "m", false},
                                  PackedFile{"run.sh", "r", true}));
  EXPECT_EQ(total_bytes(*files), 4U);
}

TEST_F(FolderTest, RefusesLinksAndEmptyFolders) {
  EXPECT_THAT(collect_files(folder_).error().detail, HasSubstr("no files to deploy"));
  write("handler.py", "h");
  fs::create_symlink("/etc/passwd", folder_ / "link");
  EXPECT_THAT(collect_files(folder_).error().detail, HasSubstr("link is a link"));
  EXPECT_THAT(collect_files(folder_ / "absent").error().detail, HasSubstr("cannot read"));
}

TEST_F(FolderTest, NamesWhatItCannotSend) {
  write("latin\xe9", "x");
  EXPECT_THAT(collect_files(folder_).error().detail, HasSubstr("a name that is not UTF-8: rename it"));
  fs::remove(folder_ / "latin\xe9");
  write("handler.js", "");
  for (std::size_t i = 0; i < kMaxFiles; ++i) write("node_modules/a/" + std::to_string(i), "");
  EXPECT_THAT(collect_files(folder_).error().detail, HasSubstr("of them in node_modules: deploy a folder"));
}

TEST_F(FolderTest, ReadsAtMostTheLimit) {
  write("a", "12345");
  EXPECT_EQ(read_file(folder_ / "a", 5).value(), "12345");
  EXPECT_THAT(read_file(folder_ / "a", 4).error().detail, HasSubstr("too large"));
  EXPECT_THAT(read_file(folder_, 4).error().detail, HasSubstr("Is a directory"));
  EXPECT_THAT(read_file(folder_ / "b", 4).error().detail, HasSubstr("No such file"));
}

TEST_F(FolderTest, ReadsPipesToTheirEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "12345", 5), 5);
  ::close(ends[1]);
  EXPECT_EQ(read_file(fmt::format("/proc/self/fd/{}", ends[0]), 5).value(), "12345");
  ::close(ends[0]);
}

TEST(Pack, MakesAnArchiveThatGivesTheFilesBack) {
  const std::vector<PackedFile> files = {{"a/\xc3\xa4.txt", std::string("\0x", 2), false}, {"run", "", true}};
  const auto bytes = pack_tar_gz(files);
  ASSERT_TRUE(bytes) << bytes.error().detail;
  EXPECT_EQ(unpack(*bytes), files);
  EXPECT_EQ(pack_tar_gz(files).value(), *bytes);
}

TEST(Pack, MakesJsonOfBase64) {
  EXPECT_EQ(files_json({{"handler.py", "hi", false}}).dump(), R"({"handler.py":"aGk="})");
}

TEST_F(FolderTest, DeploysAFolderWithItsManifest) {
  write("handler.py", "h");
  write("function.toml", "description = 'd'\n[env]\nA = '1'\n[limits]\nmemory_mb = 64\ncpus = 0.5\n");
  const auto code = read_deployable(folder_, {.name = "", .template_name = "", .env = {"B=x=y"}});
  ASSERT_TRUE(code) << code.error().detail;
  EXPECT_EQ(
      code->settings.dump(),
      R"({"description":"d","env":{"A":"1","B":"x=y"},"limits":{"cpus":0.5,"memory_mb":64},"name":"my-app","template":"python3-http"})");
  EXPECT_EQ(code->files.size(), 1U);
}

TEST_F(FolderTest, DeploysOneFileUnderItsOwnName) {
  write("Hello_World.py", "code");
  const auto code = read_deployable(folder_ / "Hello_World.py", {});
  ASSERT_TRUE(code) << code.error().detail;
  EXPECT_EQ(code->settings.dump(), R"({"name":"hello-world","template":"python3-http"})");
  EXPECT_THAT(code->files, ElementsAre(PackedFile{"handler.py", "code", false}));
}

TEST_F(FolderTest, NamesAHandlerFileByItsFolder) {
  write("handler.py", "code");
  EXPECT_EQ(read_deployable(folder_ / "handler.py", {}).value().settings["name"], "my-app");
}

TEST_F(FolderTest, PrefersTheNameOfTheFlag) {
  write("handler.py", "h");
  write("function.toml", "name = 'from-file'\n");
  EXPECT_EQ(read_deployable(folder_, {}).value().settings["name"], "from-file");
  EXPECT_EQ(
      read_deployable(folder_, {.name = "flag", .template_name = "", .env = {}}).value().settings["name"],
      "flag");
}

TEST_F(FolderTest, SaysWhatIsWrongWithAPath) {
  write("a.txt", "");
  write("handler.py", "");
  EXPECT_THAT(read_deployable(folder_ / "none", {}).error().detail, HasSubstr("no such file"));
  EXPECT_THAT(read_deployable(folder_ / "a.txt", {}).error().detail, HasSubstr("must be .py"));
  EXPECT_THAT(read_deployable(folder_, {.name = "", .template_name = "", .env = {"A"}}).error().detail,
              HasSubstr("write KEY=value"));
  write("function.toml", "name = 3\n");
  EXPECT_THAT(read_deployable(folder_, {}).error().detail,
              HasSubstr("function.toml line 1: name must be text"));
  write("function.toml", "template = 'python3-http'\nname = 'T4'\n");
  EXPECT_THAT(read_deployable(folder_, {}).error().detail, HasSubstr("function.toml line 2: name 'T4': "));
  EXPECT_THAT(read_deployable(folder_, {.name = "T 5", .template_name = "", .env = {}}).error().detail,
              StartsWith("name 'T 5': "));
}

TEST_F(FolderTest, AsksForANameWhereThePathHasNone) {
  write("\xe5\x87\xbd/handler.py", "h");
  EXPECT_THAT(read_deployable(folder_ / "\xe5\x87\xbd", {}).error().detail,
              HasSubstr("choose one with --name"));
}

TEST(Manifest, NamesTheLineOfAMistake) {
  EXPECT_THAT(toml_to_json("a = 1\nb = ", "f.toml").error().detail, HasSubstr("f.toml line 2"));
  EXPECT_THAT(toml_to_json("a = 1\nb = 1979-05-27", "f.toml").error().detail,
              HasSubstr("f.toml line 2: dates"));
  EXPECT_EQ(toml_to_json("a = [1, true, 'x']", "f").value().dump(), R"({"a":[1,true,"x"]})");
}

TEST(Manifest, KnowsWhereEachFieldStands) {
  FieldPlaces places;
  ASSERT_TRUE(toml_to_json("name = 'a'\n[limits]\nmemory_mb = 1\n[env]\nA = 'b'\n", "f.toml", &places));
  EXPECT_EQ(places.at("limits.memory_mb"), "f.toml line 3");
  EXPECT_EQ(places.at("env.A"), "f.toml line 5");
  EXPECT_EQ(with_places("refused:\n  limits.memory_mb: too little\n  other: bad", places),
            "refused:\n  f.toml line 3: limits.memory_mb: too little\n  other: bad");
  EXPECT_EQ(with_places("refused", places), "refused");
}

TEST_F(FolderTest, HintsAtTheTemplateWhenNothingTellsIt) {
  write("index.js", "x");
  const std::string hint = read_deployable(folder_, {}).value().hint;
  EXPECT_THAT(hint, HasSubstr("--template"));
  EXPECT_THAT(hint, HasSubstr("index.js may be meant for node-http"));
  EXPECT_EQ(read_deployable(folder_, {.name = "", .template_name = "http", .env = {}}).value().hint, "");
  write("handler.js", "x");
  EXPECT_EQ(read_deployable(folder_, {}).value().hint, "");
}

TEST(Manifest, MakesNamesOfFileNames) {
  EXPECT_EQ(name_from("My Handler_2"), "my-handler-2");
  EXPECT_EQ(name_from("__a__"), "a");
  EXPECT_EQ(name_from("\xc3\xa4"), "");
}

}  // namespace
}  // namespace sterna::cli
