#include "build/recipe.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "build/requirements.h"

namespace sterna::build {
namespace {

using bundle::Files;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

Toolbox toolbox() {
  Toolbox tools;
  const Tool python{"/usr/bin/python3", "python one"};
  const Tool node{"/usr/bin/node", "node one"};
  tools.pythons = {{"python3-http", python}, {"python3.13-http", {"/opt/bin/python3.13", "python two"}}};
  tools.nodes = {{"node-http", node}};
  tools.compiler = Tool{"/usr/bin/c++", "compiler one"};
  tools.headers = {{"sterna/function.h", "// header"}};
  return tools;
}

api::FunctionSpec spec_of(std::string_view template_name) {
  api::FunctionSpec spec;
  spec.template_name = template_name;
  return spec;
}

std::optional<Recipe> plan(std::string_view template_name, Files files, const Toolbox& tools = toolbox(),
                           std::string_view space = "default") {
  std::ranges::sort(files, {}, &bundle::File::path);
  auto planned = plan_build(space, spec_of(template_name), files, tools);
  EXPECT_TRUE(planned) << planned.error().detail;
  return planned ? std::move(*planned) : std::nullopt;
}

std::string refusal(std::string_view template_name, const Files& files, const Toolbox& tools) {
  const auto planned = plan_build("default", spec_of(template_name), files, tools);
  EXPECT_FALSE(planned);
  return planned ? "" : planned.error().detail;
}

std::vector<std::string> input_paths(const Recipe& recipe) {
  std::vector<std::string> paths;
  for (const bundle::File& file : recipe.inputs) paths.push_back(file.path);
  return paths;
}

TEST(Plan, CodeThatBringsTheResultIsNotBuilt) {
  EXPECT_FALSE(plan("python3-http", {{"handler.py", ""}}));
  EXPECT_FALSE(plan("python3-http", {{"requirements.txt", "flask"}, {"python_packages/flask.py", ""}}));
  EXPECT_FALSE(plan("python3-http", {{"requirements.txt", "# nothing\n\n"}}));
  EXPECT_FALSE(
      plan("node-http", {{"package.json", R"({"dependencies":{"a":"1"}})"}, {"node_modules/a/b", ""}}));
  EXPECT_FALSE(plan("node-http", {{"package.json", R"({"type":"module","dependencies":{}})"}}));
  EXPECT_FALSE(plan("cpp", {{"handler.cc", ""}, {"handler.so", ""}}));
  EXPECT_FALSE(plan("cpp", {{"handler.so", ""}}));
  EXPECT_FALSE(plan("command", {{"bootstrap", ""}}));
}

TEST(Plan, CompilesEverySourceAtTheTop) {
  const auto recipe = plan("cpp", {{"handler.cc", "a"}, {"b.cpp", "b"}, {"deep/c.cc", "c"}, {"d.h", "d"}});
  ASSERT_TRUE(recipe);
  EXPECT_EQ(recipe->output, "handler.so");
  EXPECT_EQ(recipe->network, Network::kNone);
  EXPECT_THAT(recipe->argv, IsSupersetOf({"handler.cc", "b.cpp"}));
  EXPECT_THAT(recipe->argv, Not(Contains("deep/c.cc")));
  EXPECT_THAT(input_paths(*recipe), IsSupersetOf({"deep/c.cc", "d.h", ".build/include/sterna/function.h"}));
}

TEST(Plan, PipSeesRequirementsAndWheelsOnly) {
  const auto recipe = plan(
      "python3-http",
      {{"handler.py", ""}, {"requirements.txt", "flask==2 --hash=sha256:00"}, {"wheels/flask.whl", "x"}});
  ASSERT_TRUE(recipe);
  EXPECT_EQ(input_paths(*recipe), (std::vector<std::string>{"requirements.txt", "wheels/flask.whl"}));
  EXPECT_THAT(recipe->argv, IsSupersetOf({"--require-hashes", "wheels"}));
  EXPECT_EQ(recipe->network, Network::kEgress);
}

TEST(Plan, PipSeesAllThatRequirementsLeadTo) {
  for (const char* text :
       {"-r more.txt", "./lib", "--constraint c.txt\nflask", "lib/", "-e .", "x-1.2.0-py3-none-any.whl",
        "x-1.0.tar.gz ; python_version > '3'", "\xEF\xBB\xBF-r more.txt"}) {
    const auto recipe = plan("python3-http", {{"handler.py", ""}, {"requirements.txt", text}});
    ASSERT_TRUE(recipe) << text;
    EXPECT_EQ(recipe->inputs.size(), 2U) << text;
  }
}

TEST(Plan, PipInstallsWhatWouldStayEditable) {
  const auto recipe =
      plan("python3-http", {{"handler.py", ""},
                            {"requirements.txt", "\xEF\xBB\xBF-r more/base.txt\n-e ./a  # mine"},
                            {"more/base.txt", "-r ../last.txt\n# -e ./no\n--editable=./b[x]\r\n"},
                            {"last.txt", "--extra-index-url x\n-r last.txt\n"}});
  const auto content = [&](std::string_view path) {
    return std::ranges::find(recipe->inputs, path, &bundle::File::path)->content;
  };
  EXPECT_EQ(content("requirements.txt"), "-r more/base.txt\n./a\n");
  EXPECT_EQ(content("more/base.txt"), "-r ../last.txt\n# -e ./no\n./b[x]\n");
  EXPECT_EQ(content("last.txt"), "--extra-index-url x\n-r last.txt\n");
}

TEST(Plan, SourcesThatAreNotCompiledAreNamed) {
  EXPECT_THAT(plan("cpp", {{"add.c", ""}, {"handler.cc", ""}})->what, HasSubstr("without add.c"));
  EXPECT_THAT(plan("cpp", {{"deep/add.c", ""}, {"handler.cc", ""}})->what, Not(HasSubstr("without")));
}

TEST(Plan, OptionsReachThePackageManagers) {
  Toolbox tools = toolbox();
  tools.pip_index_url = "https://index.example/simple";
  tools.npm_registry = "https://registry.example";
  tools.has_wheels = true;
  const Files python = {{"requirements.txt", "flask"}};
  const Files node = {{"package.json", R"({"dependencies":{"a":"1"}})"}};
  EXPECT_THAT(plan("python3-http", python, tools)->argv,
              IsSupersetOf({"https://index.example/simple", "/wheels"}));
  EXPECT_THAT(plan("node-http", node, tools)->argv, Contains("--registry=https://registry.example"));
  tools.offline = true;
  const auto offline = plan("python3-http", python, tools);
  EXPECT_THAT(offline->argv, Contains("--no-index"));
  EXPECT_EQ(offline->network, Network::kNone);
  EXPECT_THAT(plan("node-http", node, tools)->argv, Contains("--offline"));
}

TEST(Plan, EachPythonInstallsForItself) {
  const Files files = {{"requirements.txt", "flask"}};
  EXPECT_EQ(plan("python3.13-http", files)->argv.front(), "/opt/bin/python3.13");
  EXPECT_EQ(plan("http", files)->argv.front(), "/usr/bin/python3");
  EXPECT_NE(plan("python3.13-http", files)->key, plan("python3-http", files)->key);
}

TEST(Plan, ProgramsTakeRequirementsBeforePackages) {
  const Files both = {{"package.json", R"({"dependencies":{"a":"1"}})"}, {"requirements.txt", "flask"}};
  EXPECT_EQ(plan("http", both)->output, kPythonPackages);
  EXPECT_EQ(plan("http", {both.front()})->output, kNodeModules);
}

TEST(Plan, ModulesAreCompiledWithTheHeadersThatAreThere) {
  const Files files = {{"package.json", R"({"dependencies":{"a":"1"}})"}};
  EXPECT_FALSE(plan("node-http", files)->env.contains("npm_config_nodedir"));
  Toolbox tools = toolbox();
  tools.nodes.at("node-http").headers_prefix = "/usr";
  EXPECT_EQ(plan("node-http", files, tools)->env.at("npm_config_nodedir"), "/usr");
}

TEST(Plan, NpmNeedsALockFileForCi) {
  const bundle::File manifest{"package.json", R"({"dependencies":{"a":"1"}})"};
  EXPECT_EQ(plan("node-http", {manifest})->argv[1], "install");
  EXPECT_EQ(plan("node-http", {manifest, {"package-lock.json", "{}"}})->argv[1], "ci");
}

// Otherwise a script, or a lock file that says something else, makes what another function gets.
TEST(Key, CoversAllThatTheBuildGets) {
  const auto key = [](std::string package, std::string lock = "{}", std::string settings = "") {
    return plan("node-http", {{"package.json", std::move(package)},
                              {"package-lock.json", std::move(lock)},
                              {".npmrc", std::move(settings)}})
        ->key;
  };
  const std::string plain = key(R"({"dependencies":{"a":"1"}})");
  EXPECT_EQ(key(R"({"dependencies":{"a":"1"}})"), plain);
  EXPECT_NE(key(R"({"dependencies":{"a":"1"},"devDependencies":{"b":"npm:c@1"}})"), plain);
  EXPECT_NE(key(R"({"dependencies":{"a":"1"},"scripts":{"dependencies":"x"}})"), plain);
  EXPECT_NE(key(R"({"dependencies":{"a":"1"}})", R"({"name":"b"})"), plain);
  EXPECT_NE(key(R"({"dependencies":{"a":"1"}})", "{}", "omit=x"), plain);
}

TEST(Key, IsAnotherOneInAnotherSpace) {
  const Files files[] = {{{"package.json", R"({"dependencies":{"a":"1"}})"}}, {{"requirements.txt", "a"}}};
  for (const Files& each : files) {
    EXPECT_EQ(plan("http", each)->key, plan("http", each)->key);
    EXPECT_NE(plan("http", each)->key, plan("http", each, toolbox(), "other")->key);
  }
  EXPECT_NE(plan("cpp", {{"handler.cc", ""}})->key,
            plan("cpp", {{"handler.cc", ""}}, toolbox(), "other")->key);
}

TEST(Plan, ScriptsAndFoldersOfTheProjectSeeAllOfIt) {
  for (const char* package :
       {R"({"dependencies":{"a":"1"},"scripts":{"dependencies":"x"}})",
        R"({"dependencies":{"a":"1"},"scripts":{"postdependencies":"x"}})",
        R"({"dependencies":{"a":"1"},"overrides":{"b":{"c":"file:./c"}}})", R"({"workspaces":["p/*"]})"}) {
    EXPECT_EQ(plan("node-http", {{"package.json", package}, {"c/package.json", "{}"}})->inputs.size(), 2U)
        << package;
  }
  const Files addon = {{"package.json", R"({"dependencies":{"a":"1"}})"}, {"binding.gyp", "{}"}, {"x.c", ""}};
  EXPECT_EQ(plan("node-http", addon)->inputs.size(), 3U);
}

TEST(Plan, AFolderThatIsNamedHasToBeThere) {
  const auto files = [](std::string_view place, std::string path) {
    return Files{{"package.json", fmt::format(R"({{"dependencies":{{"lib":"{}"}}}})", place)},
                 {std::move(path), "{}"}};
  };
  for (const char* there : {"file:./lib", "file:lib/", "./lib", "link:lib", "file:x/../lib"})
    EXPECT_TRUE(plan("node-http", files(there, "lib/package.json"))) << there;
  EXPECT_TRUE(plan("node-http", files("file:lib-1.0.tgz", "lib-1.0.tgz")));
  for (const char* missing : {"file:../lib", "file:lib", "file:/lib", "link:../../x"}) {
    EXPECT_THAT(refusal("node-http", files(missing, "library/package.json"), toolbox()),
                HasSubstr(fmt::format("lib is {}, which is not in the function's folder", missing)));
  }
}

TEST(Plan, WhatLiesInTheBuildsOwnFolderIsLeftOut) {
  const auto recipe = plan("cpp", {{"handler.cc", ""}, {".build/include/sterna/function.h", "#error"}});
  EXPECT_EQ(input_paths(*recipe),
            (std::vector<std::string>{"handler.cc", ".build/include/sterna/function.h"}));
  EXPECT_EQ(recipe->inputs.back().content, "// header");
}

TEST(Key, CoversAllFilesThatScriptsMayRead) {
  const auto key = [](std::string data) {
    const std::string package = R"({"scripts":{"postinstall":"node make.js"},"dependencies":{"a":"1"}})";
    return plan("node-http", {{"package.json", package}, {"make.js", std::move(data)}})->key;
  };
  EXPECT_NE(key("one"), key("two"));
}

TEST(Key, ChangesWithTheToolAndTheHeaders) {
  const Files files = {{"handler.cc", ""}};
  Toolbox other = toolbox();
  other.compiler->identity = "compiler two";
  EXPECT_NE(plan("cpp", files)->key, plan("cpp", files, other)->key);
  other = toolbox();
  other.headers.front().content = "// another";
  EXPECT_NE(plan("cpp", files)->key, plan("cpp", files, other)->key);
  EXPECT_EQ(plan("cpp", files)->key, plan("cpp", files)->key);
}

TEST(Plan, SaysWhatIsMissing) {
  EXPECT_THAT(refusal("cpp", {{"handler.cc", ""}}, {}), HasSubstr("no C++ compiler"));
  EXPECT_THAT(refusal("python3-http", {{"requirements.txt", "a"}}, {}), HasSubstr("no Python"));
  EXPECT_THAT(refusal("node-http", {{"package.json", R"({"dependencies":{"a":"1"}})"}}, {}),
              HasSubstr("no Node"));
  EXPECT_THAT(refusal("node-http", {{"package.json", "{"}}, toolbox()), HasSubstr("package.json"));
  EXPECT_THAT(refusal("node-http", {{"package.json", "[]"}}, toolbox()), HasSubstr("must be an object"));
}

TEST(Requirements, FindTheLineOfAPackage) {
  const std::string_view text = "# flask\nFlask-Login>=1 ; python_version > '3'\n\nzope.interface\n";
  EXPECT_EQ(line_of_requirement(text, "flask_login"), 2);
  EXPECT_EQ(line_of_requirement(text, "zope-interface"), 4);
  EXPECT_EQ(line_of_requirement(text, "flask"), 0);
}

TEST(Requirements, CommentsAndContinuationsAreNoPackages) {
  EXPECT_FALSE(read_requirements("# a\n  \n--index-url https://x\n").any);
  const Requirements read = read_requirements("a==1 \\\n  --hash=sha256:0\n");
  EXPECT_TRUE(read.any && read.hashes);
  EXPECT_FALSE(read.local);
  EXPECT_FALSE(read_requirements("a @ https://host/a.whl").local);
}

TEST(Requirements, AreReadByTheirMark) {
  const auto wide = [](std::u16string_view text, bool little) {
    std::string bytes;
    for (const char16_t unit : text) {
      const char low = static_cast<char>(unit & 0xFFU);
      const char high = static_cast<char>(unit >> 8U);
      bytes += little ? low : high;
      bytes += little ? high : low;
    }
    return bytes;
  };
  for (const bool little : {true, false})
    EXPECT_EQ(decoded(wide(u"\xFEFF-r \u00E9\u20AC\U0001F600.txt", little)),
              "-r \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80.txt");
  EXPECT_EQ(decoded("\xEF\xBB\xBFx"), "x");
  EXPECT_EQ(decoded("x"), "x");
}

TEST(Tool, IsAnotherOneWhenItsFileIs) {
  EXPECT_FALSE(tool_at("/no/such/tool"));
  const auto shell = tool_at("/bin/sh");
  ASSERT_TRUE(shell);
  EXPECT_EQ(shell->path, "/bin/sh");
  EXPECT_NE(shell->identity, tool_at("/usr/bin/env")->identity);
}

}  // namespace
}  // namespace sterna::build
