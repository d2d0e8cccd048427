#include "bundle/source.h"

#include <gtest/gtest.h>

#include <fstream>

namespace sterna::bundle {
namespace {

api::FunctionSpec spec_of(std::string_view template_name, std::vector<std::string> command = {}) {
  api::FunctionSpec spec;
  spec.template_name = template_name;
  spec.command = std::move(command);
  return spec;
}
const api::FunctionSpec kPython = spec_of("python3-http");

constexpr std::size_t kMaxBytes = 1000;

std::expected<Files, api::Problem> parse(const std::string& text) {
  return parse_source(api::Json::parse(text), "source", &kPython, kMaxBytes);
}

std::string wrong_field(const std::string& text) {
  const auto files = parse(text);
  if (files) return "none";
  EXPECT_EQ(files.error().errors.size(), 1U) << text;
  return files.error().errors.at(0).field;
}

TEST(CleanPath, KeepsWhatIsInside) {
  EXPECT_EQ(clean_path("a").value(), "a");
  EXPECT_EQ(clean_path("./a//b/./c").value(), "a/b/c");
  EXPECT_EQ(clean_path("./").value(), "");
  EXPECT_EQ(clean_path("..a/b..").value(), "..a/b..");
}

TEST(CleanPath, RefusesTheRest) {
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string(".."), std::string("a/../b"), std::string("a\\b"),
        std::string("c:a"), std::string("a\0b", 3), std::string("a\x7f"), std::string("\xff"),
        std::string(600, 'a'), std::string(256, 'a')}) {
    const auto path = clean_path(bad);
    ASSERT_FALSE(path) << bad;
    EXPECT_EQ(path.error().reason, "bad_bundle_path");
  }
  std::string deep = "a";
  for (std::size_t i = 1; i < kMaxPathDepth; ++i) deep += "/a";
  EXPECT_TRUE(clean_path(deep));
  EXPECT_FALSE(clean_path(deep + "/a"));
}

TEST(Collector, BoundsTheWhole) {
  Collector collector(kMaxBytes);
  EXPECT_TRUE(collector.reserve(kMaxBytes));
  EXPECT_EQ(collector.reserve(1).error().reason, "bundle_too_large");
}

TEST(Hash, DependsOnNamesContentsAndModes) {
  const Files base = {{"a", "xy", Executable::kNo}, {"b", "", Executable::kNo}};
  const std::string hash = hash_of(base);
  EXPECT_EQ(hash.size(), 64U);
  EXPECT_EQ(hash_of(base), hash);
  EXPECT_NE(hash_of({{"a", "x", Executable::kNo}, {"b", "y", Executable::kNo}}), hash);
  EXPECT_NE(hash_of({{"a", "xy", Executable::kYes}, {"b", "", Executable::kNo}}), hash);
  EXPECT_NE(hash_of({{"a", "xy", Executable::kNo}, {"c", "", Executable::kNo}}), hash);
  EXPECT_NE(hash_of({{"a", "xy", Executable::kNo}}), hash);
}

TEST(ParseSource, CodeIsTheHandler) {
  const auto files = parse(R"({"code":"cGFzcw=="})");
  ASSERT_TRUE(files);
  EXPECT_EQ(*files, (Files{{"handler.py", "pass", Executable::kNo}}));
}

TEST(ParseSource, FilesAreSorted) {
  const auto files = parse(R"({"files":{"z.py":"","handler.py":"eA==","a/b.py":"eQ=="}})");
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 3U);
  EXPECT_EQ((*files)[0].path, "a/b.py");
}

TEST(ParseSource, WithoutASpecNoHandlerIsMissing) {
  for (const char* text : {R"({"files":{"handler.js":"eA=="}})", R"({"code":"eA=="})"})
    EXPECT_TRUE(parse_source(api::Json::parse(text), "source", nullptr, kMaxBytes)) << text;
  const auto wrong =
      parse_source(api::Json::parse(R"({"files":{"/a":"eA=="}})"), "source", nullptr, kMaxBytes);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().errors.size(), 1U) << "what no template changes is told";
}

TEST(ParseSource, ProgramsAreExecutable) {
  const api::FunctionSpec command = spec_of("command");
  const auto script =
      parse_source(api::Json::parse(R"({"code":"IyEvYmluL3NoCg=="})"), "source", &command, kMaxBytes);
  ASSERT_TRUE(script);
  EXPECT_EQ(*script, (Files{{"bootstrap", "#!/bin/sh\n", Executable::kYes}}));
  const api::FunctionSpec lambda = spec_of("lambda");
  const auto program = parse_source(api::Json::parse(R"({"files":{"bootstrap":"f0VMRg==","notes":"eA=="}})"),
                                    "source", &lambda, kMaxBytes);
  ASSERT_TRUE(program);
  EXPECT_EQ(program->at(0).executable, Executable::kYes);
  EXPECT_EQ(program->at(1).executable, Executable::kNo);
}

TEST(ParseSource, SaysWhatIsWrong) {
  EXPECT_EQ(wrong_field("{}"), "source.code");
  EXPECT_EQ(wrong_field(R"({"code":"eA==","files":{"handler.py":""}})"), "source.code");
  EXPECT_EQ(wrong_field(R"({"code":"not base64"})"), "source.code");
  EXPECT_EQ(wrong_field(R"({"code":7})"), "source.code");
  EXPECT_EQ(wrong_field(R"({"code":"eA==","url":"x"})"), "source.url");
  EXPECT_EQ(wrong_field("[]"), "source");
  EXPECT_EQ(wrong_field(R"({"files":[]})").substr(0, 12), "source.files");
  EXPECT_EQ(wrong_field(R"({"files":{"handler.py":"","../x":""}})"), "source.files.../x");
  EXPECT_EQ(wrong_field(R"({"files":{"handler.py":"","a\u0000.py":""}})"),
            std::string("source.files.a\0.py", 18));
  EXPECT_EQ(wrong_field(R"({"files":{"handler.py":"!"}})"), "source.files.handler.py");
  EXPECT_EQ(wrong_field(R"({"files":{"handler.py":"","a":"","a/b":""}})"), "source.files");
  EXPECT_EQ(wrong_field(R"({"files":{"app/handler.py":""}})"), "source.files");
}

TEST(SourceJson, IsReadBackTheSame) {
  const Files one = {{"handler.py", "x", Executable::kNo}};
  EXPECT_EQ(api::dump(source_json(one, kPython)), R"({"code":"eA=="})");
  const Files two = {{"handler.py", "x", Executable::kNo}, {"lib/a.py", "y", Executable::kNo}};
  EXPECT_EQ(parse(api::dump(source_json(two, kPython))).value(), two);
}

TEST(CheckHandler, TellsWhatWasFound) {
  EXPECT_TRUE(check_handler({{"handler.py", "", Executable::kNo}}, kPython));
  const auto folder =
      check_handler({{"app/handler.py", "", Executable::kNo}, {"app/x", "", Executable::kNo}}, kPython);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().reason, "handler_missing");
  EXPECT_EQ(
      folder.error().detail,
      "handler.py is expected at the top, there is app/handler.py, app/x; pack the contents of app/, not the "
      "folder itself");
  EXPECT_EQ(check_handler({}, kPython).error().detail,
            "handler.py is expected at the top, there are no files");
}

TEST(CheckHandler, AsksTheTemplate) {
  const Files other = {{"server.js", "", Executable::kNo}};
  EXPECT_TRUE(check_handler({{"handler.mjs", "", Executable::kNo}}, spec_of("node-http")));
  EXPECT_EQ(check_handler(other, spec_of("node20-http")).error().detail,
            "handler.js, handler.mjs or handler.cjs is expected at the top, there is server.js");
  EXPECT_EQ(check_handler(other, spec_of("http")).error().detail,
            "bootstrap is expected at the top when no command is given, there is server.js");
  EXPECT_TRUE(check_handler(other, spec_of("http", {"node", "server.js"})));
  EXPECT_TRUE(check_handler({}, spec_of("command", {"cat"})));
}

TEST(HandlerIn, IsTheFirstThatIsThere) {
  std::string pattern = ::testing::TempDir() + "handler-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  EXPECT_EQ(handler_in(folder, spec_of("node")), "");
  std::ofstream(folder / "handler.mjs") << "x";
  EXPECT_EQ(handler_in(folder, spec_of("node")), "handler.mjs");
  std::ofstream(folder / "handler.js") << "x";
  EXPECT_EQ(handler_in(folder, spec_of("node")), "handler.js");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sterna::bundle
