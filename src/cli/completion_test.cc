#include "cli/completion.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>

#include "cli/run_program.h"
#include "cli/test_server.h"

namespace sterna::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CommandNode tree() {
  return {.name = "sterna",
          .help = "",
          .flags = {{.names = {"--space"}, .value = "SPACE", .help = "The space"},
                    {.names = {"--json"}, .help = "JSON"}},
          .positionals = {},
          .commands = {{.name = "get",
                        .help = "Show a function",
                        .flags = {{.names = {"-s", "--state"},
                                   .value = "STATE",
                                   .choices = {"queued", "quiet", "running"}}},
                        .positionals = {{.name = "name", .value = "FUNCTION", .required = true}},
                        .commands = {}},
                       {.name = "give", .help = "", .flags = {}, .positionals = {}, .commands = {}},
                       {.name = "deploy",
                        .help = "",
                        .flags = {{.names = {"--template"}, .value = "TEMPLATE"}},
                        .positionals = {{.name = "path", .value = "PATH", .required = true}},
                        .commands = {}}}};
}

// Answers "kind@space" so that the test sees what was asked.
std::vector<Candidate> told(std::string_view kind, const ValueContext& context) {
  if (kind != "FUNCTION") return {};
  return {{"motion", context.target.space}, {"other", ""}};
}

std::vector<std::string> words(const std::vector<std::string>& typed) {
  std::vector<std::string> found;
  for (const Candidate& each : complete(tree(), typed, Target{}, told).candidates) found.push_back(each.word);
  return found;
}

TEST(Completion, CommandsThatBeginSo) {
  EXPECT_THAT(words({"g"}), ElementsAre("get", "give"));
  EXPECT_THAT(words({""}), ElementsAre("get", "give", "deploy"));
  EXPECT_THAT(words({"x"}), IsEmpty());
}

TEST(Completion, FlagsOfTheCommandAndOfTheProgram) {
  EXPECT_THAT(words({"get", "--"}), ElementsAre("--state", "--space", "--json", "--help"));
  EXPECT_THAT(words({"get", "--s"}), ElementsAre("--state", "--space"));
}

TEST(Completion, ValuesOfFlags) {
  EXPECT_THAT(words({"get", "--state", "qu"}), ElementsAre("queued", "quiet"));
  EXPECT_THAT(words({"get", "--state=ru"}), ElementsAre("--state=running"));
  EXPECT_THAT(words({"deploy", "--template", "py"}), ElementsAre("python3-http"));
}

TEST(Completion, NamesFromTheServer) {
  EXPECT_THAT(words({"get", ""}), ElementsAre("motion", "other"));
  EXPECT_THAT(words({"get", "motion", ""}), IsEmpty());
  EXPECT_THAT(words({"get", "--state", "queued", "m"}), ElementsAre("motion"));
}

TEST(Completion, LooksInTheSpaceThatIsTyped) {
  const auto asked = [](const std::vector<std::string>& typed) {
    return complete(tree(), typed, Target{}, told).candidates.at(0).help;
  };
  EXPECT_EQ(asked({"get", ""}), "default");
  EXPECT_EQ(asked({"--space", "lab", "get", ""}), "lab");
  EXPECT_EQ(asked({"get", "--space=lab", ""}), "lab");
}

TEST(Completion, LeavesFilesToTheShell) {
  EXPECT_EQ(complete(tree(), std::vector<std::string>{"deploy", ""}, Target{}, told).files, Files::kAll);
  EXPECT_EQ(complete(tree(), std::vector<std::string>{"get", ""}, Target{}, told).files, Files::kNone);
}

TEST(Completion, AsksTheServer) {
  TestServer server(
      {reply_with("200 OK", "", R"({"data": [{"version": 7, "created_at": "today"}], "paging": {}})")});
  const ValueContext context{.target = {.url = server.url(), .token = ""}, .positionals = {"motion"}};
  EXPECT_THAT(values_of_server("VERSION", context), ElementsAre(Candidate{"7", "today"}));
  EXPECT_THAT(server.requests().at(0), HasSubstr("GET /spaces/default/functions/motion/versions?"));
}

TEST(Completion, IsSilentWithoutAServer) {
  const ValueContext context{.target = {.url = "http://127.0.0.1:1", .token = ""}, .positionals = {}};
  EXPECT_THAT(values_of_server("FUNCTION", context), IsEmpty());
}

TEST(Completion, OfTheProgramItself) {
  const Ran commands = run({"complete", "--", "in"});
  EXPECT_EQ(commands.status, kExitOk);
  EXPECT_THAT(commands.out, HasSubstr("init\t"));
  EXPECT_THAT(commands.out, HasSubstr("invoke\t"));
  EXPECT_THAT(run({"complete", "--", "init", ""}).out, HasSubstr(":folders\n"));
  EXPECT_THAT(run({"complete", "--", "invocations", "list", "f", "--state", "s"}).out, "succeeded\n");
  EXPECT_THAT(run({"complete", "--", "refer"}).out, IsEmpty());  // hidden
}

TEST(Completion, EveryShellHasAScript) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(run({"completion", shell}).out, HasSubstr("complete -- ")) << shell;
  }
  EXPECT_EQ(run({"completion", "cmd"}).status, kExitUsage);
}

TEST(CommandTree, HoldsWhatHelpSays) {
  CLI::App app("purpose", "program");
  std::string text = "x";
  bool on = false;
  app.add_option("-t,--text", text, "Some text")
      ->type_name("TEXT")
      ->capture_default_str()
      ->envname("VARIABLE");
  app.add_flag("--on", on, "A switch");
  app.add_option("name", text, "A name")->type_name("NAME")->required();
  app.add_subcommand("hidden", "")->group("");
  const CommandNode node = command_tree(app);
  ASSERT_EQ(node.flags.size(), 2U);
  EXPECT_THAT(node.flags[0].names, ElementsAre("-t", "--text"));
  EXPECT_EQ(node.flags[0].value, "TEXT");
  EXPECT_EQ(node.flags[0].default_text, "x");
  EXPECT_EQ(node.flags[0].variable, "VARIABLE");
  EXPECT_EQ(node.flags[1].value, "");
  ASSERT_EQ(node.positionals.size(), 1U);
  EXPECT_TRUE(node.positionals[0].required);
  EXPECT_FALSE(node.positionals[0].repeated);
  EXPECT_THAT(node.commands, IsEmpty());
}

}  // namespace
}  // namespace sterna::cli
