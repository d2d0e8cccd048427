// sterna init: what it writes can be deployed, and nothing is overwritten.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "api/templates.h"
#include "cli/commands.h"
#include "cli/run_program.h"
#include "cli/starters.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class InitTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "sterna-init-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Ran init(const fs::path& folder, const char* template_name) {
    return run({"init", folder.c_str(), "--template", template_name});
  }

  fs::path folder_;
};

TEST_F(InitTest, EveryStarterCanBeDeployed) {
  for (const StarterFile& file : starter_files()) {
    const std::string name(file.template_name);
    const fs::path folder = folder_ / name;
    if (fs::exists(folder)) continue;
    const Ran ran = init(folder, name.c_str());
    ASSERT_EQ(ran.status, kExitOk) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("sterna deploy " + folder.native()));
    const auto code = read_deployable(folder, {});
    ASSERT_TRUE(code) << code.error().detail;
    EXPECT_EQ(code->settings["name"], name);
    EXPECT_EQ(code->settings["template"], name);
    ASSERT_FALSE(code->files.empty());
    for (const PackedFile& packed : code->files) {
      EXPECT_THAT(packed.content, Not(HasSubstr("{{"))) << packed.path;
      EXPECT_EQ(packed.executable, packed.content.starts_with("#!")) << packed.path;
    }
  }
}

TEST_F(InitTest, TheStartersAreThoseOfTheTable) {
  for (const StarterFile& file : starter_files()) {
    const api::Template* row = api::find_template(file.template_name);
    ASSERT_NE(row, nullptr) << file.template_name;
    EXPECT_EQ(row->name, file.template_name);
  }
}

TEST_F(InitTest, AliasesAndVersionsOfATemplateBeginLikeIt) {
  ASSERT_EQ(init(folder_ / "short", "node").status, kExitOk);
  EXPECT_TRUE(fs::exists(folder_ / "short/handler.js"));
  EXPECT_EQ(read_deployable(folder_ / "short", {})->settings["template"], "node");
  ASSERT_EQ(init(folder_ / "old", "python3.11-http").status, kExitOk);
  EXPECT_EQ(read_deployable(folder_ / "old", {})->settings["template"], "python3.11-http");
}

TEST_F(InitTest, NothingIsOverwritten) {
  std::ofstream(folder_ / "handler.py") << "mine";
  const fs::path folder = folder_ / "taken";
  fs::create_directory(folder);
  std::ofstream(folder / "handler.py") << "mine";
  const Ran ran = init(folder, "python3");
  EXPECT_EQ(ran.status, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("taken/handler.py is there already"));
  EXPECT_FALSE(fs::exists(folder / "function.toml"));
  EXPECT_EQ(fs::file_size(folder / "handler.py"), 4U);
}

TEST_F(InitTest, AnEmptyFolderIsFilled) {
  fs::create_directory(folder_ / "empty");
  const Ran ran = run({"init", (folder_ / "empty/").c_str(), "--json"});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  const auto told = api::parse_json(ran.out);
  ASSERT_TRUE(told);
  EXPECT_EQ((*told)["name"], "empty");
  EXPECT_EQ((*told)["files"].size(), 2U);
  EXPECT_TRUE(fs::exists(folder_ / "empty/function.toml"));
}

TEST_F(InitTest, UnknownTemplatesAndBadNamesAreRefused) {
  const Ran unknown = init(folder_ / "other", "cobol");
  EXPECT_EQ(unknown.status, kExitUsage);
  EXPECT_THAT(unknown.err, HasSubstr("use python3-http, node-http, cpp, http"));
  EXPECT_EQ(init(folder_ / "Bad_Name", "python3").status, kExitUsage);
  EXPECT_FALSE(fs::exists(folder_ / "Bad_Name"));
}

}  // namespace
}  // namespace sterna::cli
