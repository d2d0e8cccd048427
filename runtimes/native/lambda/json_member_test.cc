#include "native/lambda/json_member.h"

#include <gtest/gtest.h>

namespace sterna::native {
namespace {

std::string found(std::string_view object) {
  return std::string(find_string_member(object, "body").value_or("none"));
}

TEST(FindStringMember, LooksAtTheObjectsOwnMembersOnly) {
  EXPECT_EQ(found(R"({"body": "text"})"), "text");
  EXPECT_EQ(found(R"({"a": {"body": "inner"}, "b": [{"body": "x"}], "body" : "own", "c": 1})"), "own");
  EXPECT_EQ(found(R"({"a": "body", "b": "body: \"x\"", "body":""})"), "");
  EXPECT_EQ(found(R"({"a": {"body": "inner"}})"), "none");
  EXPECT_EQ(found(R"({"body": {"body": "x"}})"), "none");
  EXPECT_EQ(found(R"({"body": null, "x": "body"})"), "none");
}

TEST(FindStringMember, KnowsEscapes) {
  EXPECT_EQ(found(R"({"a\\": "\"", "body": "a\"b\\", "z": ""})"), R"(a\"b\\)");
  EXPECT_EQ(found(R"({"\"body\"": "x", "body": "\\\"\\"})"), R"(\\\"\\)");
}

TEST(FindStringMember, IsNotConfusedByWhatIsNoJson) {
  for (const std::string_view text : {"", "{", R"({"body)", R"({"body": ")", R"({"body": "\)",
                                      R"({"body": "\")", "}}}]", R"("body": "x")"}) {
    EXPECT_EQ(found(text), "none") << text;
  }
}

TEST(UnescapeJson, MakesText) {
  EXPECT_EQ(unescape_json("plain \xc3\xa9").value(), "plain \xc3\xa9");
  EXPECT_EQ(unescape_json(R"(a\/b\n\u00e9\"\\)").value(), "a/b\n\xc3\xa9\"\\");
  for (const std::string_view bad : {"\n", "\xff", R"(\x)", R"(\)", "a\"b\\n"})
    EXPECT_FALSE(unescape_json(bad)) << bad;
}

}  // namespace
}  // namespace sterna::native
